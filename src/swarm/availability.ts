/** How many connected peers have each piece: what "rarest first" counts. */
import type { Geometry } from './geometry.js';
import type { HaveMap } from './have-map.js';

export class Availability {
  readonly #pieceCount: number;
  /** Nothing while all peers have everything: a seed among seeds needs no table. */
  #counts: Uint16Array | null = null;
  /** Peers that said HAVE ALL are counted once, not piece by piece. */
  #everywhere = 0;
  /** Told of a piece whose rank among the others changed. */
  readonly #changed: (piece: number) => void;

  constructor({ pieceCount }: Pick<Geometry, 'pieceCount'>, changed: (piece: number) => void = () => {}) {
    this.#pieceCount = pieceCount;
    this.#changed = changed;
  }

  of(piece: number): number {
    return this.level(piece) + this.#everywhere;
  }

  /** The same without those who have everything: enough to compare pieces. */
  level(piece: number): number {
    return this.#counts?.[piece] ?? 0;
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
    if (piece < this.#pieceCount) this.#count(piece, 1);
  }

  #change(map: HaveMap, by: number): void {
    if (map.all) {
      this.#everywhere += by;
      return;
    }
    const end = this.#pieceCount;
    for (let piece = map.next(0, end); piece >= 0; piece = map.next(piece + 1, end)) this.#count(piece, by);
  }

  #count(piece: number, by: number): void {
    this.#counts ??= new Uint16Array(this.#pieceCount);
    this.#counts[piece] = (this.#counts[piece] ?? 0) + by;
    this.#changed(piece);
  }
}
