/**
 * Makes the one torrent of a file: single-file, hybrid v1 + v2, a function of the file's name and bytes only.
 *
 * `info` has exactly the keys `file tree`, `length`, `meta version`, `name`, `piece length`, `pieces`; the metainfo
 * exactly `info` and `piece layers`, the latter empty when the file is no longer than a piece. No date, no maker, no
 * tracker: whoever makes it gets the same infohash.
 */

import { buildMetainfo } from './build.js';
import { hashInfoV1, hashInfoV2 } from './infohash.js';
import type { Metainfo } from './metainfo.js';
import { planTorrent } from './plan.js';

/** Piece length of every torrent that blockswarm makes of the chain. */
export const PIECE_LENGTH_BYTES = 4 * 1024 * 1024;

/** A file's name and the hashes of its bytes, as the native hasher gives them. */
export interface HybridFile {
  readonly name: string;
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  /** SHA-1 of each piece, pieces × 20 bytes. */
  readonly pieces: Uint8Array;
  /** Root of the SHA-256 merkle tree, 32 bytes. */
  readonly piecesRoot: Uint8Array;
  /** Roots of the pieces, pieces × 32 bytes; empty when the file is no longer than a piece. */
  readonly pieceLayer: Uint8Array;
}

/** A torrent of which every part is known. */
export interface HybridTorrent extends Metainfo {
  readonly metainfoBytes: Uint8Array;
  readonly pieces: Uint8Array;
  readonly piecesRoot: Uint8Array;
  readonly pieceLayer: Uint8Array;
  readonly infoHashV1: Uint8Array;
  readonly infoHashV2: Uint8Array;
}

/**
 * Makes the hybrid torrent of a file. The result is parsed again, so hashes that contradict the length or each other
 * are refused.
 *
 * @throws BlockswarmError ERR_METAINFO
 */
export function makeHybrid(file: HybridFile): HybridTorrent {
  const { name, lengthBytes, pieceLengthBytes, pieces, piecesRoot, pieceLayer } = file;
  const plan = planTorrent({
    name,
    kind: 'hybrid',
    pieceLengthBytes,
    files: [{ path: [name], lengthBytes }],
    multiFile: false,
  });
  const { metainfo, metainfoBytes } = buildMetainfo(plan, { pieces, files: [{ piecesRoot, pieceLayer }] });
  return {
    ...metainfo,
    metainfoBytes,
    pieces,
    piecesRoot,
    pieceLayer: metainfo.pieceLayer ?? pieceLayer,
    infoHashV1: hashInfoV1(metainfo.infoBytes),
    infoHashV2: hashInfoV2(metainfo.infoBytes),
  };
}
