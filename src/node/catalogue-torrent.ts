/** The torrent that carries a catalogue: made by the same rule as every other (DESIGN §1). */
import { type HybridTorrent, makeHybrid, PIECE_LENGTH_BYTES } from '../metainfo/hybrid.js';
import { catalogueFileName } from '../metainfo/segment.js';
import { fileExtents, hashExtents } from '../native.js';

/** Hashes the first `lengthBytes` of a catalogue file: catalogue n is a prefix of n + 1. */
export async function catalogueTorrent(
  path: string,
  lengthBytes: number,
  network: string,
  count: number,
  signal?: AbortSignal,
): Promise<HybridTorrent> {
  const hashes = await hashExtents(fileExtents(path, lengthBytes), PIECE_LENGTH_BYTES, signal);
  return makeHybrid({
    name: catalogueFileName(network, count),
    pieceLengthBytes: PIECE_LENGTH_BYTES,
    ...hashes,
  });
}
