/**
 * The catalogues that are served: the newest, and older ones whose infohash may still be in use. One file serves all, since
 * older catalogues are prefixes of newer ones.
 */
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { segmentHeights } from '../chain/segment.js';
import type { HybridTorrent } from '../metainfo/hybrid.js';
import { fileExtents, HeaderChain, Store } from '../native.js';
import type { TorrentFault } from '../swarm/link-host.js';
import type { Swarm } from '../swarm/swarm.js';
import type { CatalogueClaim } from '../wire/bs-catalogue.js';
import { catalogueTorrent } from './catalogue-torrent.js';
import type { PeerNode } from './peer-node.js';
import { Rendezvous } from './rendezvous.js';
import type { Report } from './report.js';
import { type ChainHeaders, catalogueParts, type MadeSegment } from './source.js';
import { writeWholeFile } from './whole-file.js';

const SEEDED = 8;
export const CATALOGUE_FILE = 'catalogue.dat';
/** Where the time is in a header: little-endian Unix seconds. */
const TIME_OFFSET = 68;
const HEADER_BYTES = 80;

export interface CatalogueSeedsOptions {
  readonly peerNode: PeerNode;
  readonly source: ChainHeaders;
  /** Where the file is kept. */
  readonly folder: string;
  readonly report: Report;
}

interface Seed {
  readonly count: number;
  readonly torrent: HybridTorrent;
  readonly store: Store;
  readonly swarm: Swarm;
}

export class CatalogueSeeds {
  readonly #options: CatalogueSeedsOptions;
  readonly #path: string;
  /** The newest is the last. */
  #seeds: Seed[] = [];
  #claims: readonly CatalogueClaim[] = [];
  #stop = new AbortController();
  #news = new AbortController();

  constructor(options: CatalogueSeedsOptions) {
    this.#options = options;
    this.#path = join(options.folder, CATALOGUE_FILE);
  }

  /** The newest is the last. */
  get torrents(): HybridTorrent[] {
    return this.#seeds.map(({ torrent }) => torrent);
  }

  /** What is said of them; the newest is the first. */
  get claims(): readonly CatalogueClaim[] {
    return this.#claims;
  }

  /** Fires at the next change of `claims`. */
  get news(): AbortSignal {
    return this.#news.signal;
  }

  /** Makes and serves the catalogue of these segments, unless it is there. @throws ERR_DISK_FULL, ERR_IO, `signal.reason` */
  async update(segments: readonly MadeSegment[], signal: AbortSignal): Promise<void> {
    const { source, report } = this.#options;
    const count = segments.length;
    if (count === (this.#seeds.at(-1)?.count ?? 0)) return;
    this.#stop = new AbortController();
    const either = AbortSignal.any([signal, this.#stop.signal]);
    try {
      const ends = await this.#write(segments, either);
      for (const { count, store } of this.#seeds) store.moveTo(fileExtents(this.#path, ends[count] ?? 0));
      for (let number = Math.max(1, count - SEEDED + 1); number <= count; number++) {
        if (this.#seeds.some((seed) => seed.count === number)) continue;
        const lengthBytes = ends[number] ?? 0;
        const torrent = await catalogueTorrent(this.#path, lengthBytes, source.network.name, number, either);
        if (either.aborted) return;
        this.#serve(number, torrent);
      }
      for (const seed of this.#seeds.splice(0, Math.max(0, this.#seeds.length - SEEDED))) seed.swarm.close();
      const claims = await this.#claimsOf(either);
      if (either.aborted) return;
      this.#tell(claims);
      const newest = this.#seeds.at(-1)?.torrent;
      if (newest && claims.length === 0)
        report.warn('nobody is told of the catalogue: the headers of this chain break a rule');
    } catch (error) {
      // Withdrawn meanwhile: the next update makes another one.
      if (!this.#stop.signal.aborted) throw error;
      signal.throwIfAborted();
    }
  }

  /** Those that name this segment, or a later one, are not served any more. */
  withdrawFrom(segment: number): void {
    this.#stop.abort();
    const kept = this.#seeds.filter(({ count }) => count <= segment);
    for (const seed of this.#seeds) if (!kept.includes(seed)) seed.swarm.close();
    this.#seeds = kept;
    this.#tell(this.#claims.filter(({ count }) => count <= segment));
  }

  /** Writes the file; returns where each catalogue ends in it, the magic's end first. */
  async #write(segments: readonly MadeSegment[], signal: AbortSignal): Promise<number[]> {
    const { source } = this.#options;
    const ends: number[] = [];
    let lengthBytes = 0;
    const parts = function* () {
      for (const part of catalogueParts(source, segments)) {
        signal.throwIfAborted();
        lengthBytes += part.length;
        ends.push(lengthBytes);
        yield part;
      }
    };
    await writeWholeFile(this.#path, parts(), true);
    signal.throwIfAborted();
    return ends;
  }

  #serve(count: number, torrent: HybridTorrent): void {
    const { peerNode, report } = this.#options;
    const store = Store.overExtents(torrent, fileExtents(this.#path, torrent.lengthBytes));
    store.setServableAll();
    const fault = ({ message }: TorrentFault) => report.warn(`${torrent.name} is paused: ${message}`);
    // By the catalogue all else is found.
    const more = { maxLinks: peerNode.maxConnections, events: { fault }, announcedFirst: true };
    const swarm = peerNode.addContent(torrent, store, more);
    this.#seeds.push({ count, torrent, store, swarm });
    this.#seeds.sort((a, b) => a.count - b.count);
  }

  #tell(claims: readonly CatalogueClaim[]): void {
    const { peerNode, source } = this.#options;
    if (claims.length === 0 && this.#claims.length === 0) return;
    this.#claims = claims;
    Rendezvous.at(peerNode, source.network).tell(claims);
    const news = this.#news;
    this.#news = new AbortController();
    news.abort();
  }

  /** What is said at the rendezvous: the newest catalogue first. */
  async #claimsOf(signal: AbortSignal): Promise<CatalogueClaim[]> {
    const { source } = this.#options;
    const { network } = source;
    const chain = new HeaderChain(network.name);
    const claims: CatalogueClaim[] = [];
    const counts = new Map(this.#seeds.map(({ count, torrent }) => [count, torrent]));
    const last = this.#seeds.at(-1)?.count ?? 0;
    for (let index = 0; index < last && !signal.aborted; index++) {
      const { firstHeight, endHeight } = segmentHeights(index, network.interval);
      const headers = source.headers(firstHeight, endHeight);
      // Blocks of the node's past are not from the future, whatever our clock says.
      const nowSeconds = Math.max(Date.now() / 1000, newestTime(headers));
      chain.append(headers, nowSeconds);
      // A node follows the rules; whose headers do not is no source of catalogues.
      if (chain.height() !== endHeight - 1) break;
      const torrent = counts.get(index + 1);
      if (torrent) {
        const { infoHashV1, infoHashV2, lengthBytes } = torrent;
        claims.unshift({
          infoHashV1,
          infoHashV2,
          lengthBytes,
          count: index + 1,
          work: chain.workAt(endHeight - 1),
        });
      }
      // A whole chain takes a second or two.
      await turn();
    }
    return claims;
  }
}

/** The latest Unix time in headers of 80 bytes each. */
export function newestTime(headers: Uint8Array): number {
  const view = new DataView(headers.buffer, headers.byteOffset, headers.byteLength);
  let newest = 0;
  for (let at = TIME_OFFSET; at < headers.length; at += HEADER_BYTES) {
    newest = Math.max(newest, view.getUint32(at, true));
  }
  return newest;
}
