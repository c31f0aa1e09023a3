/**
 * How much may go over the wire in a calendar month. The state is a plain value that the owner keeps; time comes in.
 * Payload is what links report; what packets and messages cost on top is added by their share.
 */

/** Absent: no quota. */
export interface MonthlyQuota {
  readonly uploadBytes?: number;
  readonly downloadBytes?: number;
}

/** What was used of it: to be kept over restarts. */
export interface QuotaUsage {
  /** `2026-11`, in local time. */
  readonly month: string;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
}

/** Headers of messages, of TCP and of IP: 53 bytes of each 1460, and acknowledgements the other way. */
const WIRE_SHARE = 1.04;

export class TrafficQuota {
  readonly #quota: MonthlyQuota;
  #month: string;
  #uploadedBytes: number;
  #downloadedBytes: number;

  constructor(quota: MonthlyQuota, usage: QuotaUsage | null, now: Date) {
    this.#quota = quota;
    this.#month = monthOf(now);
    const isThisMonth = usage?.month === this.#month;
    this.#uploadedBytes = isThisMonth ? Math.max(0, usage.uploadedBytes) : 0;
    this.#downloadedBytes = isThisMonth ? Math.max(0, usage.downloadedBytes) : 0;
  }

  get usage(): QuotaUsage {
    return {
      month: this.#month,
      uploadedBytes: Math.ceil(this.#uploadedBytes),
      downloadedBytes: Math.ceil(this.#downloadedBytes),
    };
  }

  /** Whether more may be sent this month. */
  get mayUpload(): boolean {
    return this.#uploadedBytes < (this.#quota.uploadBytes ?? Number.POSITIVE_INFINITY);
  }

  get mayDownload(): boolean {
    return this.#downloadedBytes < (this.#quota.downloadBytes ?? Number.POSITIVE_INFINITY);
  }

  /** Payload went over a link that counts. */
  count(uploadedBytes: number, downloadedBytes: number): void {
    this.#uploadedBytes += uploadedBytes * WIRE_SHARE;
    this.#downloadedBytes += downloadedBytes * WIRE_SHARE;
  }

  /** A new month begins with nothing used; a clock that was set back changes nothing. */
  tick(now: Date): void {
    const month = monthOf(now);
    if (month <= this.#month) return;
    this.#month = month;
    this.#uploadedBytes = 0;
    this.#downloadedBytes = 0;
  }
}

function monthOf(now: Date): string {
  return `${now.getFullYear()}-${String(now.getMonth() + 1).padStart(2, '0')}`;
}
