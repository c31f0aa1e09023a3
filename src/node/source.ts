/**
 * A data directory as a source of torrents: scanned once, read-only; each sealed segment hashed once and
 * served in place.
 */
import { datadirPaths } from '../bridge/datadir.js';
import { catalogueHead, catalogueRecord } from '../chain/catalogue.js';
import { sealedSegments, segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import { type HybridTorrent, makeHybrid, PIECE_LENGTH_BYTES } from '../metainfo/hybrid.js';
import { type SegmentKind, segmentFileName } from '../metainfo/segment.js';
import {
  type Datadir,
  type ExtentsHandle,
  type Network,
  networkParams,
  type ResumeDb,
  scanDatadir,
} from '../native.js';
import type { Report } from './report.js';

export interface SourceOptions {
  /** What `bitcoind -datadir` takes. */
  readonly datadir: string;
  /** Where the block files are, when not below the data directory. */
  readonly blocks?: string | undefined;
  readonly network: string;
}

/** A torrent whose bytes lie in block files. */
export interface SegmentTorrent extends HybridTorrent {
  readonly extents: ExtentsHandle;
  /** Nobody has read the bytes in this run: they were hashed in an earlier one, and the files have not changed. */
  readonly isRemembered: boolean;
}

/** The torrents of one segment; `spent` is null when its undo data cannot be used, and `spentReason` says why. */
export interface SegmentTorrents {
  readonly index: number;
  readonly firstHeight: number;
  readonly endHeight: number;
  readonly blocks: SegmentTorrent;
  readonly spent: SegmentTorrent | null;
  readonly spentReason: string | null;
}

/** A segment of which both files are known, as a catalogue needs it. */
export interface MadeSegment {
  readonly index: number;
  readonly blocks: HybridTorrent;
  readonly spent: HybridTorrent;
}

export interface HashOptions {
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Keeps hashes between runs; without it, everything is hashed. */
  readonly resumeDb?: ResumeDb;
}

/** Whatever knows where the bytes of sealed segments lie: see `SegmentHasher`. */
export interface SegmentSource {
  readonly network: Network;
  /** Hashes a segment's blocks file, or takes over what an earlier run hashed. Errors as `Datadir.hashed`. */
  blocks(index: number, options: HashOptions): Promise<SegmentTorrent>;
  /** Likewise its spent file. @throws BlockswarmError also ERR_SPENT_MISSING */
  spent(index: number, options: HashOptions): Promise<SegmentTorrent>;
  /** The bytes were found to be others than those that were hashed: nothing is taken over next time. */
  forget(index: number, kind: SegmentKind, resumeDb: ResumeDb): void;
}

export class Source implements SegmentSource {
  readonly network: Network;
  readonly datadir: Datadir;
  readonly blocksDir: string;
  #segments: Promise<SegmentTorrents[]> | null = null;

  private constructor(network: Network, datadir: Datadir, blocksDir: string) {
    this.network = network;
    this.datadir = datadir;
    this.blocksDir = blocksDir;
  }

  /** Height of the most-work chain that the files hold; -1 for none. */
  get height(): number {
    return this.datadir.tip()?.height ?? -1;
  }

  /** How many segments are sealed. */
  get sealed(): number {
    return sealedSegments(this.height, this.network.interval);
  }

  /**
   * Scans the block files.
   * @throws BlockswarmError ERR_NETWORK_UNKNOWN, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_XOR_KEY,
   *   ERR_NETWORK_MISMATCH
   */
  static async open(options: SourceOptions, signal: AbortSignal): Promise<Source> {
    const network = networkParams(options.network);
    const { blocksDir } = datadirPaths(options.datadir, network.name, options.blocks);
    return new Source(network, await scanDatadir(blocksDir, network.name, signal), blocksDir);
  }

  blocks(index: number, options: HashOptions): Promise<SegmentTorrent> {
    return this.#torrent(index, 'blocks', options);
  }

  spent(index: number, options: HashOptions): Promise<SegmentTorrent> {
    return this.#torrent(index, 'spent', options);
  }

  forget(index: number, kind: SegmentKind, resumeDb: ResumeDb): void {
    this.datadir.forgetHashed(index, kind, PIECE_LENGTH_BYTES, resumeDb);
  }

  /** Hashes every sealed segment, one after the other: the disk is read in order. The first call does it. */
  async segments(options: HashOptions): Promise<SegmentTorrents[]> {
    this.#segments ??= this.#hashAll(options);
    return this.#segments;
  }

  /**
   * The catalogue of the first `count` segments.
   * @throws BlockswarmError ERR_NOT_SEALED, ERR_SPENT_MISSING
   */
  async catalogue(count: number, options: HashOptions): Promise<{ bytes: Uint8Array; endBytes: number[] }> {
    if (count < 1 || count > this.sealed) {
      throw new BlockswarmError(
        'ERR_NOT_SEALED',
        `${this.sealed} segments are sealed (tip ${this.height}); cannot make a catalogue of ${count}`,
      );
    }
    const segments: MadeSegment[] = [];
    for (const { index, blocks, spent, spentReason } of (await this.segments(options)).slice(0, count)) {
      if (!spent) {
        throw new BlockswarmError(
          'ERR_SPENT_MISSING',
          `no catalogue: segment ${index} has no spent file (${spentReason}). ` +
            'A catalogue needs the undo data (rev*.dat) of every segment; blocks files are seeded without it.',
        );
      }
      segments.push({ index, blocks, spent });
    }
    const parts = [...this.catalogueParts(segments)];
    let lengthBytes = 0;
    const ends = parts.map((part) => (lengthBytes += part.length));
    return { bytes: Buffer.concat(parts), endBytes: ends.slice(1) };
  }

  /** The head and the records of a catalogue of these segments, which are the first ones of the chain. */
  *catalogueParts(segments: Iterable<MadeSegment>): Generator<Uint8Array, void, undefined> {
    yield catalogueHead(this.network);
    for (const { index, blocks, spent } of segments) {
      const { firstHeight, endHeight } = segmentHeights(index, this.network.interval);
      const headers = this.datadir.headers(firstHeight, endHeight);
      yield catalogueRecord(headers, blocks.metainfoBytes, spent.metainfoBytes);
    }
  }

  async #hashAll(options: HashOptions): Promise<SegmentTorrents[]> {
    const segments: SegmentTorrents[] = [];
    const { sealed } = this;
    for (let index = 0; index < sealed; index++) {
      const blocks = await this.blocks(index, options);
      let spent: SegmentTorrent | null = null;
      let spentReason: string | null = null;
      try {
        spent = await this.spent(index, options);
      } catch (error) {
        if (!(error instanceof BlockswarmError) || error.code !== 'ERR_SPENT_MISSING') throw error;
        spentReason = error.message;
      }
      segments.push({ index, ...segmentHeights(index, this.network.interval), blocks, spent, spentReason });
      options.report.progress({ stage: 'hashing', done: index + 1, total: sealed, unit: 'segments' });
    }
    return segments;
  }

  async #torrent(
    index: number,
    kind: SegmentKind,
    { signal, resumeDb }: HashOptions,
  ): Promise<SegmentTorrent> {
    const { extents, hashes, isRemembered } = await this.datadir.hashed(
      index,
      kind,
      PIECE_LENGTH_BYTES,
      resumeDb ?? null,
      signal,
    );
    const name = segmentFileName(this.network.name, index, kind);
    const torrent = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
    return { ...torrent, extents, isRemembered };
  }
}
