/** How fast the node's disk is read for hashing: as the user says, and hardly at all while the node has its hands full. */
import { HashPace } from '../native.js';
import type { Report } from './report.js';

export interface HashRestraintOptions {
  /** Bytes a second; 0: as fast as it goes. */
  readonly rate: number;
  /** 0: one a core. */
  readonly threads: number;
  /** What the node says of itself; null when it does not say. */
  readonly isInitialBlockDownload: () => boolean | null;
  readonly report: Report;
}

/** A node that writes needs the disk more than we do. */
const SYNCING_BYTES_PER_SECOND = 4 * 2 ** 20;
/** As Core's `-maxtipage`: a chain that ends so long ago is not caught up. */
const MAX_TIP_AGE_SECONDS = 24 * 60 * 60;
/** Blocks that come so fast are not just being mined. */
const SYNCING_BLOCKS = 20;
const WATCHED_MS = 10_000;
/** So long nothing must have come before it counts as over. */
const QUIET_MS = 60_000;

export class HashRestraint {
  readonly pace: HashPace;
  readonly #options: HashRestraintOptions;
  /** Heights of the last seconds, the oldest first. */
  #heights: { readonly atMs: number; readonly height: number }[] = [];
  #fastAtMs = Number.NEGATIVE_INFINITY;
  #isSyncing = false;

  constructor(options: HashRestraintOptions) {
    this.#options = options;
    this.pace = new HashPace(options.rate, options.threads);
  }

  /** Whether the node is taken to be in its initial sync. */
  get isSyncing(): boolean {
    return this.#isSyncing;
  }

  /** Looks at the chain's end, about once a second: its height, and the time in its header. */
  look(height: number, tipSeconds: number, nowMs: number, nowSeconds: number): void {
    this.#heights.push({ atMs: nowMs, height });
    while ((this.#heights[0]?.atMs ?? nowMs) < nowMs - WATCHED_MS) this.#heights.shift();
    const came = height - (this.#heights[0]?.height ?? height);
    if (came >= SYNCING_BLOCKS && nowSeconds - tipSeconds > MAX_TIP_AGE_SECONDS) this.#fastAtMs = nowMs;
    const { rate, isInitialBlockDownload, report } = this.#options;
    const isSyncing = isInitialBlockDownload() ?? nowMs - this.#fastAtMs < QUIET_MS;
    if (isSyncing === this.#isSyncing) return;
    this.#isSyncing = isSyncing;
    const slow = rate === 0 ? SYNCING_BYTES_PER_SECOND : Math.min(rate, SYNCING_BYTES_PER_SECOND);
    this.pace.setRate(isSyncing ? slow : rate);
    const text = isSyncing
      ? 'the node is in its initial sync: hashing waits for it'
      : 'hashing goes on as before';
    report.event({ event: 'hash-rate', bytesPerSecond: isSyncing ? slow : rate, isSyncing }, text);
  }
}
