/**
 * Which pieces somebody has. Its length may be unknown (a peer met before the info dictionary is known), so it
 * grows with what is added, up to a bound. Layout of BEP 3: high bit first.
 */
import { MAX_PIECES } from './geometry.js';

export class HaveMap {
  /** Set by HAVE ALL (BEP 6): every piece, however many there are. */
  #all = false;
  #bits: Uint8Array;
  #count = 0;

  constructor(bits: Uint8Array = new Uint8Array(0)) {
    this.#bits = Uint8Array.from(bits.subarray(0, MAX_PIECES >> 3));
    this.#count = ones(this.#bits);
  }

  get all(): boolean {
    return this.#all;
  }

  /** Pieces had; meaningless while `all` is set. */
  get count(): number {
    return this.#count;
  }

  has(piece: number): boolean {
    return this.#all || ((this.#bits[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0;
  }

  /** Whether all of `pieceCount` pieces are had. */
  complete(pieceCount: number): boolean {
    return this.#all || this.#count === pieceCount;
  }

  setAll(): void {
    this.#all = true;
  }

  /** Returns whether it is new. A number out of all bounds is ignored. */
  add(piece: number): boolean {
    if (piece >= MAX_PIECES || this.has(piece)) return false;
    const byte = piece >> 3;
    if (byte >= this.#bits.length) {
      const grown = new Uint8Array(Math.min(MAX_PIECES >> 3, Math.max(byte + 1, this.#bits.length * 2)));
      grown.set(this.#bits);
      this.#bits = grown;
    }
    this.#bits[byte] = (this.#bits[byte] ?? 0) | (0x80 >> (piece & 7));
    this.#count++;
    return true;
  }

  /** Returns whether it was there. Of a map that has all, nothing is taken. */
  remove(piece: number): boolean {
    if (this.#all || !this.has(piece)) return false;
    this.#bits[piece >> 3] = (this.#bits[piece >> 3] ?? 0) & ~(0x80 >> (piece & 7));
    this.#count--;
    return true;
  }

  /** Takes over a whole map. */
  replace(bits: Uint8Array): void {
    this.#all = false;
    this.#bits = Uint8Array.from(bits.subarray(0, MAX_PIECES >> 3));
    this.#count = ones(this.#bits);
  }

  /** Whether no piece at or behind `pieceCount` is claimed: a peer that does so talks about another torrent. */
  fits(pieceCount: number): boolean {
    const full = pieceCount >> 3;
    if (((this.#bits[full] ?? 0) & (0xff >> (pieceCount & 7))) !== 0) return false;
    for (let at = full + 1; at < this.#bits.length; at++) if (this.#bits[at] !== 0) return false;
    return true;
  }
}

function ones(bits: Uint8Array): number {
  let count = 0;
  for (let byte of bits) for (; byte !== 0; byte &= byte - 1) count++;
  return count;
}
