import * as bindings from '../../bindings/index.js';
import { counted } from './task.js';

/** A file of a torrent where it lies. */
export interface ContentFile {
  /** Empty for padding, which lies nowhere. */
  readonly path: string;
  readonly lengthBytes: number;
}

/** How a torrent is cut, and where its files are. */
export interface TorrentLayout {
  readonly kind: 'v1' | 'v2' | 'hybrid';
  readonly pieceLengthBytes: number;
  /** In the torrent's order, padding included. */
  readonly files: readonly ContentFile[];
}

/** The hashes of a torrent's content, as metainfo has them. A piece layer that is not known is `null`. */
export interface ContentHashes<Layer extends Uint8Array | null = Uint8Array> {
  /** SHA-1 of each piece, pieces × 20 bytes; `null` for v2. */
  readonly pieces: Uint8Array | null;
  /**
   * v2: for each file of the layout; `null` for v1, for an empty file and for padding. The layer is pieces × 32 bytes,
   * empty when the file is no longer than a piece.
   */
  readonly files: readonly ({ readonly piecesRoot: Uint8Array; readonly pieceLayer: Layer } | null)[];
}

export interface HashTorrentOptions {
  /** Default: one a core. */
  readonly threads?: number | undefined;
  /** Leave the page cache as it was found: pages that reading brought into memory leave it. */
  readonly uncached?: boolean | undefined;
  /** Told a few times a second how many bytes of files are done. */
  readonly progress?: (doneBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Hashes the files of a torrent on all cores. Memory: the hashes, and half a MiB a thread.
 * @throws BlockswarmError ERR_IO names a file that cannot be read, is not as long as listed or changes meanwhile;
 *   ERR_METAINFO
 */
export async function hashTorrent(
  layout: TorrentLayout,
  options: HashTorrentOptions = {},
): Promise<ContentHashes> {
  const { pieces, roots, layers } = await counted(options, (counter, cancel) =>
    bindings.hashTorrent(flat(layout), hashOptions(options), counter, cancel),
  );
  let [rootOffset, layerOffset] = [0, 0];
  const files = layout.files.map(({ path, lengthBytes }) => {
    if (!roots || !layers || path === '' || lengthBytes === 0) return null;
    const layerBytes = lengthBytes > layout.pieceLengthBytes ? 32 * pieceCount(lengthBytes, layout) : 0;
    const piecesRoot = roots.subarray(rootOffset, rootOffset + 32);
    const pieceLayer = layers.subarray(layerOffset, layerOffset + layerBytes);
    rootOffset += 32;
    layerOffset += layerBytes;
    return { piecesRoot, pieceLayer };
  });
  return { pieces, files };
}

/** A file that is not as the torrent says, whatever its bytes are. */
export interface FileFault extends Readonly<bindings.FaultyFile> {
  readonly fault: 'missing' | 'not-a-file' | 'short' | 'long' | 'unreadable' | 'changed';
}

/**
 * Bytes of a file that are not known to be right: `wrong` (each piece in the range holds a wrong byte), `missing` (the
 * file ends before), `unreadable`, `unproven` (they share a piece with missing or unreadable ones), `contradiction` (the
 * torrent's v1 and v2 hashes disagree).
 */
export interface DamagedRange extends Readonly<bindings.Damage> {
  readonly reason: 'wrong' | 'missing' | 'unreadable' | 'unproven' | 'contradiction';
}

export interface CheckedTorrent {
  readonly pieceCount: number;
  readonly goodPieces: number;
  /** Files are named by their number in the layout. */
  readonly faults: readonly FileFault[];
  readonly damage: readonly DamagedRange[];
}

/**
 * Hashes the files of a torrent on all cores and compares. What is wrong with files is a result.
 * @throws BlockswarmError ERR_METAINFO when the hashes do not fit the layout or each other
 */
export async function checkTorrent(
  layout: TorrentLayout,
  hashes: ContentHashes<Uint8Array | null>,
  options: HashTorrentOptions = {},
): Promise<CheckedTorrent> {
  const checked = await counted(options, (counter, cancel) =>
    bindings.checkTorrent(flat(layout), packed(layout, hashes), hashOptions(options), counter, cancel),
  );
  return checked as CheckedTorrent;
}

function hashOptions({ threads = 0, uncached = false }: HashTorrentOptions): bindings.HashOptions {
  return { threads, uncached };
}

function pieceCount(lengthBytes: number, { pieceLengthBytes }: TorrentLayout): number {
  return Math.ceil(lengthBytes / pieceLengthBytes);
}

/** The hashes that the layout's kind has, in few values. */
export function packed(
  { kind }: TorrentLayout,
  hashes: ContentHashes<Uint8Array | null>,
): bindings.ContentHashes {
  const v2 = kind === 'v1' ? [] : hashes.files.filter((file) => file !== null);
  const layers = v2.map((file) => file.pieceLayer).filter((layer) => layer !== null);
  return {
    pieces: kind === 'v2' ? null : hashes.pieces,
    roots: kind === 'v1' ? null : Buffer.concat(v2.map((file) => file.piecesRoot)),
    layers: layers.length < v2.length || kind === 'v1' ? null : Buffer.concat(layers),
  };
}

/** A layout as few values: there may be hundreds of thousands of files. */
export function flat({ kind, pieceLengthBytes, files }: TorrentLayout): bindings.TorrentLayout {
  const lengthsBytes = files.map(({ lengthBytes }) => lengthBytes);
  const paths = Buffer.from(files.map(({ path }) => `${path}\0`).join(''));
  return { kind, pieceLengthBytes, lengthsBytes, paths };
}
