/**
 * Torrents of segments as a catalogue names them: with them segments are served before they are hashed. A catalogue is
 * believed in nothing: only what it says of the blocks that are here is taken, a piece that is not what it says is never
 * sent, and hashing shows which torrents are the right ones.
 */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { CatalogueReader } from '../chain/catalogue.js';
import { segmentHeights } from '../chain/segment.js';
import { makeHybrid } from '../metainfo/hybrid.js';
import { sameBytes } from '../units.js';
import { BadCatalogues } from './bad-catalogues.js';
import { chainWorkFloor, readCatalogueFile } from './catalogue.js';
import { searchCatalogue } from './catalogue-search.js';
import { CATALOGUE_FILE } from './catalogue-seeds.js';
import { catalogueSources } from './catalogue-sources/named.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import type { SegmentSeeds } from './segment-seeds.js';
import type { Source } from './source.js';

export interface NamedSegmentsOptions {
  readonly source: Source;
  readonly segments: SegmentSeeds;
  /** How many are sealed. */
  readonly sealed: () => number;
  readonly peerNode: PeerNode;
  /** Of this data directory. */
  readonly statePath: string;
  readonly stateDir: string;
  /** See `catalogueSources`; without any only the catalogue that an earlier run made is looked at. */
  readonly catalogue: readonly string[];
  readonly minChainWork: string | undefined;
  readonly report: Report;
}

const SEARCH_SECONDS = 600;

/** Serves what the catalogues name, as they come. Rejects only with `signal.reason`. */
export async function serveNamedSegments(options: NamedSegmentsOptions, signal: AbortSignal): Promise<void> {
  const { source, statePath, catalogue, report } = options;
  const own = join(statePath, CATALOGUE_FILE);
  try {
    if (await stat(own).catch(() => null)) {
      await serve(options, await readCatalogueFile(own, source.network, signal), signal);
    }
    if (catalogue.length > 0) await serve(options, await search(options, signal), signal);
  } catch (error) {
    signal.throwIfAborted();
    report.warn(
      `no catalogue says what the segments are before they are hashed: ${(error as Error).message}`,
    );
  }
}

async function search(options: NamedSegmentsOptions, signal: AbortSignal): Promise<CatalogueReader> {
  const { source, peerNode, statePath, stateDir, catalogue, minChainWork, report } = options;
  const { network } = source;
  const folder = join(statePath, 'catalogues');
  await mkdir(folder, { recursive: true });
  const sources = catalogueSources(catalogue, { network, peerNode, stateDir, datadir: null });
  const floor = chainWorkFloor(network, minChainWork, report);
  const bad = await BadCatalogues.open(statePath);
  const shared = { network, floor, folder, peerNode, bad, sources, report, signal };
  return (await searchCatalogue({ ...shared, timeoutSeconds: SEARCH_SECONDS })).reader;
}

async function serve(
  { source, segments, sealed }: NamedSegmentsOptions,
  { chain, records }: CatalogueReader,
  signal: AbortSignal,
): Promise<void> {
  const { datadir, network } = source;
  for (const record of records) {
    signal.throwIfAborted();
    const { index } = record;
    const { endHeight } = segmentHeights(index, network.interval);
    const here = datadir.hashAt(endHeight - 1);
    // Each block commits to all before it.
    if (index >= sealed() || !here || !sameBytes(here, chain.hashAt(endHeight - 1))) return;
    for (const kind of ['blocks', 'spent'] as const) {
      const { pieces, piecesRoot, pieceLayer, ...metainfo } = record[kind];
      if (!pieces || !piecesRoot || !pieceLayer) continue;
      const torrent = source.known(index, kind, makeHybrid({ ...metainfo, pieces, piecesRoot, pieceLayer }));
      if (torrent) await segments.serve(index, kind, torrent);
    }
  }
}
