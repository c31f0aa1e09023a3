import * as bindings from '../../bindings/index.js';
import { ChainRecords } from './chain-records.js';
import type { ExtentsHandle, HashedFile } from './extents.js';
import type { HashPace } from './hashing.js';
import { KeptFiles } from './kept-files.js';
import type { ResumeDb } from './resume-db.js';
import { call, counted, task } from './task.js';
import type { RewrittenUndo } from './undo.js';
import {
  type ValidationOptions,
  type ValidationPlan,
  type ValidationVerdict,
  validated,
} from './validation.js';

/** Bytes `[firstByte, endByte)`. */
export interface ByteRange {
  readonly firstByte: number;
  readonly endByte: number;
}

/**
 * Scans blk*.dat and rev*.dat of a blocks folder: frame heads and headers. With `storePath`, a file in an existing folder,
 * only what has changed since an earlier run is read.
 * @throws BlockswarmError ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_XOR_KEY, ERR_NETWORK_MISMATCH
 */
export async function scanDatadir(
  blocksDir: string,
  network: string,
  signal?: AbortSignal,
  storePath?: string,
): Promise<Datadir> {
  const scan = () => bindings.scanDatadir(blocksDir, network, null, storePath);
  return new Datadir(await task(scan, signal));
}

/** What a node's block files hold. Read-only. */
export class Datadir {
  readonly #inner: bindings.Datadir;

  /** See `scanDatadir`. */
  constructor(inner: bindings.Datadir) {
    this.#inner = inner;
  }

  /** The end of the most-work chain; null when there is not even a genesis block. */
  tip(): Readonly<bindings.DatadirTip> | null {
    return this.#inner.tip();
  }

  /** Places in the files that are no blocks, in words. */
  warnings(): readonly string[] {
    return this.#inner.warnings;
  }

  /** 80-byte headers of `[first, end)` of the most-work chain. */
  headers(first: number, end: number): Uint8Array {
    return call(() => this.#inner.headers(first, end));
  }

  /** 32 bytes, internal order; of the most-work chain. Null above the tip. */
  hashAt(height: number): Uint8Array | null {
    return this.#inner.hashAt(height);
  }

  /**
   * Reads a segment's file at a pace, checks each record of it, and hashes it; or takes its hashes from `db`, when no file
   * under it has changed since. Some may be gone then.
   * @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE
   */
  async hashed(
    segment: number,
    kind: 'blocks' | 'spent',
    pieceLengthBytes: number,
    db: ResumeDb | null,
    pace: HashPace | null,
    signal?: AbortSignal,
  ): Promise<HashedFile> {
    const file = await task(
      (cancel) => this.#inner.hashed(segment, kind, pieceLengthBytes, db?.inner, pace, cancel),
      signal,
    );
    return { extents: file.extents(), hashes: file.hashes(), isRemembered: file.isRemembered };
  }

  /** Bytes of the records of the heights `[first, end)`; null when not all are held. */
  recordsLength(first: number, end: number): number | null {
    return this.#inner.recordsLength(first, end);
  }

  /**
   * Writes the records of the heights `[first, end)` to a file, in order, each block checked before; what the file
   * holds of them from its start on is checked and kept. `isStream`: the path is a pipe or a device, and all is
   * written. Progress counts bytes, those that were there included.
   * @throws ERR_SEGMENT_RANGE, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_DISK_FULL, ERR_IO
   */
  async writeRecords(
    first: number,
    end: number,
    path: string,
    options: { isStream: boolean; progress: (doneBytes: number) => void; signal: AbortSignal },
  ): Promise<void> {
    await counted(options, (counter, cancel) =>
      this.#inner.writeRecords(first, end, path, options.isStream, counter, cancel),
    );
  }

  /**
   * Lets the undo records of an overlay file stand in for the node's from now on; whether there was one that is whole.
   * @throws ERR_DATADIR_UNREADABLE
   */
  useUndoOverlay(path: string): boolean {
    return call(() => this.#inner.useUndoOverlay(path));
  }

  /**
   * Validates blocks of the most-work chain, on threads of its own. What is wrong with them is a result.
   * @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_PRUNED, ERR_DATADIR_UNREADABLE, ERR_HINTS,
   *   ERR_SNAPSHOT, ERR_USAGE, ERR_ENGINE, ERR_IO
   */
  validate(plan: ValidationPlan, options: ValidationOptions): Promise<ValidationVerdict> {
    return validated(options, (counter, cancel) => this.#inner.validate(plan, counter, cancel));
  }

  /**
   * Rewrites undo records that Core before 0.15 wrote to an overlay file, whose folder takes sorted runs meanwhile.
   * Progress counts heights, three times each in the end.
   * @throws ERR_SPENT_MISSING, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_DISK_FULL, ERR_IO
   */
  rewriteOldUndo(
    path: string,
    options: { progress: (heights: number) => void; signal: AbortSignal },
  ): Promise<RewrittenUndo> {
    return counted(options, (counter, cancel) => this.#inner.rewriteOldUndo(path, counter, cancel));
  }

  /**
   * The most-work chain by height, as it was at the last scan; judges its headers.
   * @throws ERR_HEADERS, ERR_DATADIR_UNREADABLE
   */
  async chainRecords(signal: AbortSignal): Promise<ChainRecords> {
    return ChainRecords.ofDatadir(this.#inner, signal);
  }

  /** The 8 bytes that a reader of the files needs; null when they are plain. */
  xorKey(): Uint8Array | null {
    return this.#inner.xorKey();
  }

  /** Blocks that hang on genesis but are not in the most-work chain, and blocks without a line to genesis. */
  strays(): { readonly stale: number; readonly orphans: number } {
    return { stale: this.#inner.staleBlocks, orphans: this.#inner.orphanBlocks };
  }

  /** Where a segment's blocks file lies, unchecked. @throws ERR_SEGMENT_RANGE */
  blocksExtents(segment: number): ExtentsHandle {
    return call(() => this.#inner.extents(segment, 'blocks'));
  }

  /** Where a segment's spent file lies, when its records were checked before. @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING */
  spentExtents(segment: number): ExtentsHandle {
    return call(() => this.#inner.extents(segment, 'spent'));
  }

  /** Where the record of a block of the most-work chain lies; null above the tip. */
  location(height: number): Readonly<bindings.BlockLocation> | null {
    return this.#inner.location(height);
  }

  /**
   * The bytes of a segment's file that are no longer held, because the node has pruned the files they lay in:
   * half-open, in order. The segment's extents still cover them.
   * @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING when the spent file was never settled
   */
  goneRanges(segment: number, kind: 'blocks' | 'spent'): readonly ByteRange[] {
    const ends = call(() => this.#inner.goneRanges(segment, kind));
    const ranges: ByteRange[] = [];
    for (let i = 0; i + 1 < ends.length; i += 2)
      ranges.push({ firstByte: ends[i] ?? 0, endByte: ends[i + 1] ?? 0 });
    return ranges;
  }

  /**
   * Opens the folder in which files are kept that the node deletes, at most `budgetBytes` of them.
   * @throws ERR_IO, ERR_DISK_FULL
   */
  async keepFiles(folder: string, budgetBytes: number): Promise<KeptFiles> {
    return new KeptFiles(await task(() => this.#inner.keepFiles(folder, budgetBytes)), this.#inner);
  }

  /** Block files that the node has deleted. */
  goneFiles(): number {
    return this.#inner.goneFiles();
  }

  /** Bytes on disk of files that the node has deleted and that are still open here. */
  unlinkedBytes(): number {
    return this.#inner.unlinkedBytes();
  }

  /**
   * Reads what was written since, and says what that was. Costs some system calls when nothing was. The picture from
   * before stays when it rejects: as `scanDatadir`.
   */
  async rescan(signal?: AbortSignal): Promise<Readonly<bindings.DatadirChanges>> {
    return task(() => this.#inner.rescan(), signal);
  }

  /** Keeps what is new in the file given to `scanDatadir`, and lets go of it. */
  async close(): Promise<void> {
    await task(() => this.#inner.close());
  }
}
