import * as bindings from '../../bindings/index.js';
import type { HeaderChain } from './headers.js';
import { progressMs, task } from './task.js';

export type ValidationPlan = Readonly<bindings.ValidationPlan>;

export type ValidationVerdict = Readonly<bindings.ValidationVerdict>;

export type ValidationCounts = Readonly<bindings.ValidationCounts>;

export type SegmentPaths = Readonly<bindings.SegmentPaths>;

export interface ValidationOptions {
  readonly progress: (counts: ValidationCounts) => void;
  readonly signal: AbortSignal;
}

/**
 * Validates blocks in segment files, neighbours in the order of their numbers. Without `headers` the first segment is 0 and
 * theirs are judged. @throws as `Datadir.validate`, ERR_BLOCK_DAMAGED
 */
export function validateSegments(
  network: string,
  segments: readonly SegmentPaths[],
  headers: HeaderChain | null,
  plan: ValidationPlan,
  options: ValidationOptions,
): Promise<ValidationVerdict> {
  return validated(options, (counter, cancel) =>
    bindings.validateSegments(network, [...segments], headers?.inner ?? null, plan, counter, cancel),
  );
}

/** Runs a task that counts what it validates, and tells how far it is. */
export async function validated(
  { progress, signal }: ValidationOptions,
  start: (
    counter: bindings.ValidationProgress,
    cancel: bindings.CancelFlag,
  ) => Promise<bindings.ValidationVerdict>,
): Promise<ValidationVerdict> {
  const counter = new bindings.ValidationProgress();
  const timer = setInterval(() => progress(counter.counts()), progressMs);
  try {
    return await task(async (cancel) => start(counter, cancel), signal);
  } finally {
    clearInterval(timer);
    progress(counter.counts());
  }
}

export type ValidationFailure = Readonly<bindings.ValidationFailure>;

/** A run that is given segments in any order, and goes on where an earlier one with the same plan was. */
export class ArrivingValidation {
  readonly #inner: bindings.ArrivingValidation;

  private constructor(inner: bindings.ArrivingValidation) {
    this.#inner = inner;
  }

  /**
   * Reads hints from end to end. Without an end the plan goes up to that of its hints or snapshot, or of the chain.
   * @throws ERR_SEGMENT_RANGE, ERR_HINTS, ERR_SNAPSHOT, ERR_USAGE, ERR_IO
   */
  static async open(
    chain: HeaderChain,
    plan: ValidationPlan,
    signal: AbortSignal,
  ): Promise<ArrivingValidation> {
    const opening = bindings.ArrivingValidation.open(chain.inner, plan);
    return new ArrivingValidation(await task(() => opening, signal));
  }

  /** The numbers of the segments that no earlier run has judged, rising. */
  get left(): readonly number[] {
    return this.#inner.left;
  }

  counts(): ValidationCounts {
    return this.#inner.counts();
  }

  /**
   * Judges a segment on all threads of the plan. Resolves with what is wrong at the lowest height of all segments so far, above
   * which nothing is judged. After an error the segment may be given again.
   * @throws ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_HINTS, ERR_ENGINE, ERR_IO
   */
  judge(segment: SegmentPaths, signal: AbortSignal): Promise<ValidationFailure | null> {
    return task((cancel) => this.#inner.judge(segment, cancel), signal);
  }

  /** What was found so far; nothing of the set. */
  verdict(): Promise<ValidationVerdict> {
    return task(() => this.#inner.verdict());
  }

  /** The verdict, with that on the set when all segments are valid; the record is dropped then. @throws ERR_SNAPSHOT, ERR_IO */
  finish(signal: AbortSignal): Promise<ValidationVerdict> {
    return task((cancel) => this.#inner.finish(cancel), signal);
  }

  /** Lets go of the record, when a call that was aborted has ended. */
  close(): Promise<void> {
    return task(() => this.#inner.close());
  }
}
