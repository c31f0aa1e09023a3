/** `blockswarm torrent verify`. */
import { exitCode } from '../errors.js';
import { type CheckResult, checkContent, type DamagedFile } from '../node/torrent-check.js';
import { readTorrentFile } from '../node/torrent-file.js';
import { formatBytes, formatDuration, formatRate, toHex } from '../units.js';
import { jobReport } from './job-report.js';
import type { OutputOptions } from './output.js';
import type { CommandContext } from './program.js';

interface Options {
  readonly threads?: number;
  readonly uncached?: boolean;
}

/** Ranges of a file that a person is shown; `--json` has them all. */
const shownRanges = 20;

export async function torrentVerifyCommand({
  env,
  output,
  options,
  args,
  outcome,
}: CommandContext<Options & OutputOptions>): Promise<void> {
  const startedMs = performance.now();
  const [torrent = '', content = ''] = args;
  const metainfo = await readTorrentFile(torrent, env.signal);
  const { threads, uncached } = options;
  const checked = await checkContent({ metainfo, content, threads, uncached }, env.signal, jobReport(output));
  const seconds = (performance.now() - startedMs) / 1000;
  const { infoHashV1, infoHashV2, name, lengthBytes } = metainfo;
  const intact = checked.damaged.length === 0;
  if (options.jsonLines) {
    for (const file of checked.damaged) output.event({ event: 'damaged', ...file }, '');
  }
  output.result(
    {
      name,
      infoHashV1: infoHashV1 && toHex(infoHashV1),
      infoHashV2: infoHashV2 && toHex(infoHashV2),
      lengthBytes,
      seconds,
      intact,
      ...checked,
    },
    () => [...checked.damaged.map(damageText), verdictText(checked, lengthBytes, seconds)].join('\n'),
  );
  if (!intact) outcome.exitCode = exitCode('ERR_TORRENT_BAD');
}

function verdictText(
  { content, damaged, goodPieces, pieceCount }: CheckResult,
  lengthBytes: number,
  seconds: number,
): string {
  const pieces = `${goodPieces} of ${pieceCount} pieces are right`;
  const speed = `${formatBytes(lengthBytes)} in ${formatDuration(seconds * 1000)} (${formatRate(lengthBytes / seconds)})`;
  if (damaged.length === 0) return `${content}: all right, ${speed}`;
  const files = damaged.length === 1 ? 'a file is' : `${damaged.length} files are`;
  return `${content}: ${files} not as the torrent says; ${pieces}, ${speed}`;
}

const reasons = {
  wrong: 'damaged',
  missing: 'missing',
  unreadable: 'unreadable',
  unproven: 'unproven: shares a piece with what is missing',
  contradiction: "undecided: the torrent's v1 and v2 hashes contradict each other",
} as const;

function damageText({ path, message, ranges }: DamagedFile): string {
  const lines = ranges.slice(0, shownRanges).map(({ startBytes, endBytes, reason, holeBytes }) => {
    const holes = holeBytes > 0 ? `, ${formatBytes(holeBytes)} of it never written` : '';
    return `  bytes ${startBytes} to ${endBytes} (${formatBytes(endBytes - startBytes)}): ${reasons[reason]}${holes}`;
  });
  const more = ranges.length - lines.length;
  return [
    `${path}: ${message ?? 'damaged'}`,
    ...lines,
    ...(more > 0 ? [`  … and ${more} ranges more (--json has them all)`] : []),
  ].join('\n');
}
