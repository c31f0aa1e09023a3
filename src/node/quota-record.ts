/** What was used of a month's quota, kept over restarts: a small file in each state folder of the process. */
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { RateStatus } from '../swarm/rate-limits.js';
import type { QuotaUsage } from '../swarm/traffic-quota.js';
import type { Report } from './report.js';
import { writeWholeFile } from './whole-file.js';

export const QUOTA_FILE = 'quota.json';
/** So much is at most not counted after a kill. */
const SAVE_MS = 60_000;
/** Ours has about 100. */
const MAX_FILE_BYTES = 1024;

export class QuotaRecord {
  /** What earlier runs used; null when there is no record. */
  readonly usage: QuotaUsage | null;
  readonly #paths: readonly string[];
  readonly #report: Report;
  #saved: string;
  #savedMs = performance.now();
  #saving: Promise<void> = Promise.resolve();
  #stopped: string | null = null;
  #hasFailed = false;

  private constructor(paths: readonly string[], usage: QuotaUsage | null, report: Report) {
    this.usage = usage;
    this.#paths = paths;
    this.#report = report;
    this.#saved = JSON.stringify(usage);
  }

  /** Null when there is no quota. A damaged record is told of, and counts as none. */
  static async open(
    quota: number | undefined,
    folders: Iterable<string>,
    report: Report,
  ): Promise<QuotaRecord | null> {
    if (quota === undefined) return null;
    const paths = [...folders].map((folder) => join(folder, QUOTA_FILE));
    let usage: QuotaUsage | null = null;
    for (const path of paths) {
      const found = await read(path).catch((error: Error) => {
        report.warn(`${path} is damaged (${error.message}): what was used of the quota is not known`);
        return null;
      });
      // Folders that were not together in every run: none may be a way around the quota.
      if (found && (usage === null || isMore(found, usage))) usage = found;
    }
    return new QuotaRecord(paths, usage, report);
  }

  /** Writes it down once a minute, and says when the quota is used up. */
  tick({ usage, uploadStopped }: RateStatus, nowMs: number): void {
    if (uploadStopped !== null && uploadStopped !== this.#stopped) this.#report.warn(uploadStopped);
    this.#stopped = uploadStopped;
    if (nowMs - this.#savedMs < SAVE_MS) return;
    this.#savedMs = nowMs;
    void this.save(usage);
  }

  /** Never rejects. */
  save(usage: QuotaUsage): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write(usage));
    return this.#saving;
  }

  async #write(usage: QuotaUsage): Promise<void> {
    const text = JSON.stringify(usage);
    if (text === this.#saved) return;
    try {
      const bytes = Buffer.from(`${JSON.stringify({ schema: 1, ...usage })}\n`);
      for (const path of this.#paths) await writeWholeFile(path, bytes, true);
      this.#saved = text;
    } catch (error) {
      if (!this.#hasFailed) this.#report.warn(`what was used of the quota: ${(error as Error).message}`);
      this.#hasFailed = true;
    }
  }
}

function isMore(left: QuotaUsage, right: QuotaUsage): boolean {
  if (left.month !== right.month) return left.month > right.month;
  return left.uploadedBytes > right.uploadedBytes;
}

/** Null when there is no file. */
async function read(path: string): Promise<QuotaUsage | null> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw error;
  });
  if (!found) return null;
  if (!found.isFile() || found.size > MAX_FILE_BYTES) throw new RangeError('no record of ours');
  const value: unknown = JSON.parse(await readFile(path, 'utf8'));
  if (typeof value !== 'object' || value === null) throw new RangeError('no record of ours');
  const { schema, month, uploadedBytes, downloadedBytes } = value as Record<string, unknown>;
  const isMonth = typeof month === 'string' && /^\d{4}-\d{2}$/.test(month);
  if (schema !== 1 || !isMonth || !isCount(uploadedBytes) || !isCount(downloadedBytes)) {
    throw new RangeError('no record of ours');
  }
  return { month, uploadedBytes, downloadedBytes };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
