/** `blockswarm segments`: the sealed segments of a data directory. */
import { type SegmentTorrent, type SegmentTorrents, Source, type SourceOptions } from '../node/source.js';
import { formatBytes, toHex } from '../units.js';
import { stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

export async function segmentsCommand({
  env,
  output,
  options,
}: CommandContext<SourceOptions>): Promise<void> {
  const source = await Source.open({ ...options, stateDir: stateDir(env, options.stateDir) }, env.signal);
  const report = jobReport(output);
  for (const warning of source.datadir.warnings()) report.warn(warning);
  const segments = await source.segments({ signal: env.signal, report });
  const result = {
    network: source.network.name,
    interval: source.network.interval,
    sealed: source.sealed,
    segments: segments.map(({ index, firstHeight, endHeight, blocks, spent }) => ({
      index,
      firstHeight,
      endHeight,
      blocks: torrentJson(blocks),
      spent: spent && torrentJson(spent),
    })),
  };
  output.result(result, () => segmentsText(source, segments));
}

function torrentJson({ name, lengthBytes, infoHashV1, infoHashV2 }: SegmentTorrent) {
  return { name, lengthBytes, infoHashV1: toHex(infoHashV1), infoHashV2: toHex(infoHashV2) };
}

function segmentsText(source: Source, segments: readonly SegmentTorrents[]): string {
  const lines = [
    `${source.network.name}: tip at height ${source.height}, ${source.sealed} sealed segments of ${source.network.interval} blocks`,
  ];
  for (const { index, firstHeight, endHeight, blocks, spent, spentReason } of segments) {
    lines.push(`segment ${index}  heights ${firstHeight} to ${endHeight - 1}`);
    for (const torrent of spent ? [blocks, spent] : [blocks]) {
      lines.push(
        `  ${torrent.name}  ${formatBytes(torrent.lengthBytes)}  v1 ${toHex(torrent.infoHashV1)}  v2 ${toHex(torrent.infoHashV2)}`,
      );
    }
    if (spentReason) lines.push(`  no spent file: ${spentReason}`);
  }
  return lines.join('\n');
}
