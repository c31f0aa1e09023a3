import * as bindings from '../../bindings/index.js';
import type { HashedFile } from './extents.js';
import type { ResumeDb } from './resume-db.js';
import { call, task } from './task.js';

/** A segment's files as files of their own. Nothing of them is believed but what was checked. */
export class SegmentFiles {
  readonly #inner: bindings.SegmentFiles;

  private constructor(inner: bindings.SegmentFiles) {
    this.#inner = inner;
  }

  /**
   * Walks the blocks file from head to head: exactly the segment's number of records.
   * @throws BlockswarmError ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN
   */
  static async open(
    network: string,
    segment: number,
    blocks: string,
    spent: string | null,
    signal?: AbortSignal,
  ): Promise<SegmentFiles> {
    const open = () => bindings.openSegmentFiles(network, segment, blocks, spent);
    return new SegmentFiles(await task(open, signal));
  }

  /** The headers of its blocks, 80 bytes each, as the file has them. */
  headers(): Uint8Array {
    return call(() => this.#inner.headers());
  }

  /**
   * Checks one of the files and hashes it, or takes its hashes from `db` when it is the file that was checked before.
   * Its headers must have been judged.
   * @throws BlockswarmError ERR_BLOCK_DAMAGED, ERR_SPENT_MISSING, ERR_DATADIR_UNREADABLE
   */
  async hashed(
    kind: 'blocks' | 'spent',
    pieceLengthBytes: number,
    db: ResumeDb | null,
    signal?: AbortSignal,
  ): Promise<HashedFile> {
    const file = await task(
      (cancel) => this.#inner.hashed(kind, pieceLengthBytes, db?.inner, cancel),
      signal,
    );
    return { extents: file.extents(), hashes: file.hashes(), isRemembered: file.isRemembered };
  }
}
