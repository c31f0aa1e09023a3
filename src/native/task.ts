/**
 * Calls into the addon: turns its coded errors into `BlockswarmError`, guards its tasks with signals, and bounds how many
 * of them are in flight.
 *
 * Tasks run on libuv's worker threads. Bytes that come out are owned by the caller; bytes that go in are
 * read before the call returns, so JavaScript may reuse them at once.
 */
import * as bindings from '../../bindings/index.js';
import { BlockswarmError, isErrorCode } from '../errors.js';

/** libuv has 4 workers, shared with fs and dns: leave one for them. */
const maxTasksInFlight = 3;

/** How often a running task tells how far it is. */
export const progressMs = 100;

let tasksInFlight = 0;
const waiting: (() => void)[] = [];

/** Turns an error that crossed the boundary as `ERR_CODE: text` into a `BlockswarmError`. */
function mapped(error: unknown): unknown {
  const match = error instanceof Error ? /^(ERR_[A-Z_]+): ([\s\S]*)$/.exec(error.message) : null;
  const code = match?.[1];
  if (!match || !code || !isErrorCode(code)) return error;
  return new BlockswarmError(code, match[2] ?? '', { cause: error });
}

/** Calls into the addon on this thread. */
export function call<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw mapped(error);
  }
}

/**
 * Runs a task on a worker, a few at a time. Aborting keeps a queued task from starting, raises the flag of
 * a running one (it ends at its next step), and rejects at once.
 */
export async function task<T>(
  start: (cancel: bindings.CancelFlag) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  signal?.throwIfAborted();
  if (tasksInFlight >= maxTasksInFlight) await new Promise<void>((resolve) => waiting.push(resolve));
  else tasksInFlight++;
  const cancel = new bindings.CancelFlag();
  const running = (async () => {
    signal?.throwIfAborted();
    return start(cancel);
  })().finally(finished);
  if (!signal) return running.catch(rethrow);
  return new Promise<T>((resolve, reject) => {
    const aborted = () => {
      cancel.raise();
      reject(signal.reason);
    };
    signal.addEventListener('abort', aborted, { once: true });
    running
      .then(resolve, (error) => reject(mapped(error)))
      .finally(() => signal.removeEventListener('abort', aborted));
  });
}

function rethrow(error: unknown): never {
  throw mapped(error);
}

/** A finished task hands its place to the next one in line. */
function finished(): void {
  const next = waiting.shift();
  if (next) next();
  else tasksInFlight--;
}

/** Runs a task that counts bytes, and tells how far it is. */
export async function counted<T>(
  { progress, signal }: { readonly progress?: (done: number) => void; readonly signal?: AbortSignal },
  start: (counter: bindings.Progress, cancel: bindings.CancelFlag) => Promise<T>,
): Promise<T> {
  const counter = new bindings.Progress();
  const timer = setInterval(() => progress?.(counter.doneBytes()), progressMs);
  try {
    return await task(async (cancel) => start(counter, cancel), signal);
  } finally {
    clearInterval(timer);
    progress?.(counter.doneBytes());
  }
}
