/** Rates that simulated links share: each block is counted when it goes, and a pause is made up for a little. */
import type { Rates } from '../../src/swarm/link-host.js';

const BURST_MS = 200;
/** A block of 16 KiB with its header, and those of its 12 packets. */
const BLOCK_WIRE_BYTES = 16_397 + 12 * 40;

type Direction = 'upload' | 'download';

/** A pair of rates. */
export class SimRateClass {
  readonly #perSecond = { upload: 0, download: 0 };
  /** When all that went would have gone at that rate. */
  readonly #paidUntilMs = { upload: 0, download: 0 };

  setRates(rates: Rates, nowMs: number): void {
    this.#perSecond.upload = rates.uploadBytesPerSecond;
    this.#perSecond.download = rates.downloadBytesPerSecond;
    this.#paidUntilMs.upload = this.#paidUntilMs.download = nowMs;
  }

  /** When the next block may go. */
  nextMs(direction: Direction): number {
    return this.#perSecond[direction] === 0 ? 0 : this.#paidUntilMs[direction] - BURST_MS;
  }

  charge(direction: Direction, nowMs: number): void {
    const perSecond = this.#perSecond[direction];
    if (perSecond === 0) return;
    const from = Math.max(this.#paidUntilMs[direction], nowMs);
    this.#paidUntilMs[direction] = from + (BLOCK_WIRE_BYTES * 1000) / perSecond;
  }
}
