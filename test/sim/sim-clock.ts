/** Virtual time: what is planned happens in order of time, then of planning, as fast as the machine can. */

interface Plan {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

export class SimClock {
  #nowMs = 0;
  #order = 0;
  /** A binary heap: the earliest plan first. */
  readonly #plans: Plan[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  get plansLeft(): number {
    return this.#plans.length;
  }

  after(delayMs: number, run: () => void): void {
    const plan = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    const plans = this.#plans;
    let at = plans.push(plan) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = plans[parent];
      if (!above || !before(plan, above)) break;
      plans[at] = above;
      at = parent;
    }
    plans[at] = plan;
  }

  /** Runs until the condition holds (true), or until the time is over or nothing is planned any more (false). */
  runUntil(condition: () => boolean, limitMs: number): boolean {
    const endMs = this.#nowMs + limitMs;
    while (!condition()) {
      const next = this.#plans[0];
      if (!next || next.atMs > endMs) {
        this.#nowMs = endMs;
        return condition();
      }
      this.#pop();
      this.#nowMs = next.atMs;
      next.run();
    }
    return true;
  }

  run(durationMs: number): void {
    this.runUntil(() => false, durationMs);
  }

  #pop(): void {
    const plans = this.#plans;
    const last = plans.pop();
    if (!last || plans.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      const left = plans[child];
      const right = plans[child + 1];
      if (!left) break;
      if (right && before(right, left)) child++;
      const below = plans[child];
      if (!below || !before(below, last)) break;
      plans[at] = below;
      at = child;
    }
    plans[at] = last;
  }
}

function before(a: Plan, b: Plan): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}

/** A small deterministic source of numbers in `[0, 1)` (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
