/**
 * Which row is due next: a binary heap over numbers. Ten thousand torrents at three trackers are 30,000 rows, so each
 * takes 16 bytes outside of the JavaScript heap and no object.
 */

const NOWHERE = 0xffff_ffff;

export class DueHeap {
  #rows = new Uint32Array(64);
  /** By row: when it is due, and where in the heap it is. */
  #dueMs = new Float64Array(64);
  #at = new Uint32Array(64).fill(NOWHERE);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** Sets when a row is due, whether it was in the heap or not. */
  set(row: number, dueMs: number): void {
    this.#reserve(row);
    const known = this.#at[row] ?? NOWHERE;
    const at = known === NOWHERE ? this.#size++ : known;
    this.#dueMs[row] = dueMs;
    this.#put(at, row);
    this.#up(at);
    this.#down(this.#at[row] ?? at);
  }

  delete(row: number): void {
    const at = this.#at[row] ?? NOWHERE;
    if (at === NOWHERE) return;
    this.#at[row] = NOWHERE;
    const last = this.#rows[--this.#size] ?? 0;
    if (at === this.#size) return;
    this.#put(at, last);
    this.#up(at);
    this.#down(this.#at[last] ?? at);
  }

  /** When the row is due; null when it is not in the heap. */
  dueMs(row: number): number | null {
    return (this.#at[row] ?? NOWHERE) === NOWHERE ? null : (this.#dueMs[row] ?? null);
  }

  /** Takes out the row that is due first, if it is due by now. */
  take(nowMs: number): number | null {
    const row = this.#rows[0] ?? 0;
    if (this.#size === 0 || this.#key(0) > nowMs) return null;
    this.delete(row);
    return row;
  }

  #up(from: number): void {
    for (let at = from; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (this.#key(parent) <= this.#key(at)) return;
      this.#swap(at, parent);
      at = parent;
    }
  }

  #down(from: number): void {
    for (let at = from; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (child < this.#size && this.#key(child) < this.#key(least)) least = child;
      }
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #key(at: number): number {
    return this.#dueMs[this.#rows[at] ?? 0] ?? 0;
  }

  #swap(one: number, other: number): void {
    const [first, second] = [this.#rows[one] ?? 0, this.#rows[other] ?? 0];
    this.#put(one, second);
    this.#put(other, first);
  }

  #put(at: number, row: number): void {
    this.#rows[at] = row;
    this.#at[row] = at;
  }

  #reserve(row: number): void {
    const { length } = this.#at;
    if (row < length) return;
    const more = Math.max(row + 1, 2 * length);
    this.#rows = grown(this.#rows, new Uint32Array(more));
    this.#dueMs = grown(this.#dueMs, new Float64Array(more));
    this.#at = grown(this.#at, new Uint32Array(more).fill(NOWHERE));
  }
}

/** A longer column with what the shorter one holds. */
export function grown<Column extends Uint8Array | Uint32Array | Float64Array>(
  old: Column,
  longer: Column,
): Column {
  longer.set(old);
  return longer;
}
