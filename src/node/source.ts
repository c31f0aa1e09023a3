/**
 * A data directory as a source of torrents: scanned once, read-only; each sealed segment hashed once and
 * served in place.
 */
import { readdir, stat } from 'node:fs/promises';
import { datadirPaths } from '../bridge/datadir.js';
import { catalogueHead, catalogueRecord } from '../chain/catalogue.js';
import { sealedSegments, segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import { type HybridTorrent, makeHybrid, PIECE_LENGTH_BYTES } from '../metainfo/hybrid.js';
import { type SegmentKind, segmentFileName } from '../metainfo/segment.js';
import {
  type Datadir,
  type ExtentsHandle,
  type HashPace,
  type Network,
  networkParams,
  type ResumeDb,
  scanDatadir,
} from '../native.js';
import type { Report } from './report.js';
import { undoOverlayPath } from './undo-overlay.js';

export interface SourceOptions {
  /** What `bitcoind -datadir` takes. */
  readonly datadir: string;
  /** Where the block files are, when not below the data directory. */
  readonly blocks?: string | undefined;
  readonly network: string;
  /** Undo records that were rewritten are looked for there: see `OldUndo`. */
  readonly stateDir?: string | undefined;
}

/** A torrent whose bytes lie in block files. */
export interface SegmentTorrent extends HybridTorrent {
  readonly extents: ExtentsHandle;
  /** Nobody has read the bytes in this run: they were hashed in an earlier one, and the files have not changed. */
  readonly isRemembered: boolean;
  /** Only a catalogue says that it is this torrent. */
  readonly isNamed?: boolean;
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
  /** How fast the disk is read; as fast as it goes when absent. */
  readonly pace?: HashPace;
}

/** Heights, half-open. */
export interface HeightRange {
  readonly firstHeight: number;
  readonly endHeight: number;
}

/** A chain's headers: with the torrents of its segments they make a catalogue. */
export interface ChainHeaders {
  readonly network: Network;
  /** 80 bytes each, of the heights `[first, end)`. */
  headers(first: number, end: number): Uint8Array;
}

/** Whatever knows where the bytes of sealed segments lie: see `SegmentHasher`. */
export interface SegmentSource {
  readonly network: Network;
  /** Hashes a segment's blocks file, or takes over what an earlier run hashed. Errors as `Datadir.hashed`. */
  blocks(index: number, options: HashOptions): Promise<SegmentTorrent>;
  /** Likewise its spent file. @throws BlockswarmError also ERR_SPENT_MISSING */
  spent(index: number, options: HashOptions): Promise<SegmentTorrent>;
  /** The heights of the blocks in `[startBytes, endBytes)` of a segment's file. */
  heightsAt(index: number, kind: SegmentKind, startBytes: number, endBytes: number): HeightRange;
}

/** Whether an error says that a segment's undo data cannot be used; its blocks can. */
export function lacksSpent(error: unknown): error is BlockswarmError {
  return error instanceof BlockswarmError && /^ERR_(SPENT_MISSING|UNDO_OLD)$/.test(error.code);
}

export class Source implements SegmentSource, ChainHeaders {
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
   * Scans the block files; with `indexPath`, a file in an existing folder, only what has changed since an earlier run.
   * @throws BlockswarmError ERR_NETWORK_UNKNOWN, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_XOR_KEY,
   *   ERR_NETWORK_MISMATCH
   */
  static async open(options: SourceOptions, signal: AbortSignal, indexPath?: string): Promise<Source> {
    const network = networkParams(options.network);
    const { blocksDir } = datadirPaths(options.datadir, network.name, options.blocks);
    await refuseForeignLayout(options.datadir);
    const datadir = await scanDatadir(blocksDir, network.name, signal, indexPath);
    const overlay =
      options.stateDir === undefined ? null : undoOverlayPath(options.stateDir, options.datadir);
    if (overlay) datadir.useUndoOverlay(overlay);
    return new Source(network, datadir, blocksDir);
  }

  /** @throws BlockswarmError ERR_BLOCK_PRUNED, ERR_DATADIR_EMPTY when no chain begins at genesis */
  refuseWithoutChain(): void {
    if (this.height >= 0) return;
    const { orphans } = this.datadir.strays();
    if (orphans === 0)
      throw new BlockswarmError('ERR_DATADIR_EMPTY', `${this.blocksDir} holds no chain from genesis on`);
    throw new BlockswarmError(
      'ERR_BLOCK_PRUNED',
      `${this.blocksDir} holds ${orphans} blocks and not those below them: the node has pruned them, or their files were ` +
        'lost (`blockswarm doctor` names these). It takes a node without -prune, or segment files from the swarm: `blockswarm get`',
    );
  }

  headers(first: number, end: number): Uint8Array {
    return this.datadir.headers(first, end);
  }

  /** Of a segment's torrent and its only file. */
  fileName(index: number, kind: SegmentKind): string {
    return segmentFileName(this.network.name, index, kind);
  }

  /** Keeps what is known of the files for the next run. */
  close(): Promise<void> {
    return this.datadir.close();
  }

  blocks(index: number, options: HashOptions): Promise<SegmentTorrent> {
    return this.#torrent(index, 'blocks', options);
  }

  spent(index: number, options: HashOptions): Promise<SegmentTorrent> {
    return this.#torrent(index, 'spent', options);
  }

  /** Where the bytes of a segment's file lie that somebody else has hashed; null when only hashing it tells. */
  known(index: number, kind: SegmentKind, torrent: HybridTorrent): SegmentTorrent | null {
    try {
      const { datadir } = this;
      const extents = kind === 'blocks' ? datadir.blocksExtents(index) : datadir.spentExtents(index);
      return extents.lengthBytes === torrent.lengthBytes
        ? { ...torrent, extents, isRemembered: true, isNamed: true }
        : null;
    } catch (error) {
      // Whose the undo records are is not known before they are read.
      if (error instanceof BlockswarmError && /^ERR_SPENT_MISSING|^ERR_SEGMENT_RANGE/.test(error.code))
        return null;
      throw error;
    }
  }

  heightsAt(index: number, kind: SegmentKind, startBytes: number, endBytes: number): HeightRange {
    const { firstHeight, endHeight } = segmentHeights(index, this.network.interval);
    // Where undo records end only their own reading tells.
    if (kind === 'spent') return { firstHeight, endHeight };
    const inside: number[] = [];
    let at = 0;
    for (let height = firstHeight; height < endHeight && at < endBytes; height++) {
      at += this.datadir.location(height)?.lengthBytes ?? 0;
      if (at > startBytes) inside.push(height);
    }
    return { firstHeight: inside[0] ?? firstHeight, endHeight: (inside.at(-1) ?? endHeight - 1) + 1 };
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
    const parts = [...catalogueParts(this, segments)];
    let lengthBytes = 0;
    const ends = parts.map((part) => (lengthBytes += part.length));
    return { bytes: Buffer.concat(parts), endBytes: ends.slice(1) };
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
        if (!lacksSpent(error)) throw error;
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
    { signal, resumeDb, pace }: HashOptions,
  ): Promise<SegmentTorrent> {
    const { extents, hashes, isRemembered } = await this.datadir.hashed(
      index,
      kind,
      PIECE_LENGTH_BYTES,
      resumeDb ?? null,
      pace ?? null,
      signal,
    );
    const name = this.fileName(index, kind);
    const torrent = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
    return { ...torrent, extents, isRemembered };
  }
}

/**
 * Says what to do with blocks that are not in a node's directory of Core's.
 * @throws BlockswarmError ERR_DATADIR_EMPTY
 */
async function refuseForeignLayout(datadir: string): Promise<void> {
  const why =
    'It has no undo data, so that no spent files and no catalogue can be made of it; its blocks files can be seeded';
  const found = await stat(datadir).catch(() => null);
  if (found?.isFile()) {
    const text = `${datadir} is a file, not a data directory. ${why}: \`blockswarm seed --bootstrap ${datadir}\``;
    throw new BlockswarmError('ERR_DATADIR_EMPTY', text);
  }
  const names: readonly string[] = await readdir(datadir).catch(() => []);
  if (!names.includes('blocks_ffldb') && !names.some((name) => name.endsWith('.fdb'))) return;
  const text = `${datadir} is btcd's, not Core's. ${why}: \`blockswarm seed --btcd ${datadir}\``;
  throw new BlockswarmError('ERR_DATADIR_EMPTY', text);
}

/** The head and the records of a catalogue of these segments, which are the first ones of the chain. */
export function* catalogueParts(
  chain: ChainHeaders,
  segments: Iterable<MadeSegment>,
): Generator<Uint8Array, void, undefined> {
  yield catalogueHead(chain.network);
  for (const { index, blocks, spent } of segments) {
    const { firstHeight, endHeight } = segmentHeights(index, chain.network.interval);
    const headers = chain.headers(firstHeight, endHeight);
    yield catalogueRecord(headers, blocks.metainfoBytes, spent.metainfoBytes);
  }
}
