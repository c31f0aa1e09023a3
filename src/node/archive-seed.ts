/**
 * Seeds segments that a catalogue names from files that hold their bytes: a folder of segment files, btcd's block files,
 * or a `bootstrap.dat`. Nothing is made of such files: what the catalogue's torrents do not agree with is not served.
 */
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { CatalogueRecord } from '../chain/catalogue.js';
import { segmentHeights } from '../chain/segment.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { SegmentKind } from '../metainfo/segment.js';
import {
  BlockArchive,
  type ExtentsHandle,
  fileExtents,
  type HeaderChain,
  networkParams,
  ResumeDb,
  Store,
} from '../native.js';
import type { TorrentFault } from '../swarm/link-host.js';
import { CatalogueClient, type CatalogueClientOptions } from './catalogue-client.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { resumeFileName, resumeKey, scrub } from './resume.js';
import { findSegmentFiles } from './segment-folder.js';
import { checkRanges } from './torrent-content.js';

/** Where the bytes are. */
export interface Archive {
  readonly kind: 'segments' | 'btcd' | 'bootstrap';
  readonly path: string;
}

export interface ArchiveSeedOptions extends CatalogueClientOptions {
  readonly archive: Archive;
}

/** Finds the bytes of a segment's file; null when they are not all there. */
type Find = (record: CatalogueRecord, kind: SegmentKind, chain: HeaderChain) => Promise<ExtentsHandle | null>;

/** A file that is served. */
interface Served {
  readonly torrent: Metainfo;
  readonly store: Store;
  /** Pieces that nobody has looked at in this run. */
  readonly trusted: Uint8Array;
}

export class ArchiveSeeder {
  readonly network: string;
  readonly peerNode: PeerNode;
  /** Resolves when all that can be served is served; also when it is closed before. */
  readonly caughtUp: Promise<void>;
  readonly #client: CatalogueClient;
  readonly #resumeDb: ResumeDb;
  readonly #archive: Archive;
  readonly #find: Find;
  readonly #report: Report;
  readonly #served: Served[] = [];
  readonly #stop = new AbortController();
  readonly #scrubbing: Promise<void>;

  private constructor(parts: {
    client: CatalogueClient;
    resumeDb: ResumeDb;
    archive: Archive;
    find: Find;
    report: Report;
  }) {
    const { client, resumeDb, archive, find, report } = parts;
    this.network = client.network.name;
    this.peerNode = client.peerNode;
    this.#client = client;
    this.#resumeDb = resumeDb;
    this.#archive = archive;
    this.#find = find;
    this.#report = report;
    this.caughtUp = this.#serveAll().catch((error: unknown) => {
      if (!this.#stop.signal.aborted) report.warn(`seeding goes on, but: ${(error as Error).message}`);
    });
    this.#scrubbing = this.caughtUp.then(() => this.#scrub());
  }

  /**
   * Finds the blocks, listens, and gets the catalogue; files are served as they are checked.
   * @throws BlockswarmError as `CatalogueClient.open`; ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE
   */
  static async start(
    options: ArchiveSeedOptions,
    signal: AbortSignal,
    report: Report,
  ): Promise<ArchiveSeeder> {
    const { archive } = options;
    const find = await finder(archive, options.network, signal, report);
    const subject = archive.kind === 'bootstrap' ? dirname(archive.path) : archive.path;
    const client = await CatalogueClient.open(options, subject, signal, report);
    try {
      const resumeDb = await ResumeDb.open(join(client.state.path, resumeFileName));
      return new ArchiveSeeder({ client, resumeDb, archive, find, report });
    } catch (error) {
      await client.close();
      throw error;
    }
  }

  get torrents(): readonly Metainfo[] {
    return this.#served.map(({ torrent }) => torrent);
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.caughtUp, this.#scrubbing]);
    await this.#client.close();
    await this.#resumeDb.close();
  }

  async #serveAll(): Promise<void> {
    const { reader } = this.#client.catalogue;
    const { signal } = this.#stop;
    const missing: number[] = [];
    const { records } = reader;
    for (const record of records) {
      const kinds: readonly SegmentKind[] =
        this.#archive.kind === 'segments' ? ['blocks', 'spent'] : ['blocks'];
      for (const kind of kinds) {
        signal.throwIfAborted();
        const extents = await this.#find(record, kind, reader.chain);
        if (extents) await this.#serve(record[kind], extents);
        else if (kind === 'blocks') missing.push(record.index);
      }
      const done = record.index + 1;
      this.#report.progress({ stage: 'checking', done, total: records.length, unit: 'segments' });
    }
    for (const warning of this.#resumeDb.warnings()) this.#report.warn(warning);
    if (missing.length === 0) return;
    const first = missing.slice(0, 10).join(', ');
    const which = missing.length > 10 ? `${first}, …` : first;
    this.#report.warn(
      `${missing.length} of ${records.length} segments of the catalogue are not wholly in ${this.#archive.path}: ${which}`,
    );
  }

  async #serve(torrent: Metainfo, extents: ExtentsHandle): Promise<void> {
    const { signal } = this.#stop;
    const { name, lengthBytes, pieceCount, pieceLengthBytes, pieces, piecesRoot, pieceLayer } = torrent;
    if (extents.lengthBytes !== lengthBytes) {
      const lengths = `${extents.lengthBytes} bytes where the catalogue's has ${lengthBytes}`;
      return this.#report.warn(`${name} is not served: ${lengths}`);
    }
    const hashes = { lengthBytes, pieceLengthBytes, pieces, piecesRoot, pieceLayer };
    const store = Store.overExtents(hashes, extents);
    const key = resumeKey(torrent, this.#archive.path);
    const { trusted, toCheck } = await store.resume(this.#resumeDb, key, signal);
    await checkRanges(store, torrent, toCheck, { signal, progress: () => {} });
    const good = store.servableCount();
    if (good === 0) return this.#report.warn(`${name} is not served: none of its pieces is right`);
    if (good < pieceCount) {
      this.#report.warn(`${name}: ${good} of ${pieceCount} pieces are right; only these are served`);
    }
    await store.save(this.#resumeDb, key, false);
    const fault = ({ message }: TorrentFault) => this.#report.warn(`${name} is paused: ${message}`);
    const { peerNode } = this;
    peerNode.addContent(torrent, store, { wanted: [], maxLinks: peerNode.maxConnections, events: { fault } });
    this.#served.push({ torrent, store, trusted });
    const event = { event: 'seeding', name, lengthBytes, pieceCount, goodPieces: good };
    this.#report.event(event, '');
  }

  /** Looks in the background at what was taken over from an earlier start. */
  async #scrub(): Promise<void> {
    const { signal } = this.#stop;
    for (const { torrent, store, trusted } of this.#served) {
      if (signal.aborted) return;
      const wrong = await scrub(store, torrent, trusted, signal).catch((error: unknown) => {
        if (!signal.aborted) this.#report.warn(`looking at ${torrent.name} again failed: ${error}`);
        return [];
      });
      if (wrong.length === 0) continue;
      await this.#resumeDb.forget(resumeKey(torrent, this.#archive.path));
      this.#report.warn(
        `${torrent.name}: the bytes of ${wrong.length} pieces (the first is ${wrong[0]}) have changed; they are not served any more`,
      );
    }
  }
}

async function finder(archive: Archive, network: string, signal: AbortSignal, report: Report): Promise<Find> {
  const { kind, path } = archive;
  if (kind === 'segments') {
    await findSegmentFiles(path, network);
    return async (record, of) => {
      const { name, lengthBytes } = record[of];
      const found = await stat(join(path, name)).catch(() => null);
      if (found === null) return null;
      // A file of another length is said when it is compared.
      return fileExtents(join(path, name), found.isFile() ? found.size : lengthBytes);
    };
  }
  const { interval } = networkParams(network);
  const blocks = await BlockArchive.open(kind, path, network, signal);
  for (const warning of blocks.warnings()) report.warn(warning);
  return async ({ index }, _kind, chain) => {
    const { firstHeight, endHeight } = segmentHeights(index, interval);
    const heights = Array.from({ length: endHeight - firstHeight }, (_, n) => firstHeight + n);
    return blocks.extents(Buffer.concat(heights.map((height) => chain.hashAt(height))));
  };
}
