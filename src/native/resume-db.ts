import * as bindings from '../../bindings/index.js';
import { task } from './task.js';

/** What a store took over from an earlier run. */
export interface Resumed {
  /** Pieces that are servable now though nobody has looked at their bytes; one bit a piece, high bit first. */
  readonly trusted: Uint8Array;
  /** Ranges `[first, end)` of pieces that may be on disk, and are to be verified. */
  readonly toCheck: readonly (readonly [number, number])[];
  /** The earlier run did not come to its end. */
  readonly crashed: boolean;
  /** Files that are not what they were. */
  readonly changedFiles: number;
}

/** The database of a state folder. No call fails: what it cannot keep is hashed again, and `warnings` says why. */
export class ResumeDb {
  /** Of the addon. */
  readonly inner: bindings.ResumeDb;

  private constructor(inner: bindings.ResumeDb) {
    this.inner = inner;
  }

  /** Opens the file, or makes it. One process at a time. */
  static async open(path: string): Promise<ResumeDb> {
    return new ResumeDb(await task(() => bindings.ResumeDb.open(path)));
  }

  /** What a person should know, since the last call. */
  warnings(): readonly string[] {
    return this.inner.warnings();
  }

  /** Lets go of the file. */
  async close(): Promise<void> {
    await task(() => this.inner.close());
  }

  /** Drops what is known under a key of 32 bytes. */
  async forget(key: Uint8Array): Promise<void> {
    await task(() => this.inner.forget(key));
  }
}
