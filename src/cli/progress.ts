/**
 * Progress on stderr: one line that is redrawn on a terminal, a line every 30 s elsewhere, nothing with
 * `--json`.
 */
import type { Progress } from '../node/report.js';
import { formatBytes, formatDuration, formatRate } from '../units.js';
import type { Env } from './env.js';

const redrawMs = 100;
const lineMs = 30_000;
const barColumns = 20;
/** The rate shown is that of about the last ten seconds. */
const rateWindowMs = 10_000;

export class ProgressLine {
  readonly #env: Env;
  readonly #silent: boolean;
  readonly #now: () => number;
  #shown = false;
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
    const terminal = this.#env.errColumns > 0;
    if (!terminal && this.#lastMs === Number.NEGATIVE_INFINITY) this.#lastMs = ms;
    if (ms - this.#lastMs < (terminal ? redrawMs : lineMs)) return;
    this.#lastMs = ms;
    const text = this.#text(progress, ms);
    if (terminal) this.#env.err(`\r\x1b[K${text.slice(0, this.#env.errColumns - 1)}`);
    else this.#env.err(`${text}\n`);
    this.#shown = terminal;
  }

  /** Takes the redrawn line away, before other text. */
  clear(): void {
    if (this.#shown) this.#env.err('\r\x1b[K');
    this.#shown = false;
  }

  #text({ stage, done, total, unit, detail }: Progress, ms: number): string {
    this.#samples.push({ ms, done });
    while (this.#samples.length > 2 && ms - (this.#samples[0]?.ms ?? ms) > rateWindowMs)
      this.#samples.shift();
    const first = this.#samples[0] ?? { ms, done };
    const seconds = (ms - first.ms) / 1000;
    const rate = seconds > 0 ? Math.max(0, done - first.done) / seconds : 0;
    const share = total > 0 ? Math.min(1, done / total) : 0;
    const full = Math.round(share * barColumns);
    const bar = `[${'='.repeat(full)}${' '.repeat(barColumns - full)}]`;
    const percent = `${Math.floor(share * 100)}%`.padStart(4);
    const eta = rate > 0 && done < total ? ` ETA ${formatDuration((1000 * (total - done)) / rate)}` : '';
    const amount =
      unit === 'bytes'
        ? `${formatBytes(done)} of ${formatBytes(total)} ${formatRate(rate)}`
        : `${done} of ${total} ${unit}`;
    return `${stage} ${bar}${percent} ${amount}${eta}${detail ? `  ${detail}` : ''}`;
  }
}
