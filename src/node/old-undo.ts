/**
 * What becomes of undo data that Core before 0.15 wrote: where the user wants it, and once in a run, it is rewritten to an
 * overlay in the state folder; until then its segments have no spent file.
 */
import { BlockswarmError } from '../errors.js';
import type { Datadir } from '../native.js';
import { formatBytes } from '../units.js';
import type { Report } from './report.js';
import { undoOverlayIn } from './undo-overlay.js';

export interface OldUndoOptions {
  readonly datadir: Datadir;
  readonly statePath: string;
  /** Whether the user wants it: it takes about as much disk as the undo files, and half of that again meanwhile. */
  readonly isWanted: boolean;
  readonly report: Report;
}

/** Heights are counted in each of them. */
const PASSES = 3;

export class OldUndo {
  readonly #options: OldUndoOptions;
  readonly #path: string;
  #isFound = false;
  #isDone = false;

  constructor(options: OldUndoOptions) {
    this.#options = options;
    this.#path = undoOverlayIn(options.statePath);
  }

  /** Told of every file of a segment that could not be made. */
  failed(error: unknown): void {
    if (!(error instanceof BlockswarmError) || error.code !== 'ERR_UNDO_OLD' || this.#isFound) return;
    this.#isFound = true;
    if (this.#options.isWanted) return;
    this.#options.report.warn(
      'undo files of this directory were written by Core before 0.15, so that their segments have no spent file and no ' +
        'catalogue can be made. `blockswarm doctor` names the ways out; one is --rewrite-undo',
    );
  }

  /** Rewrites what was found; whether there is something to make now. @throws `signal.reason` */
  async rewrite(signal: AbortSignal): Promise<boolean> {
    const { datadir, isWanted, report } = this.#options;
    if (!isWanted || !this.#isFound || this.#isDone) return false;
    this.#isDone = true;
    const total = PASSES * Math.max(0, datadir.tip()?.height ?? 0);
    const progress = (done: number) =>
      report.progress({ stage: 'rewriting undo data', done, total, unit: 'heights' });
    try {
      const { records, coins, lengthBytes } = await datadir.rewriteOldUndo(this.#path, { progress, signal });
      report.event(
        { event: 'undo-rewritten', records, coins, lengthBytes, path: this.#path },
        `rewrote the undo data of ${records} blocks, ${coins} coins, ${formatBytes(lengthBytes)}, to ${this.#path}`,
      );
      return records > 0 && datadir.useUndoOverlay(this.#path);
    } catch (error) {
      signal.throwIfAborted();
      report.warn(`old undo data cannot be rewritten: ${(error as Error).message}`);
      return false;
    }
  }
}
