/** `blockswarm catalogue make` and `catalogue show`. */
import { checkChainWork } from '../chain/catalogue.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { networkParams } from '../native.js';
import { chainWorkFloor, readCatalogueFile } from '../node/catalogue.js';
import { catalogueTorrent } from '../node/catalogue-torrent.js';
import { Source, type SourceOptions } from '../node/source.js';
import { checkWritable, writeWholeFile } from '../node/whole-file.js';
import { displayHash, formatBytes, toHex } from '../units.js';
import { stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

interface MakeOptions extends SourceOptions {
  readonly out: string;
  readonly segments?: number;
}

export async function catalogueMakeCommand({
  env,
  output,
  options,
}: CommandContext<MakeOptions>): Promise<void> {
  await checkWritable(options.out, true);
  const source = await Source.open({ ...options, stateDir: stateDir(env, options.stateDir) }, env.signal);
  const report = jobReport(output);
  for (const warning of source.datadir.warnings()) report.warn(warning);
  const count = options.segments ?? source.sealed;
  const { bytes } = await source.catalogue(count, { signal: env.signal, report });
  await writeWholeFile(options.out, bytes, true);
  const torrent = await catalogueTorrent(options.out, bytes.length, source.network.name, count);
  const result = {
    network: source.network.name,
    segments: count,
    file: options.out,
    name: torrent.name,
    lengthBytes: torrent.lengthBytes,
    ...infoHashes(torrent),
  };
  output.result(
    result,
    () =>
      `${result.file}: ${result.name}, ${formatBytes(result.lengthBytes)}\n  v1 ${result.infoHashV1}\n  v2 ${result.infoHashV2}`,
  );
}

interface ShowOptions {
  readonly network: string;
  readonly minChainWork?: string;
}

export async function catalogueShowCommand({
  env,
  output,
  options,
  args,
}: CommandContext<ShowOptions>): Promise<void> {
  const network = networkParams(options.network);
  const floor = chainWorkFloor(network, options.minChainWork, jobReport(output));
  const catalogue = await readCatalogueFile(args[0] ?? '', network, env.signal);
  checkChainWork(catalogue.chain, floor);
  const height = catalogue.chain.height();
  const result = {
    network: network.name,
    segments: catalogue.records.length,
    height,
    tipHash: height < 0 ? null : displayHash(catalogue.chain.hashAt(height)),
    chainWork: height < 0 ? '0' : toHex(catalogue.chain.workAt(height)),
    records: catalogue.records.map(({ index, blocks, spent }) => ({
      index,
      blocks: torrentJson(blocks),
      spent: torrentJson(spent),
    })),
  };
  output.result(result, () =>
    [
      `${result.network}: ${result.segments} segments, headers to height ${result.height}`,
      `  tip  ${result.tipHash}`,
      `  work 0x${result.chainWork.replace(/^0+(?=.)/, '')}`,
      ...result.records.flatMap(({ blocks, spent }) => [blocks, spent].map(torrentText)),
    ].join('\n'),
  );
}

function torrentJson(metainfo: Metainfo) {
  const { name, lengthBytes, pieceCount } = metainfo;
  return { name, lengthBytes, pieces: pieceCount, ...infoHashes(metainfo) };
}

function infoHashes({ infoHashV1, infoHashV2 }: Metainfo) {
  return { infoHashV1: infoHashV1 && toHex(infoHashV1), infoHashV2: infoHashV2 && toHex(infoHashV2) };
}

function torrentText({ name, lengthBytes, infoHashV1, infoHashV2 }: ReturnType<typeof torrentJson>): string {
  return `  ${name}  ${formatBytes(lengthBytes)}  v1 ${infoHashV1}  v2 ${infoHashV2}`;
}
