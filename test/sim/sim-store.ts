/** The double of a native store: of each block it remembers who sent it and whether it was good, no bytes. */
import { Geometry } from '../../src/swarm/geometry.js';
import { HaveMap } from '../../src/swarm/have-map.js';
import type { HashesOf, PieceStore, PieceVerdict } from '../../src/swarm/link-host.js';

export interface SimShape {
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
}

/** Pieces whose hashes come with one answer. */
const HASHES_AT_ONCE = 8;

interface SimBlock {
  readonly from: number;
  readonly good: boolean;
}

export class SimStore implements PieceStore {
  readonly geometry: Geometry;
  readonly shape: SimShape;
  /** Writes fail while set. */
  diskFull = false;
  /** The next read fails while set. */
  filesCut = false;
  /** Blocks that were written, and such as came although they were here. */
  writtenBlocks = 0;
  duplicateBlocks = 0;
  /** Links that sent blocks which are bad. */
  readonly badSenders = new Set<number>();
  /** It says that it has everything, and has nothing: what is asked for is rejected. */
  readonly #lies: boolean;
  readonly #servable: Uint8Array;
  #servableCount = 0;
  readonly #assemblies = new Map<number, Map<number, SimBlock>>();
  /** Pieces whose v2 hash is not known. */
  readonly #unhashed: HaveMap;
  readonly #needsHashes: boolean;
  /** Blocks of pieces that failed, kept to tell culprits once the piece is good. */
  readonly #failed = new Map<number, SimBlock[]>();

  constructor(
    shape: SimShape,
    options: { complete?: boolean; lies?: boolean; lacks?: 'v2-hashes' | 'all-hashes' } = {},
  ) {
    this.shape = shape;
    this.geometry = new Geometry(shape);
    this.#unhashed = new HaveMap();
    this.#needsHashes = options.lacks === 'all-hashes';
    if (options.lacks) for (let n = 0; n < this.geometry.pieceCount; n++) this.#unhashed.add(n);
    this.#servable = new Uint8Array(Math.ceil(this.geometry.pieceCount / 8));
    this.#lies = options.lies ?? false;
    if (options.complete || options.lies)
      for (let piece = 0; piece < this.geometry.pieceCount; piece++) this.setServable(piece);
  }

  get complete(): boolean {
    return this.#servableCount === this.geometry.pieceCount;
  }

  servable(): Uint8Array {
    return Uint8Array.from(this.#servable);
  }

  missingHashes(): { pieces: Uint8Array; needed: boolean } | null {
    if (this.#unhashed.count === 0) return null;
    const pieces = new Uint8Array(this.#servable.length);
    for (let n = 0; n < this.geometry.pieceCount; n++) {
      if (this.#unhashed.has(n)) pieces[n >> 3] = (pieces[n >> 3] ?? 0) | (0x80 >> (n & 7));
    }
    return { pieces, needed: this.#needsHashes };
  }

  canJudge(piece: number): boolean {
    return !this.#needsHashes || !this.#unhashed.has(piece);
  }

  /** The pieces that a request for hashes is answered for; `null` when there is nothing to ask. */
  hashRange(piece: number, of: HashesOf): { first: number; end: number } | null {
    if (piece >= this.geometry.pieceCount || this.#unhashed.has(piece) !== (of === 'pieces')) return null;
    if (of === 'leaves') return { first: piece, end: piece + 1 };
    const first = piece - (piece % HASHES_AT_ONCE);
    return { first, end: Math.min(first + HASHES_AT_ONCE, this.geometry.pieceCount) };
  }

  /** Whether hashes can be given to a peer. */
  givesHashes(piece: number, of: HashesOf): boolean {
    return of === 'pieces' ? this.#unhashed.count === 0 : this.isServable(piece);
  }

  learnHashes({ first, end }: { first: number; end: number }): void {
    for (let piece = first; piece < end; piece++) this.#unhashed.remove(piece);
  }

  /** The leaves of a piece are known: who sent bad ones of it. */
  blame(torrent: number, piece: number): PieceVerdict | null {
    const failed = this.#failed.get(piece) ?? [];
    this.#failed.delete(piece);
    if (failed.length === 0) return null;
    const senders = [...new Set(failed.map((block) => block.from))];
    const culprits = [...new Set(failed.filter((block) => !block.good).map((block) => block.from))];
    return { torrent, piece, outcome: 'blamed', senders, culprits };
  }

  isServable(piece: number): boolean {
    return ((this.#servable[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0;
  }

  setServable(piece: number): void {
    if (this.isServable(piece)) return;
    this.#servable[piece >> 3] = (this.#servable[piece >> 3] ?? 0) | (0x80 >> (piece & 7));
    this.#servableCount++;
  }

  /** The piece is gone from the files. */
  lose(piece: number): void {
    if (!this.isServable(piece)) return;
    this.#servable[piece >> 3] = (this.#servable[piece >> 3] ?? 0) & ~(0x80 >> (piece & 7));
    this.#servableCount--;
  }

  /** Whether the piece can be read; when not, everything in the files is lost. */
  read(piece: number): 'whole' | 'missing' | 'failed' {
    if (!this.isServable(piece) || this.#lies) return 'missing';
    if (!this.filesCut) return 'whole';
    this.#servable.fill(0);
    this.#servableCount = 0;
    return 'failed';
  }

  hasBlock(piece: number, block: number): boolean {
    return this.isServable(piece) || (this.#assemblies.get(piece)?.has(block) ?? false);
  }

  /** Returns whether this block completed its piece. */
  write(piece: number, block: number, from: number, good: boolean): boolean {
    if (this.hasBlock(piece, block)) {
      this.duplicateBlocks++;
      return false;
    }
    this.writtenBlocks++;
    if (!good) this.badSenders.add(from);
    const blocks = this.#assemblies.get(piece) ?? new Map<number, SimBlock>();
    this.#assemblies.set(piece, blocks);
    blocks.set(block, { from, good });
    return blocks.size === this.geometry.blockCount(piece);
  }

  judge(torrent: number, piece: number): PieceVerdict {
    const blocks = [...(this.#assemblies.get(piece)?.values() ?? [])];
    this.#assemblies.delete(piece);
    const senders = [...new Set(blocks.map((block) => block.from))];
    const verdict = { torrent, piece, senders };
    if (this.diskFull) return { ...verdict, outcome: 'io', message: 'no space left on device', culprits: [] };
    if (blocks.every((block) => block.good)) {
      this.setServable(piece);
      const failed = this.#failed.get(piece) ?? [];
      this.#failed.delete(piece);
      const culprits = new Set(failed.filter((block) => !block.good).map((block) => block.from));
      return { ...verdict, outcome: 'good', culprits: [...culprits] };
    }
    this.#failed.set(piece, [...(this.#failed.get(piece) ?? []), ...blocks]);
    return { ...verdict, outcome: 'bad', culprits: senders.length === 1 ? senders : [] };
  }
}
