/**
 * The one queue of all announcements of the process: when each is due, how many there may be in a second, and how many at
 * a time at each host. Those that can wait leave in an even stream, as many as come due on average: thousands of torrents
 * that begin together would else be announced together for ever.
 */
import { DueHeap } from './due-heap.js';
import type { TrackerHost } from './tier.js';

export interface QueueLimits {
  /** Requests to all trackers together. */
  readonly requestsPerSecond: number;
  /** Requests at once, after a rest. */
  readonly burst: number;
  /** Requests that can wait, at least. */
  readonly leastPerSecond: number;
  /** Between two requests to one host, on average; some may come at once. */
  readonly hostPauseMs: number;
  readonly hostBurst: number;
  /** Announcements on their way at one host. */
  readonly perHost: number;
}

/** Within any second fewer than 50 requests leave: the burst, and what a second brings. */
const LIMITS: QueueLimits = {
  ...{ requestsPerSecond: 36, burst: 4, leastPerSecond: 5 },
  ...{ hostPauseMs: 50, hostBurst: 4, perHost: 4 },
};
const FIRST_INTERVAL_MS = 30 * 60_000;
/** Of the newest interval in their mean. */
const WEIGHT = 0.01;

export class AnnounceQueue {
  readonly #limits: QueueLimits;
  readonly #due = new DueHeap();
  /** Hosts with rows that wait; the first has waited for the longest time. */
  readonly #hosts = new Set<TrackerHost>();
  #tokens: number;
  #tokensMs = 0;
  /** For those that can wait. */
  #evenTokens: number;
  /** Requests that all rows take in one interval, and that interval. */
  #requests = 0;
  #intervalMs = FIRST_INTERVAL_MS;

  constructor(limits: Partial<QueueLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
    this.#tokens = this.#limits.burst;
    this.#evenTokens = this.#limits.burst;
  }

  /** Rows that are due later. */
  get waiting(): number {
    return this.#due.size;
  }

  /** More requests, or fewer, are to be made in each interval. */
  expect(requests: number): void {
    this.#requests += requests;
  }

  /** A tracker wants to be asked so often. */
  sawInterval(intervalMs: number): void {
    this.#intervalMs += WEIGHT * (intervalMs - this.#intervalMs);
  }

  wait(row: number, dueMs: number): void {
    this.#due.set(row, dueMs);
  }

  dueMs(row: number): number | null {
    return this.#due.dueMs(row);
  }

  /** Takes a row that is due by now. */
  takeDue(nowMs: number): number | null {
    return this.#due.take(nowMs);
  }

  /** The row waits for its turn at a host. */
  ready(row: number, host: TrackerHost, isUrgent: boolean): void {
    (isUrgent ? host.urgent : host.ready).add(row);
    this.#hosts.add(host);
  }

  forget(row: number, host: TrackerHost): void {
    this.#due.delete(row);
    host.urgent.delete(row);
    host.ready.delete(row);
  }

  /** All rows that wait for their turn at a host. */
  takeAll(host: TrackerHost): number[] {
    const rows = [...host.urgent, ...host.ready];
    host.urgent.clear();
    host.ready.clear();
    this.#hosts.delete(host);
    return rows;
  }

  /** The next row whose turn it is; its announcement has begun, and takes so many requests. */
  begin(nowMs: number, requestsOf: (row: number) => number): number | null {
    this.#refill(nowMs);
    const { perHost, hostPauseMs, hostBurst } = this.#limits;
    if (this.#tokens < 1) return null;
    for (const host of this.#hosts) {
      if (host.waiting === 0) this.#hosts.delete(host);
      // One that failed is tried by one of all that wait.
      const most = host.rest.failures > 0 ? 1 : perHost;
      if (host.inFlight >= most || host.nextMs >= nowMs + hostPauseMs * hostBurst) continue;
      const isUrgent = host.urgent.size > 0;
      if (!isUrgent && this.#evenTokens < 1) continue;
      const row = host.take();
      if (row === null) continue;
      const requests = requestsOf(row);
      if (!isUrgent) this.#evenTokens -= requests;
      this.charge(requests);
      host.inFlight++;
      host.nextMs = Math.max(host.nextMs, nowMs) + hostPauseMs * requests;
      this.#hosts.delete(host);
      if (host.waiting > 0) this.#hosts.add(host);
      return row;
    }
    return null;
  }

  ended(host: TrackerHost): void {
    host.inFlight--;
  }

  /** Counts requests. */
  charge(requests: number): void {
    this.#tokens -= requests;
  }

  #refill(nowMs: number): void {
    const { requestsPerSecond, burst, leastPerSecond } = this.#limits;
    const seconds = Math.max(0, nowMs - this.#tokensMs) / 1000;
    this.#tokensMs = nowMs;
    this.#tokens = Math.min(burst, this.#tokens + seconds * requestsPerSecond);
    // Each comes due a little more rarely than once in an interval, so that none waits for ever.
    const evenPerSecond = Math.max(leastPerSecond, (1000 * this.#requests) / this.#intervalMs);
    this.#evenTokens = Math.min(burst, this.#evenTokens + seconds * evenPerSecond);
  }
}
