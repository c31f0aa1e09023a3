import * as bindings from '../../bindings/index.js';
import type { ExtentsHandle } from './extents.js';
import { call, task } from './task.js';

/** Where each block of btcd's files or a `bootstrap.dat` lies. Read-only. */
export class BlockArchive {
  readonly #inner: bindings.BlockArchive;

  private constructor(inner: bindings.BlockArchive) {
    this.#inner = inner;
  }

  /**
   * Walks btcd's `blocks_ffldb` or a file of records.
   * @throws BlockswarmError ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN
   */
  static async open(
    kind: 'btcd' | 'bootstrap',
    path: string,
    network: string,
    signal?: AbortSignal,
  ): Promise<BlockArchive> {
    return new BlockArchive(
      await task((cancel) => bindings.openBlockArchive(kind, path, network, cancel), signal),
    );
  }

  /** Number of blocks, copies included. */
  get blocks(): number {
    return this.#inner.blocks;
  }

  /** Where bytes were passed over, in words. */
  warnings(): readonly string[] {
    return this.#inner.warnings;
  }

  /** Where the records of these blocks (32 bytes each, internal order) lie, unchecked; null when one is missing. */
  extents(hashes: Uint8Array): ExtentsHandle | null {
    return call(() => this.#inner.extents(hashes));
  }
}
