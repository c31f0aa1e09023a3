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

export interface HashOptions {
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Keeps hashes between runs; without it, everything is hashed. */
  readonly resumeDb?: ResumeDb;
}

export class Source {
  readonly network: Network;
  readonly datadir: Datadir;
  /** How many segments are sealed. */
  readonly sealed: number;
  #segments: Promise<SegmentTorrents[]> | null = null;

  private constructor(network: Network, datadir: Datadir) {
    this.network = network;
    this.datadir = datadir;
    this.sealed = sealedSegments(this.height, network.interval);
  }

  /** Height of the most-work chain that the files hold; -1 for none. */
  get height(): number {
    return this.datadir.tip()?.height ?? -1;
  }

  /**
   * Scans the block files.
   * @throws BlockswarmError ERR_NETWORK_UNKNOWN, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_XOR_KEY,
   *   ERR_NETWORK_MISMATCH
   */
  static async open(options: SourceOptions, signal: AbortSignal): Promise<Source> {
    const network = networkParams(options.network);
    const { blocksDir } = datadirPaths(options.datadir, network.name, options.blocks);
    return new Source(network, await scanDatadir(blocksDir, network.name, signal));
  }

  /** Hashes every sealed segment, one after the other: the disk is read in order. The first call does it. */
  async segments(options: HashOptions): Promise<SegmentTorrents[]> {
    this.#segments ??= this.#hashAll(options);
    return this.#segments;
  }

  /**
   * The catalogue of the first `count` segments, and the prefix lengths of all smaller ones.
   * @throws BlockswarmError ERR_NOT_SEALED, ERR_SPENT_MISSING
   */
  async catalogue(count: number, options: HashOptions): Promise<{ bytes: Uint8Array; endBytes: number[] }> {
    if (count < 1 || count > this.sealed) {
      throw new BlockswarmError(
        'ERR_NOT_SEALED',
        `${this.sealed} segments are sealed (tip ${this.height}); cannot make a catalogue of ${count}`,
      );
    }
    const parts = [catalogueHead(this.network)];
    const endBytes: number[] = [];
    let lengthBytes = parts[0]?.length ?? 0;
    for (const segment of (await this.segments(options)).slice(0, count)) {
      if (!segment.spent) {
        throw new BlockswarmError(
          'ERR_SPENT_MISSING',
          `no catalogue: segment ${segment.index} has no spent file (${segment.spentReason}). ` +
            'A catalogue needs the undo data (rev*.dat) of every segment; blocks files are seeded without it.',
        );
      }
      const headers = this.datadir.headers(segment.firstHeight, segment.endHeight);
      const record = catalogueRecord(headers, segment.blocks.metainfoBytes, segment.spent.metainfoBytes);
      parts.push(record);
      lengthBytes += record.length;
      endBytes.push(lengthBytes);
    }
    return { bytes: Buffer.concat(parts), endBytes };
  }

  async #hashAll(options: HashOptions): Promise<SegmentTorrents[]> {
    const segments: SegmentTorrents[] = [];
    for (let index = 0; index < this.sealed; index++) {
      const blocks = await this.#torrent(index, 'blocks', options);
      let spent: SegmentTorrent | null = null;
      let spentReason: string | null = null;
      try {
        spent = await this.#torrent(index, 'spent', options);
      } catch (error) {
        if (!(error instanceof BlockswarmError) || error.code !== 'ERR_SPENT_MISSING') throw error;
        spentReason = error.message;
      }
      segments.push({ index, ...segmentHeights(index, this.network.interval), blocks, spent, spentReason });
      options.report.progress({ stage: 'hashing', done: index + 1, total: this.sealed, unit: 'segments' });
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
