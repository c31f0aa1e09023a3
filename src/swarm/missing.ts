/**
 * Pieces that are wanted and that nobody is asked for, best first: by priority, then by how few peers have them or
 * by number. Kept in order as priorities and availability change, so that a pick among a million pieces costs a
 * microsecond. Ranks are bitmaps; within a rank, pieces of the same availability (its level) lie in one row.
 */
import { HaveMap } from './have-map.js';

/** Highest priority of a piece; 0 is "not wanted". */
export const MAX_PRIORITY = 7;

/**
 * Pieces looked at in order of rarity for a peer that lacks some. One that has none of so many has few of what is
 * missing: what both have is looked for instead, 32 pieces at a time.
 */
const MAX_WALK = 128;

class Rank {
  readonly pieces = new HaveMap();
  /** Pieces by availability, in no order; empty when order is by number. */
  readonly rows: number[][] = [];
  /** No row below holds anything. */
  lowest = 0;
}

export class Missing {
  readonly #pieceCount: number;
  readonly #bySequence: boolean;
  readonly #level: (piece: number) => number;
  /** By priority. */
  readonly #ranks: Rank[] = [];
  /** Of each piece its priority here, and where in its row it is. Made with the first piece: a seed needs neither. */
  #priorities = new Uint8Array(0);
  #rows = new Uint16Array(0);
  #places = new Int32Array(0);
  #size = 0;

  constructor(options: { pieceCount: number; bySequence: boolean; level: (piece: number) => number }) {
    this.#pieceCount = options.pieceCount;
    this.#bySequence = options.bySequence;
    this.#level = options.level;
  }

  get size(): number {
    return this.#size;
  }

  has(piece: number): boolean {
    return (this.#priorities[piece] ?? 0) > 0;
  }

  /** Highest priority of any piece here, 0 when there is none. */
  get topPriority(): number {
    for (let priority = MAX_PRIORITY; priority > 0; priority--) {
      if ((this.#ranks[priority]?.pieces.count ?? 0) > 0) return priority;
    }
    return 0;
  }

  add(piece: number, priority: number): void {
    if (this.has(piece)) this.remove(piece);
    if (this.#priorities.length === 0) {
      this.#priorities = new Uint8Array(this.#pieceCount);
      if (!this.#bySequence) {
        this.#rows = new Uint16Array(this.#pieceCount);
        this.#places = new Int32Array(this.#pieceCount);
      }
    }
    const rank = this.#ranks[priority] ?? new Rank();
    this.#ranks[priority] = rank;
    this.#priorities[piece] = priority;
    rank.pieces.add(piece);
    this.#size++;
    this.#enterRow(rank, piece);
  }

  remove(piece: number): void {
    const rank = this.#ranks[this.#priorities[piece] ?? 0];
    if (!rank?.pieces.remove(piece)) return;
    this.#leaveRow(rank, piece);
    this.#priorities[piece] = 0;
    this.#size--;
  }

  /** The piece's availability changed. */
  moved(piece: number): void {
    const rank = this.#ranks[this.#priorities[piece] ?? 0];
    if (!rank || this.#bySequence) return;
    this.#leaveRow(rank, piece);
    this.#enterRow(rank, piece);
  }

  /** The best piece that somebody with this map has; -1 when there is none. `luck` in `[0, 1)` breaks ties. */
  best(map: HaveMap, luck: number): number {
    for (let priority = this.topPriority; priority > 0; priority--) {
      const rank = this.#ranks[priority];
      if (!rank || rank.pieces.count === 0) continue;
      const piece = this.#bySequence
        ? rank.pieces.next(0, this.#pieceCount, map)
        : this.#rarest(rank, map, luck);
      if (piece >= 0) return piece;
    }
    return -1;
  }

  /** Any piece of the highest priority that somebody with this map has; -1 when there is none. */
  any(map: HaveMap, luck: number): number {
    const first = Math.floor(luck * this.#pieceCount);
    for (let priority = this.topPriority; priority > 0; priority--) {
      const pieces = this.#ranks[priority]?.pieces;
      if (!pieces) continue;
      const piece = pieces.next(first, this.#pieceCount, map);
      if (piece >= 0) return piece;
      const earlier = pieces.next(0, first, map);
      if (earlier >= 0) return earlier;
    }
    return -1;
  }

  #rarest(rank: Rank, map: HaveMap, luck: number): number {
    let walked = 0;
    while (rank.rows[rank.lowest]?.length === 0) rank.lowest++;
    for (let level = rank.lowest; level < rank.rows.length; level++) {
      const row = rank.rows[level] ?? [];
      // Beginning anywhere breaks ties at random for the price of one number.
      const start = Math.floor(luck * row.length);
      for (let step = 0; step < row.length; step++) {
        const piece = row[(start + step) % row.length];
        if (piece !== undefined && map.has(piece)) return piece;
        if (++walked > MAX_WALK) return this.#rarestShared(rank, map, luck);
      }
    }
    return -1;
  }

  #rarestShared(rank: Rank, map: HaveMap, luck: number): number {
    const [end, start] = [this.#pieceCount, Math.floor(luck * this.#pieceCount)];
    let best = -1;
    let bestLevel = Number.POSITIVE_INFINITY;
    const look = (first: number, limit: number) => {
      let piece = rank.pieces.next(first, limit, map);
      for (; piece >= 0 && bestLevel > rank.lowest; piece = rank.pieces.next(piece + 1, limit, map)) {
        const level = this.#rows[piece] ?? 0;
        if (level < bestLevel) [best, bestLevel] = [piece, level];
      }
    };
    look(start, end);
    look(0, start);
    return best;
  }

  #enterRow(rank: Rank, piece: number): void {
    if (this.#bySequence) return;
    const level = this.#level(piece);
    while (rank.rows.length <= level) rank.rows.push([]);
    this.#rows[piece] = level;
    this.#places[piece] = (rank.rows[level]?.push(piece) ?? 1) - 1;
    rank.lowest = Math.min(rank.lowest, level);
  }

  #leaveRow(rank: Rank, piece: number): void {
    const row = rank.rows[this.#rows[piece] ?? 0];
    const last = row?.pop();
    if (this.#bySequence || !row || last === undefined || last === piece) return;
    const place = this.#places[piece] ?? 0;
    row[place] = last;
    this.#places[last] = place;
  }
}
