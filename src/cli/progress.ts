/**
 * Progress on stderr: on a terminal some lines that are redrawn, a line every 30 s elsewhere, nothing with `--json`.
 */
import type { Progress, Transfer } from '../node/report.js';
import { formatBytes, formatDuration, formatRate } from '../units.js';
import type { Env } from './env.js';
import { printable } from './printable.js';

const redrawMs = 100;
/** Figures that change ten times a second cannot be read. */
const redrawTransferMs = 500;
const lineMs = 30_000;
const barColumns = 20;
/** The rate shown is that of about the last ten seconds. */
const rateWindowMs = 10_000;

export class ProgressLine {
  readonly #env: Env;
  readonly #silent: boolean;
  readonly #now: () => number;
  /** Lines on the terminal that the next ones replace. */
  #shownLines = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #samples: { ms: number; done: number }[] = [];
  #stage = '';

  constructor(env: Env, silent: boolean, now: () => number = () => performance.now()) {
    this.#env = env;
    this.#silent = silent;
    this.#now = now;
  }

  /** Shows how far the job is, unless it was shown a moment ago. */
  show(progress: Progress): void {
    if (this.#silent) return;
    const ms = this.#now();
    if (progress.stage !== this.#stage) {
      this.#stage = progress.stage;
      this.#samples = [];
    }
    const columns = this.#env.errColumns;
    const isTerminal = columns > 0;
    if (!isTerminal && this.#lastMs === Number.NEGATIVE_INFINITY) this.#lastMs = ms;
    const pauseMs = progress.transfer ? redrawTransferMs : redrawMs;
    if (ms - this.#lastMs < (isTerminal ? pauseMs : lineMs)) return;
    this.#lastMs = ms;
    const { transfer } = progress;
    if (!isTerminal)
      this.#env.err(`${transfer ? transferLine(progress, transfer) : this.#text(progress, ms)}\n`);
    else if (transfer) this.#draw(transferBlock(progress, transfer, columns - 1));
    else this.#draw([this.#text(progress, ms).slice(0, columns - 1)]);
  }

  /** Takes the redrawn lines away, before other text. */
  clear(): void {
    if (this.#shownLines > 0) this.#env.err(this.#home());
    this.#shownLines = 0;
  }

  #draw(lines: readonly string[]): void {
    this.#env.err(`${this.#home()}${lines.join('\n')}`);
    this.#shownLines = lines.length;
  }

  /** To the start of what is shown, and away with it. */
  #home(): string {
    return this.#shownLines > 1 ? `\r\x1b[${this.#shownLines - 1}A\x1b[J` : '\r\x1b[K';
  }

  #text({ stage, done, total, unit, detail }: Progress, ms: number): string {
    this.#samples.push({ ms, done });
    while (this.#samples.length > 2 && ms - (this.#samples[0]?.ms ?? ms) > rateWindowMs)
      this.#samples.shift();
    const first = this.#samples[0] ?? { ms, done };
    const seconds = (ms - first.ms) / 1000;
    const rate = seconds > 0 ? Math.max(0, done - first.done) / seconds : 0;
    const eta = etaText(done, total, rate);
    const amount =
      unit === 'bytes'
        ? `${formatBytes(done)} of ${formatBytes(total)} ${formatRate(rate)}`
        : `${done} of ${total} ${unit}`;
    const head = `${stage} ${bar(done, total, barColumns)}${percent(done, total)} ${amount}`;
    return `${head}${eta && ` ${eta}`}${detail ? `  ${detail}` : ''}`;
  }
}

/** What goes on with peers, on a terminal of so many columns. */
function transferBlock(progress: Progress, transfer: Transfer, columns: number): string[] {
  const { stage, done, total } = progress;
  const lines = [printable(transfer.title)];
  if (total > 0) {
    const text = `${percent(done, total)}  ${amountText(progress, transfer)}`;
    // Beside the bar there is room for the longest text, so that it does not jump.
    const width = Math.max(barColumns, Math.min(60, columns - 52));
    lines.push(`${bar(done, total, width)}${text}`);
  } else if (stage !== 'seeding') lines.push(stage);
  lines.push(
    [...rateTexts(transfer), peersText(transfer), trackersText(transfer), piecesText(transfer)]
      .filter(Boolean)
      .join('   '),
  );
  return lines.map((line) => line.slice(0, columns));
}

function transferLine(progress: Progress, transfer: Transfer): string {
  const { stage, done, total } = progress;
  const share = total > 0 ? `${percent(done, total)}  ${amountText(progress, transfer)}` : '';
  const texts = [
    share.trim(),
    ...rateTexts(transfer),
    peersText(transfer),
    trackersText(transfer),
    piecesText(transfer),
  ];
  return `${stage} ${printable(transfer.title)}: ${texts.filter(Boolean).join(', ')}`;
}

function amountText({ done, total }: Progress, { downloadBytesPerSecond }: Transfer): string {
  const eta = etaText(done, total, downloadBytesPerSecond);
  return `${formatBytes(done)} of ${formatBytes(total)}${eta && `  ${eta}`}`;
}

function rateTexts(transfer: Transfer): string[] {
  const { downloadBytesPerSecond, uploadBytesPerSecond, uploadedBytes, hadPieces, pieceCount } = transfer;
  const isWhole = pieceCount > 0 && hadPieces === pieceCount && downloadBytesPerSecond === 0;
  const sent = uploadedBytes > 0 ? ` (${formatBytes(uploadedBytes)} in all)` : '';
  return [
    ...(isWhole || transfer.torrents > 1 ? [] : [`down ${formatRate(downloadBytesPerSecond)}`]),
    `up ${formatRate(uploadBytesPerSecond)}${sent}`,
  ];
}

function peersText({ peers, seeds, knownPeers, torrents, openTorrents }: Transfer): string {
  const open = torrents > 1 ? `   ${openTorrents} of ${torrents} torrents open` : '';
  const kinds = [
    seeds > 0 && `${seeds} ${seeds === 1 ? 'seed' : 'seeds'}`,
    knownPeers > peers && `${knownPeers} known`,
  ];
  const more = kinds.filter(Boolean).join(', ');
  return `${peers} ${peers === 1 ? 'peer' : 'peers'}${more && ` (${more})`}${open}`;
}

function trackersText({ trackers }: Transfer): string {
  return trackers && trackers.asked > 0 ? `${trackers.working} of ${trackers.asked} trackers` : '';
}

function piecesText({ hadPieces, pieceCount }: Transfer): string {
  return pieceCount > 0 ? `${hadPieces} of ${pieceCount} pieces` : '';
}

function etaText(done: number, total: number, bytesPerSecond: number): string {
  if (bytesPerSecond <= 0 || done >= total) return '';
  return `ETA ${formatDuration((1000 * (total - done)) / bytesPerSecond)}`;
}

function bar(done: number, total: number, columns: number): string {
  const full = Math.round(shareOf(done, total) * columns);
  return `[${'='.repeat(full)}${' '.repeat(columns - full)}]`;
}

function percent(done: number, total: number): string {
  return `${Math.floor(shareOf(done, total) * 100)}%`.padStart(4);
}

function shareOf(done: number, total: number): number {
  return total > 0 ? Math.min(1, done / total) : 0;
}
