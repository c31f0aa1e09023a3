/**
 * Where a torrent's files lie in its pieces. v1 and hybrid: end to end, padding included. v2: each file begins with a
 * piece, and its last piece ends with it.
 */
import type { Metainfo } from './metainfo.js';

/** How a torrent is cut, as peers count its bytes. */
export interface TorrentShape {
  /** From the first file's start to the last one's end, whatever lies between files counted in. */
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  /** v2: the pieces before the last that end with their file, and their bytes. */
  readonly shortPieces: ReadonlyMap<number, number>;
}

/** Pieces `[first, end)`. */
export interface PieceRange {
  readonly first: number;
  readonly end: number;
}

type Cut = Pick<Metainfo, 'files' | 'infoHashV1' | 'pieceLengthBytes'>;

export function torrentShape(metainfo: Cut): TorrentShape {
  const { pieceLengthBytes } = metainfo;
  const isV2 = metainfo.infoHashV1 === null;
  const shortPieces = new Map<number, number>();
  let lengthBytes = 0;
  for (const { startBytes, endBytes } of fileSpans(metainfo)) {
    if (endBytes === startBytes) continue;
    const rest = endBytes % pieceLengthBytes;
    if (isV2 && rest > 0) shortPieces.set(Math.floor(endBytes / pieceLengthBytes), rest);
    lengthBytes = endBytes;
  }
  shortPieces.delete(Math.floor(lengthBytes / pieceLengthBytes));
  return { lengthBytes, pieceLengthBytes, shortPieces };
}

/** The pieces that hold bytes of each file; an empty range for a file without bytes. */
export function filePieces(metainfo: Cut): PieceRange[] {
  const { pieceLengthBytes } = metainfo;
  return fileSpans(metainfo).map(({ startBytes, endBytes }) => {
    const first = Math.floor(startBytes / pieceLengthBytes);
    return endBytes === startBytes
      ? { first, end: first }
      : { first, end: Math.ceil(endBytes / pieceLengthBytes) };
  });
}

function fileSpans({ files, infoHashV1, pieceLengthBytes }: Cut): { startBytes: number; endBytes: number }[] {
  const isV2 = infoHashV1 === null;
  let offset = 0;
  return files.map(({ lengthBytes }) => {
    if (isV2 && lengthBytes > 0) offset = Math.ceil(offset / pieceLengthBytes) * pieceLengthBytes;
    const startBytes = offset;
    offset += lengthBytes;
    return { startBytes, endBytes: offset };
  });
}
