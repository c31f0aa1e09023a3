/** What earlier runs knew of bytes on disk: under which key it is kept, and the second look at what was trusted. */
import { createHash } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { Store } from '../native.js';

/** The database's name in a state folder. */
export const resumeFileName = 'resume.redb';

/** A second look must not take the disk from those who fetch. */
const scrubBytesPerSecond = 32 * 2 ** 20;

/** 32 bytes for a torrent at a place: a path that holds nothing else of it. */
export function resumeKey(torrent: Pick<Metainfo, 'infoHashV1' | 'infoHashV2'>, place: string): Uint8Array {
  const hash = createHash('sha256');
  for (const part of [torrent.infoHashV1 ?? '', torrent.infoHashV2 ?? '', place]) {
    hash.update(`${part.length} `).update(part);
  }
  return hash.digest();
}

/** Whether a BEP 3 bitfield has a piece. */
export function hasPiece(bitfield: Uint8Array, piece: number): boolean {
  // One bit a piece, high bit first.
  return ((bitfield[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0;
}

/** Hashes pieces at a low pace until the signal fires; returns those that are not what they were. */
export async function scrub(
  store: Store,
  { pieceCount, pieceLengthBytes }: { readonly pieceCount: number; readonly pieceLengthBytes: number },
  trusted: Uint8Array,
  signal: AbortSignal,
): Promise<number[]> {
  const wrong: number[] = [];
  for (let piece = 0; piece < pieceCount; piece++) {
    if (!hasPiece(trusted, piece)) continue;
    if ((await store.verify(piece, piece + 1, signal)) === 0) wrong.push(piece);
    await delay((pieceLengthBytes / scrubBytesPerSecond) * 1000, undefined, { signal });
  }
  return wrong;
}
