/** Which piece length a torrent gets, so that everybody can join it. */

import { BlockswarmError } from '../errors.js';
import { formatBytes } from '../units.js';
import type { TorrentKind } from './info-dict.js';
import {
  MAX_INFO_BYTES,
  MAX_METAINFO_BYTES,
  MAX_PIECE_LENGTH_BYTES,
  MAX_PIECES,
  MIN_PIECE_LENGTH_V2_BYTES,
} from './metainfo.js';

/** How large a torrent's parts get with some piece length. */
export interface TorrentSize {
  readonly pieceCount: number;
  readonly infoLengthBytes: number;
  /** Entries of `piece layers`. */
  readonly layersLengthBytes: number;
}

interface Choice {
  readonly pieceLengthBytes: number;
  readonly size: TorrentSize;
  readonly warnings: readonly string[];
}

const MIN_AUTO_BYTES = 16 * 1024;
/** Longer pieces are chosen only where limits ask for it: a piece is checked, and shared, as a whole. */
const MAX_PREFERRED_BYTES = 16 * 1024 * 1024;
const PREFERRED_PIECES = 2048;
/** libtorrent 2.1 takes pieces of less than 512 MiB. */
const MAX_AUTO_BYTES = 256 * 1024 * 1024;
/** rain takes fewer pieces; rqbit reads bitfields of 32 KiB; libtorrent reads a `.torrent` of 10 MB. */
const MANY_PIECES = 65_536;
const MAX_BITFIELD_BYTES = 32 * 1024;
const LONG_METAINFO_BYTES = 10_000_000;

/**
 * A power of two from 16 KiB that gives 1,000 to 2,000 pieces, for up to 32 GiB; then 16 MiB. Limits may ask for more.
 */
export function preferredPieceLengthBytes(totalBytes: number): number {
  let length = MIN_AUTO_BYTES;
  while (totalBytes > length * PREFERRED_PIECES && length < MAX_PREFERRED_BYTES) length *= 2;
  return length;
}

/**
 * Chooses a piece length that keeps all limits, or the most of them, or judges the one that is asked for. `measure` says how large the
 * torrent gets.
 *
 * @throws BlockswarmError ERR_CONFIG when the length asked for breaks a limit that nobody can pass over, ERR_METAINFO
 * when every length does
 */
export function choosePieceLength(
  asked: number | 'auto',
  kind: TorrentKind,
  totalBytes: number,
  measure: (pieceLengthBytes: number) => TorrentSize,
): Choice {
  const lengths = function* (from: number): Generator<Choice & { fault: string | null }> {
    for (let pieceLengthBytes = from; pieceLengthBytes <= MAX_AUTO_BYTES; pieceLengthBytes *= 2) {
      const size = measure(pieceLengthBytes);
      yield { pieceLengthBytes, size, fault: brokenLimit(size), warnings: warn(pieceLengthBytes, size) };
    }
  };
  if (asked === 'auto') {
    let best: Choice | null = null;
    for (const choice of lengths(preferredPieceLengthBytes(totalBytes))) {
      if (choice.fault !== null) continue;
      // What longer pieces do not better, such as many files, is no reason for them.
      if (best === null || choice.warnings.length < best.warnings.length) best = choice;
      if (best.warnings.length === 0) break;
    }
    if (best !== null) return best;
    throw new BlockswarmError(
      'ERR_METAINFO',
      `torrent: too large for one torrent, even with pieces of ${formatBytes(MAX_AUTO_BYTES)}`,
    );
  }
  checkLength(asked, kind);
  const size = measure(asked);
  const broken = brokenLimit(size);
  if (broken === null) return { pieceLengthBytes: asked, size, warnings: warn(asked, size) };
  const from = 2 ** Math.ceil(Math.log2(Math.max(asked, MIN_AUTO_BYTES)));
  for (const { pieceLengthBytes, fault } of lengths(from)) {
    if (fault === null)
      throw bad(`${formatBytes(asked)} gives ${broken}; ${formatBytes(pieceLengthBytes)} is needed`);
  }
  throw bad(`${formatBytes(asked)} gives ${broken}; no other one helps`);
}

function checkLength(length: number, kind: TorrentKind): void {
  if (!Number.isInteger(length) || length < 1 || length > MAX_PIECE_LENGTH_BYTES) {
    throw bad(`expected 1 B to ${formatBytes(MAX_PIECE_LENGTH_BYTES)}, got ${length}`);
  }
  if (kind !== 'v1' && (length < MIN_PIECE_LENGTH_V2_BYTES || !Number.isInteger(Math.log2(length)))) {
    throw bad(`v2 needs a power of two of at least 16 KiB, got ${length}`);
  }
}

/** The limit that is broken, of those that clients hold hard. */
function brokenLimit({ pieceCount, infoLengthBytes, layersLengthBytes }: TorrentSize): string | null {
  if (pieceCount >= MAX_PIECES) return `${pieceCount} pieces, with a limit of ${MAX_PIECES}`;
  if (infoLengthBytes > MAX_INFO_BYTES) {
    return `an info dictionary of ${formatBytes(infoLengthBytes)}, with a limit of ${formatBytes(MAX_INFO_BYTES)}`;
  }
  const total = infoLengthBytes + layersLengthBytes;
  if (total <= MAX_METAINFO_BYTES) return null;
  return `a torrent file of ${formatBytes(total)}, with a limit of ${formatBytes(MAX_METAINFO_BYTES)}`;
}

function warn(
  pieceLengthBytes: number,
  { pieceCount, infoLengthBytes, layersLengthBytes }: TorrentSize,
): string[] {
  const found: string[] = [];
  if (pieceCount >= MANY_PIECES) found.push(`${pieceCount} pieces: rain takes fewer than ${MANY_PIECES}`);
  if (pieceCount > MAX_BITFIELD_BYTES * 8) found.push('a bitfield of more than 32 KiB: rqbit cannot join');
  if (infoLengthBytes + layersLengthBytes > LONG_METAINFO_BYTES) {
    found.push('a torrent file of more than 10 MB: libtorrent does not read it');
  }
  if (pieceLengthBytes > MAX_AUTO_BYTES) found.push('pieces of more than 256 MiB: libtorrent cannot join');
  if (!Number.isInteger(Math.log2(pieceLengthBytes)) || pieceLengthBytes < MIN_AUTO_BYTES) {
    found.push('a piece length that is no power of two of at least 16 KiB is not taken by every client');
  }
  return found;
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_CONFIG', `piece length: ${what}`);
}
