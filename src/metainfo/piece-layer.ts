/**
 * Piece layers of BEP 52: a file's SHA-256 merkle tree at the height where one hash covers one piece.
 *
 * Leaves are 16 KiB. The tree is filled up to a power of two with zero hashes as leaves, so a missing piece in the
 * layer stands for the root of a tree of zero leaves. Hashing file contents is native work; here only layers.
 */

import { createHash } from 'node:crypto';

const HASH_BYTES = 32;
const LEAF_BYTES = 16 * 1024;

/**
 * The `pieces root` above a piece layer of at least one hash. `layer` is hashes × 32 bytes; `pieceLengthBytes` is a
 * power of two of at least 16 KiB.
 */
export function layerRoot(layer: Uint8Array, pieceLengthBytes: number): Uint8Array {
  if (layer.length === 0 || layer.length % HASH_BYTES !== 0) {
    throw new RangeError(`"layer" expected a positive multiple of 32 bytes, got ${layer.length}`);
  }
  let pad: Uint8Array = new Uint8Array(HASH_BYTES);
  for (let span = LEAF_BYTES; span < pieceLengthBytes; span *= 2) pad = hashPair(pad, pad);
  let hashes: Uint8Array[] = [];
  for (let offset = 0; offset < layer.length; offset += HASH_BYTES) {
    hashes.push(layer.subarray(offset, offset + HASH_BYTES));
  }
  while (hashes.length > 1) {
    const parents: Uint8Array[] = [];
    for (let i = 0; i < hashes.length; i += 2) parents.push(hashPair(hashes[i] ?? pad, hashes[i + 1] ?? pad));
    hashes = parents;
    pad = hashPair(pad, pad);
  }
  return hashes[0] ?? pad;
}

function hashPair(left: Uint8Array, right: Uint8Array): Uint8Array {
  return createHash('sha256').update(left).update(right).digest();
}
