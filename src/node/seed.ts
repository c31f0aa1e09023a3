/** Seeds the torrents of a data directory, in place: segments, and the catalogues that name them. */
import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { privacyOf } from '../connector/privacy.js';
import type { HybridTorrent } from '../metainfo/hybrid.js';
import { parseFileName, type SegmentKind } from '../metainfo/segment.js';
import { type ExtentsHandle, fileExtents, HeaderChain, ResumeDb, Store } from '../native.js';
import type { TorrentFault } from '../swarm/link-host.js';
import type { CatalogueClaim } from '../wire/bs-catalogue.js';
import { catalogueTorrent } from './catalogue-torrent.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { PeerNode } from './peer-node.js';
import { Rendezvous } from './rendezvous.js';
import type { Report } from './report.js';
import { resumeFileName, scrub } from './resume.js';
import { type SegmentTorrent, Source, type SourceOptions } from './source.js';
import { StateFolder } from './state.js';

export interface SeedOptions extends SourceOptions, PeerNodeChoice {
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
  /** What is said of the catalogues; the newest is the first. */
  readonly claims: readonly CatalogueClaim[];
  readonly #state: StateFolder;
  readonly #resumeDb: ResumeDb;
  readonly #stop = new AbortController();
  #scrubbing: Promise<void> = Promise.resolve();

  private constructor(
    source: Source,
    peerNode: PeerNode,
    torrents: readonly HybridTorrent[],
    catalogue: HybridTorrent | null,
    claims: readonly CatalogueClaim[],
    state: StateFolder,
    resumeDb: ResumeDb,
  ) {
    this.source = source;
    this.peerNode = peerNode;
    this.torrents = torrents;
    this.catalogue = catalogue;
    this.claims = claims;
    this.#state = state;
    this.#resumeDb = resumeDb;
  }

  /** Scans, hashes, listens; resolves when peers may come. Errors as `Source.open` and `PeerNode`. */
  static async start(options: SeedOptions, signal: AbortSignal, report: Report): Promise<Seeder> {
    const privacy = privacyOf(options, randomBytes);
    const source = await Source.open(options, signal);
    for (const warning of source.datadir.warnings()) report.warn(warning);
    const state = StateFolder.open(options.stateDir, options.datadir);
    try {
      // Before the hashing: a port in use is told at once.
      const folders = [state.path];
      const peerNode = await openPeerNode({ choice: options, privacy, folders, signal, report });
      try {
        const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
        const served: [HybridTorrent, ExtentsHandle][] = [];
        const remembered: Remembered[] = [];
        const add = (index: number, kind: SegmentKind, torrent: SegmentTorrent) => {
          served.push([torrent, torrent.extents]);
          if (torrent.isRemembered) remembered.push({ index, kind, torrent });
        };
        for (const segment of await source.segments({ signal, report, resumeDb })) {
          const { index, blocks, spent, spentReason } = segment;
          add(index, 'blocks', blocks);
          if (spent) add(index, 'spent', spent);
          else report.warn(`segment ${index} has no spent file: ${spentReason}`);
        }
        for (const warning of resumeDb.warnings()) report.warn(warning);
        const catalogues = await makeCatalogues(source, state, signal, report);
        served.push(...catalogues);
        const stores = new Map<HybridTorrent, Store>();
        const claims = claimsOf(
          source,
          catalogues.map(([torrent]) => torrent),
        );
        if (claims.length > 0) Rendezvous.at(peerNode, source.network).tell(claims);
        // By the newest catalogue all else is found: it is the first that the DHT is told of.
        for (const [torrent, extents] of [...served].reverse())
          stores.set(torrent, serve(peerNode, torrent, extents, report));
        const seeder = new Seeder(
          source,
          peerNode,
          served.map(([torrent]) => torrent),
          catalogues.at(-1)?.[0] ?? null,
          claims,
          state,
          resumeDb,
        );
        seeder.#scrubbing = seeder.#scrub(remembered, stores, report);
        return seeder;
      } catch (error) {
        await peerNode.close();
        throw error;
      }
    } catch (error) {
      state.close();
      throw error;
    }
  }

  /** Where the state of this data directory is kept. */
  get statePath(): string {
    return this.#state.path;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#scrubbing;
    await this.peerNode.close();
    await this.#resumeDb.close();
    this.#state.close();
  }

  /** Looks in the background at what was taken over from an earlier start: a disk may forget without a word. */
  async #scrub(
    remembered: readonly Remembered[],
    stores: ReadonlyMap<HybridTorrent, Store>,
    report: Report,
  ): Promise<void> {
    try {
      for (const { index, kind, torrent } of remembered) {
        const store = stores.get(torrent);
        const wrong = store ? await scrub(store, torrent, store.servable(), this.#stop.signal) : [];
        if (wrong.length === 0) continue;
        // The next start settles it anew, and names the block that is damaged.
        this.source.datadir.forgetHashed(index, kind, torrent.pieceLengthBytes, this.#resumeDb);
        report.warn(
          `${torrent.name}: the bytes of ${wrong.length} pieces (the first is ${wrong[0]}) have changed though their ` +
            'files look the same; they are not served any more. Check the disk.',
        );
      }
    } catch (error) {
      if (!this.#stop.signal.aborted) report.warn(`looking at the block files again failed: ${error}`);
    }
  }
}

/** A segment's file that nobody has read in this run. */
interface Remembered {
  readonly index: number;
  readonly kind: SegmentKind;
  readonly torrent: SegmentTorrent;
}

function serve(peerNode: PeerNode, torrent: HybridTorrent, extents: ExtentsHandle, report: Report): Store {
  const store = Store.overExtents(torrent, extents);
  // Hashed a moment ago, or by an earlier start when the files were the same: that is where the torrent comes from.
  store.setServableAll();
  const fault = ({ message }: TorrentFault) => report.warn(`${torrent.name} is paused: ${message}`);
  peerNode.addContent(torrent, store, { maxLinks: peerNode.maxConnections, events: { fault } });
  return store;
}

/** What is said at the rendezvous: the newest catalogue first. */
function claimsOf({ network, datadir }: Source, catalogues: readonly HybridTorrent[]): CatalogueClaim[] {
  const chain = new HeaderChain(network.name);
  const claims: CatalogueClaim[] = [];
  for (const { name, lengthBytes, infoHashV1, infoHashV2 } of catalogues) {
    const count = parseFileName(name)?.number ?? 0;
    const endHeight = count * network.interval;
    chain.append(datadir.headers(chain.height() + 1, endHeight), Date.now() / 1000);
    // A node follows the rules; whose headers do not is no source of catalogues.
    if (chain.height() !== endHeight - 1) break;
    claims.unshift({ infoHashV1, infoHashV2, lengthBytes, count, work: chain.workAt(endHeight - 1) });
  }
  return claims;
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
