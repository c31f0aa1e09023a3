/** How often somebody may do something: so many times at once, then one more in each span of time. */
export class Allowance {
  readonly #most: number;
  readonly #refillMs: number;
  #left: number;
  #sinceMs: number;

  constructor(most: number, refillMs: number, nowMs: number) {
    this.#most = most;
    this.#refillMs = refillMs;
    this.#left = most;
    this.#sinceMs = nowMs;
  }

  /** False when it is used up. */
  take(nowMs: number): boolean {
    const refilled = Math.floor((nowMs - this.#sinceMs) / this.#refillMs);
    this.#sinceMs += refilled * this.#refillMs;
    this.#left = Math.min(this.#most, this.#left + refilled);
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }
}
