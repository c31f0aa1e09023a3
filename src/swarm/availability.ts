/** How many connected peers have each piece: what "rarest first" counts. */
import type { HaveMap } from './have-map.js';

export class Availability {
  readonly #counts: Uint16Array;
  /** Peers that said HAVE ALL are counted once, not piece by piece. */
  #everywhere = 0;

  constructor(pieceCount: number) {
    this.#counts = new Uint16Array(pieceCount);
  }

  of(piece: number): number {
    return (this.#counts[piece] ?? 0) + this.#everywhere;
  }

  /** A peer with this map came. Remove it before the map changes otherwise than by `addPiece`. */
  add(map: HaveMap): void {
    this.#change(map, 1);
  }

  remove(map: HaveMap): void {
    this.#change(map, -1);
  }

  /** A counted peer, not one that has all, got one more piece. */
  addPiece(piece: number): void {
    if (piece < this.#counts.length) this.#counts[piece] = (this.#counts[piece] ?? 0) + 1;
  }

  #change(map: HaveMap, by: number): void {
    if (map.all) {
      this.#everywhere += by;
      return;
    }
    if (map.count === 0) return;
    for (let piece = 0; piece < this.#counts.length; piece++) {
      if (map.has(piece)) this.#counts[piece] = (this.#counts[piece] ?? 0) + by;
    }
  }
}
