/**
 * Which pieces somebody has, or any other set of pieces. Its length may be unknown (a peer met before the info
 * dictionary is known), so it grows with what is added, up to a bound. Layout of BEP 3: high bit first.
 */
import { MAX_PIECES } from './geometry.js';

const MAX_BYTES = MAX_PIECES >> 3;

export class HaveMap {
  /** Set by HAVE ALL (BEP 6): every piece, however many there are. */
  #all = false;
  #bits: Uint8Array;
  /** The same bits, four bytes at a time: pieces are searched for among millions. */
  #words: Uint32Array;
  #count: number;

  constructor(bits: Uint8Array = new Uint8Array(0)) {
    this.#words = wordsOf(bits);
    this.#bits = new Uint8Array(this.#words.buffer);
    this.#count = ones(this.#words);
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
      this.#words = wordsOf(this.#bits, Math.min(MAX_BYTES, Math.max(byte + 1, this.#bits.length * 2)));
      this.#bits = new Uint8Array(this.#words.buffer);
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
    this.#words = wordsOf(bits);
    this.#bits = new Uint8Array(this.#words.buffer);
    this.#count = ones(this.#words);
  }

  /** The first piece of `[first, end)` that is listed here and that `other` has as well; -1 when there is none. */
  next(first: number, end: number, other: HaveMap | null = null): number {
    const words = this.#words;
    const [theirs, theirBits] = other === null || other.#all ? [null, null] : [other.#words, other.#bits];
    const lastWord = Math.min(words.length, theirs?.length ?? words.length, (end + 31) >> 5);
    for (let at = first >> 5; at < lastWord; at++) {
      if (((words[at] ?? 0) & (theirs === null ? -1 : (theirs[at] ?? 0))) === 0) continue;
      const from = Math.max(first, at << 5);
      const to = Math.min(end, (at + 1) << 5);
      for (let piece = from; piece < to; piece++) {
        const bit = 0x80 >> (piece & 7);
        if (((this.#bits[piece >> 3] ?? 0) & bit) === 0) continue;
        if (theirBits === null || ((theirBits[piece >> 3] ?? 0) & bit) !== 0) return piece;
      }
    }
    return -1;
  }

  /** Whether no piece at or behind `pieceCount` is claimed: a peer that does so talks about another torrent. */
  fits(pieceCount: number): boolean {
    return this.next(pieceCount, this.#bits.length << 3) < 0;
  }
}

/** A copy, cut to the bound and filled up to whole words. */
function wordsOf(bits: Uint8Array, lengthBytes = bits.length): Uint32Array {
  const kept = bits.subarray(0, MAX_BYTES);
  const words = new Uint32Array((Math.min(lengthBytes, MAX_BYTES) + 3) >> 2);
  new Uint8Array(words.buffer).set(kept);
  return words;
}

function ones(words: Uint32Array): number {
  let count = 0;
  for (let word of words) for (; word !== 0; word &= word - 1) count++;
  return count;
}
