/** Seeds the torrents of a data directory, in place: segments, and the catalogues that name them. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { HybridTorrent } from '../metainfo/hybrid.js';
import { type ExtentsHandle, fileExtents, Store } from '../native.js';
import type { TorrentFault } from '../swarm/link-host.js';
import { type DhtChoice, dhtNodes, resolveAll } from './addresses.js';
import { catalogueTorrent } from './catalogue-torrent.js';
import { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { Source, type SourceOptions } from './source.js';
import { StateFolder } from './state.js';

export interface SeedOptions extends SourceOptions, DhtChoice {
  readonly peer?: readonly string[];
  readonly stateDir: string;
}

/** Older catalogues are prefixes of the newest: those whose infohash may still be in use are seeded as well. */
const cataloguesSeeded = 8;

/** A running seeder. */
export class Seeder {
  readonly source: Source;
  readonly peerNode: PeerNode;
  /** Every torrent that is served: segments, then catalogues; the newest catalogue is the last. */
  readonly torrents: readonly HybridTorrent[];
  /** The newest catalogue; null when a segment has no undo data. */
  readonly catalogue: HybridTorrent | null;
  readonly #state: StateFolder;

  private constructor(
    source: Source,
    peerNode: PeerNode,
    torrents: readonly HybridTorrent[],
    catalogue: HybridTorrent | null,
    state: StateFolder,
  ) {
    this.source = source;
    this.peerNode = peerNode;
    this.torrents = torrents;
    this.catalogue = catalogue;
    this.#state = state;
  }

  /** Scans, hashes, listens; resolves when peers may come. Errors as `Source.open` and `PeerNode`. */
  static async start(options: SeedOptions, signal: AbortSignal, report: Report): Promise<Seeder> {
    const source = await Source.open(options, signal);
    for (const warning of source.datadir.warnings()) report.warn(warning);
    const state = StateFolder.open(options.stateDir, options.datadir);
    try {
      const peers = await resolveAll(options.peer, signal);
      const dht = await dhtNodes(options, signal, report);
      // Before the hashing: a port in use is told at once.
      const peerNode = new PeerNode({ listen: options.listen, peers, dht });
      try {
        const served: [HybridTorrent, ExtentsHandle][] = [];
        for (const { blocks, spent, spentReason, index } of await source.segments({ signal, report })) {
          served.push([blocks, blocks.extents]);
          if (spent) served.push([spent, spent.extents]);
          else report.warn(`segment ${index} has no spent file: ${spentReason}`);
        }
        const catalogues = await makeCatalogues(source, state, signal, report);
        served.push(...catalogues);
        for (const [torrent, extents] of served) serve(peerNode, torrent, extents, report);
        return new Seeder(
          source,
          peerNode,
          served.map(([torrent]) => torrent),
          catalogues.at(-1)?.[0] ?? null,
          state,
        );
      } catch (error) {
        await peerNode.close();
        throw error;
      }
    } catch (error) {
      state.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    await this.peerNode.close();
    this.#state.close();
  }
}

function serve(peerNode: PeerNode, torrent: HybridTorrent, extents: ExtentsHandle, report: Report): void {
  const store = Store.overExtents(torrent, extents);
  // Hashed a moment ago: that is where the torrent comes from.
  store.setServableAll();
  const fault = ({ message }: TorrentFault) => report.warn(`${torrent.name} is paused: ${message}`);
  peerNode.addContent(torrent, store, { events: { fault } });
}

/** Writes the newest catalogue to the state folder: one file serves all smaller ones, which are its prefixes. */
async function makeCatalogues(
  source: Source,
  state: StateFolder,
  signal: AbortSignal,
  report: Report,
): Promise<[HybridTorrent, ExtentsHandle][]> {
  const segments = await source.segments({ signal, report });
  if (source.sealed === 0) return [];
  if (segments.some(({ spent }) => spent === null)) {
    report.warn('no catalogue is seeded: it needs the undo data (rev*.dat) of every segment');
    return [];
  }
  const { bytes, endBytes } = await source.catalogue(source.sealed, { signal, report });
  const path = join(state.path, 'catalogue.dat');
  await writeFile(path, bytes);
  const made: [HybridTorrent, ExtentsHandle][] = [];
  for (let count = Math.max(1, source.sealed - cataloguesSeeded + 1); count <= source.sealed; count++) {
    const lengthBytes = endBytes[count - 1] ?? 0;
    const torrent = await catalogueTorrent(path, lengthBytes, source.network.name, count, signal);
    made.push([torrent, fileExtents(path, lengthBytes)]);
  }
  return made;
}
