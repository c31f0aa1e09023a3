/** How one torrent is cut: pieces, 16 KiB blocks (BEP 3), and stripes, the work given to a peer. */

/** Bytes of a block, the unit of a request. */
export const BLOCK_BYTES = 16_384;

/** Most blocks of a stripe: 1 MiB, so that four fast peers share a piece of 4 MiB. */
export const STRIPE_BLOCKS = 64;

/** A stripe is made of whole cells, except at the end of a piece: the least that a slow peer is asked for. */
export const CELL_BLOCKS = 4;

/** A peer's have-map over more pieces than this is not believed; the native core has the same limit. */
export const MAX_PIECES = 1 << 21;

const MAX_PIECE_BYTES = 512 * 1024 * 1024;

/** Lengths of a torrent, piece numbers `[0, pieceCount)`. */
export class Geometry {
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  readonly pieceCount: number;
  readonly #shortPieces: ReadonlyMap<number, number> | undefined;

  /** `shortPieces`: those before the last that have fewer bytes (v2, where they end with their file). */
  constructor(shape: {
    lengthBytes: number;
    pieceLengthBytes: number;
    shortPieces?: ReadonlyMap<number, number>;
  }) {
    const { lengthBytes, pieceLengthBytes } = shape;
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 1) {
      throw new RangeError(`"lengthBytes" expected integer >= 1, got ${lengthBytes}`);
    }
    if (!Number.isInteger(pieceLengthBytes) || pieceLengthBytes < 1 || pieceLengthBytes > MAX_PIECE_BYTES) {
      throw new RangeError(
        `"pieceLengthBytes" expected integer in 1..${MAX_PIECE_BYTES}, got ${pieceLengthBytes}`,
      );
    }
    this.#shortPieces = shape.shortPieces?.size ? shape.shortPieces : undefined;
    this.lengthBytes = lengthBytes;
    this.pieceLengthBytes = pieceLengthBytes;
    this.pieceCount = Math.ceil(lengthBytes / pieceLengthBytes);
    if (this.pieceCount >= MAX_PIECES) {
      throw new RangeError(
        `"pieceLengthBytes" makes ${this.pieceCount} pieces, expected under ${MAX_PIECES}`,
      );
    }
  }

  pieceBytes(piece: number): number {
    if (piece === this.pieceCount - 1) return this.lengthBytes - piece * this.pieceLengthBytes;
    return this.#shortPieces?.get(piece) ?? this.pieceLengthBytes;
  }

  blockCount(piece: number): number {
    return Math.ceil(this.pieceBytes(piece) / BLOCK_BYTES);
  }
}
