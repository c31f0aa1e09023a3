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
