/**
 * Hashes sealed segments in their order, so that the disk is read in order. What cannot be hashed now is said, passed
 * over, and tried again: a node writes a block's undo data when it connects the block, which may be later.
 */
import { BlockswarmError } from '../errors.js';
import type { SegmentKind } from '../metainfo/segment.js';
import type { HashPace, ResumeDb } from '../native.js';
import type { Report } from './report.js';
import { lacksSpent, type SegmentSource, type SegmentTorrent } from './source.js';

export interface SegmentHasherOptions {
  readonly source: SegmentSource;
  readonly resumeDb: ResumeDb;
  readonly report: Report;
  /** Milliseconds that never go back. */
  readonly clock: () => number;
  readonly pace: HashPace;
  readonly made: (index: number, kind: SegmentKind, torrent: SegmentTorrent) => Promise<void>;
  /** Told each time that a file cannot be made: its bytes may be damaged. */
  readonly failed?: (index: number, kind: SegmentKind, error: unknown) => void;
}

interface Job {
  readonly index: number;
  readonly kind: SegmentKind;
  failures: number;
  notBeforeMs: number;
  /** Said already. */
  said: string | null;
}

const RETRY_MS = 5000;
/** A retry may read gigabytes. Each waits twice as long as the one before; the last comes after some hours. */
const MAX_FAILURES = 12;

export class SegmentHasher {
  readonly #options: SegmentHasherOptions;
  /** By index and kind, in the order in which they are hashed. */
  #jobs: Job[] = [];
  #running: { readonly job: Job; readonly stop: AbortController } | null = null;
  #done = 0;

  constructor(options: SegmentHasherOptions) {
    this.#options = options;
  }

  /** A segment is sealed; those before it were wanted before. */
  want(index: number): void {
    for (const kind of ['blocks', 'spent'] as const) {
      this.#jobs.push({ index, kind, failures: 0, notBeforeMs: 0, said: null });
    }
  }

  /** Segments from this one on are not sealed any more. */
  dropFrom(index: number): void {
    this.#jobs = this.#jobs.filter((job) => job.index < index);
    if (this.#running && this.#running.job.index >= index) this.#running.stop.abort();
  }

  /** What stood in the way may be gone: all that failed is due again. */
  retry(): void {
    for (const job of this.#jobs) Object.assign(job, { failures: 0, notBeforeMs: 0 });
  }

  /** When there is something to do, by the clock; null: not before more is wanted. */
  get dueMs(): number | null {
    return this.#jobs.reduce<number | null>((due, { failures, notBeforeMs }) => {
      if (failures >= MAX_FAILURES) return due;
      return due === null ? notBeforeMs : Math.min(due, notBeforeMs);
    }, null);
  }

  /** Hashes all that is due. @throws `signal.reason` */
  async drain(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const nowMs = this.#options.clock();
      const job = this.#jobs.find((job) => job.failures < MAX_FAILURES && job.notBeforeMs <= nowMs);
      if (!job) return;
      await this.#run(job, signal);
      this.#show();
    }
  }

  async #run(job: Job, signal: AbortSignal): Promise<void> {
    const { source, resumeDb, report, pace, made } = this.#options;
    const stop = new AbortController();
    this.#running = { job, stop };
    try {
      const options = { signal: AbortSignal.any([signal, stop.signal]), report, resumeDb, pace };
      const torrent = await source[job.kind](job.index, options);
      if (stop.signal.aborted) return;
      await made(job.index, job.kind, torrent);
      if (stop.signal.aborted) return;
      this.#jobs.splice(this.#jobs.indexOf(job), 1);
      this.#done++;
    } catch (error) {
      signal.throwIfAborted();
      if (!stop.signal.aborted) this.#failed(job, error);
    } finally {
      this.#running = null;
    }
  }

  #failed(job: Job, error: unknown): void {
    const { report, clock, failed } = this.#options;
    failed?.(job.index, job.kind, error);
    job.notBeforeMs = clock() + RETRY_MS * 2 ** job.failures;
    job.failures++;
    const reason = error instanceof BlockswarmError ? error.message : String(error);
    if (job.said === reason) return;
    job.said = reason;
    report.warn(
      lacksSpent(error) ? reason : `the ${job.kind} file of segment ${job.index} cannot be hashed: ${reason}`,
    );
  }

  #show(): void {
    // Both files of a segment count as one.
    const [done, total] = [this.#done, this.#done + this.#jobs.length].map((files) => Math.floor(files / 2));
    this.#options.report.progress({ stage: 'hashing', done: done ?? 0, total: total ?? 0, unit: 'segments' });
  }
}
