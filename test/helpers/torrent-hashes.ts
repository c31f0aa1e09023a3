/** Hashes of a file's bytes for torrents, written plainly from BEP 3 and BEP 52: the tests' own second opinion. */

import { createHash } from 'node:crypto';
import type { ContentHashes } from '../../src/metainfo/info-dict.js';
import type { TorrentPlan } from '../../src/metainfo/plan.js';

const LEAF_BYTES = 16 * 1024;

export interface TorrentHashes {
  lengthBytes: number;
  pieceLengthBytes: number;
  pieces: Uint8Array;
  piecesRoot: Uint8Array;
  pieceLayer: Uint8Array;
}

export function torrentHashes(content: Uint8Array, pieceLengthBytes: number): TorrentHashes {
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < content.length; offset += pieceLengthBytes) {
    pieces.push(sha('sha1', content.subarray(offset, offset + pieceLengthBytes)));
  }
  const leaves: Uint8Array[] = [];
  for (let offset = 0; offset < content.length; offset += LEAF_BYTES) {
    leaves.push(sha('sha256', content.subarray(offset, offset + LEAF_BYTES)));
  }
  const leavesPerPiece = pieceLengthBytes / LEAF_BYTES;
  const layer: Uint8Array[] = [];
  if (content.length > pieceLengthBytes) {
    for (let first = 0; first < leaves.length; first += leavesPerPiece) {
      layer.push(tree(leaves.slice(first, first + leavesPerPiece), leavesPerPiece));
    }
  }
  return {
    lengthBytes: content.length,
    pieceLengthBytes,
    pieces: Buffer.concat(pieces),
    piecesRoot: tree(leaves, 1),
    pieceLayer: Buffer.concat(layer),
  };
}

/** The hashes of a planned torrent's content: bytes of each of its files, padding included. */
export function contentHashes(plan: TorrentPlan, content: readonly Uint8Array[]): ContentHashes {
  const { kind, pieceLengthBytes } = plan;
  return {
    pieces: kind === 'v2' ? null : torrentHashes(Buffer.concat(content), pieceLengthBytes).pieces,
    files: plan.files.map((file, i) =>
      kind === 'v1' || file.padding || file.lengthBytes === 0
        ? null
        : torrentHashes(content[i] ?? new Uint8Array(), pieceLengthBytes),
    ),
  };
}

/** Root over leaves filled up with zero hashes to a power of two of at least `minLeaves`. */
function tree(leaves: readonly Uint8Array[], minLeaves: number): Uint8Array {
  let level = [...leaves];
  let width = minLeaves;
  while (width < level.length) width *= 2;
  while (level.length < width) level.push(new Uint8Array(32));
  while (level.length > 1) {
    level = level
      .filter((_, i) => i % 2 === 0)
      .map((left, i) => sha('sha256', left, level[2 * i + 1] ?? new Uint8Array()));
  }
  return level[0] ?? new Uint8Array(32);
}

function sha(algorithm: string, ...parts: Uint8Array[]): Uint8Array {
  const hash = createHash(algorithm);
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}
