import type * as bindings from '../../bindings/index.js';
import type { HashPace } from './hashing.js';
import { task } from './task.js';

export type KeptFile = Readonly<bindings.KeptFile>;

export type KeptRound = Readonly<bindings.KeptRound>;

/** Keeps files of a data directory that its node deletes, within a budget. */
export class KeptFiles {
  readonly #inner: bindings.KeptFiles;
  readonly #datadir: bindings.Datadir;

  /** See `Datadir.keepFiles`. */
  constructor(inner: bindings.KeptFiles, datadir: bindings.Datadir) {
    this.#inner = inner;
    this.#datadir = datadir;
  }

  /** Holds what will be deleted next, and keeps what was deleted: after each `rescan`. */
  round(pace: HashPace, signal?: AbortSignal): Promise<KeptRound> {
    return task((cancel) => this.#inner.round(this.#datadir, pace, cancel), signal);
  }

  /** Lets go of the links to files that the node still has: at the end. */
  release(): void {
    this.#inner.release();
  }

  /** What is kept now. */
  kept(): readonly KeptFile[] {
    return this.#inner.kept();
  }
}
