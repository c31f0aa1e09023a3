/**
 * Torrents as values: `.torrent` files and info dictionaries, v1 (BEP 3), v2 and hybrid (BEP 52).
 *
 * Strict: canonical bencoding only, sizes that agree, halves of a hybrid that agree, piece layers that hash to their
 * roots. Odd names are made safe, not refused. Bounded by what other clients accept: an info dictionary of at most 4 MiB,
 * fewer than 2^21 pieces.
 */

import { type BencodeDict, type BencodeValue, bytesText, decode, decodeShallow, isDict } from '../bencode.js';
import { BlockswarmError } from '../errors.js';
import { sameBytes } from '../units.js';
import { hashInfoV1, hashInfoV2 } from './infohash.js';
import { type DhtNode, readNodes, readTrackerTiers, readWebSeeds } from './peer-sources.js';
import { layerRoot } from './piece-layer.js';
import { type PathRepair, readTorrentFiles, type TorrentFile } from './torrent-files.js';

/** Longest info dictionary: libtorrent refuses to send or take a longer one. */
export const MAX_INFO_BYTES = 4 * 1024 * 1024;
/**
 * Longest `.torrent`: the longest info dictionary and piece layers for its pieces. libtorrent reads 10 MB, which is less
 * than a hybrid with the longest info needs.
 */
export const MAX_METAINFO_BYTES = 16 * 1024 * 1024;
/** Pieces are fewer than this (libtorrent's limit). */
export const MAX_PIECES = 2 ** 21;
/** Longest piece. */
export const MAX_PIECE_LENGTH_BYTES = 512 * 1024 * 1024;
/** Shortest piece of v2: one leaf. */
export const MIN_PIECE_LENGTH_V2_BYTES = 16 * 1024;

/** libtorrent's limits. All of it is checked, but only what is used of it is built, and takes memory. */
const LIMITS = { maxBytes: MAX_METAINFO_BYTES, maxDepth: 100, maxTokens: 3_000_000 };
/** A file takes at least 20 bytes and 3 values: an info dictionary of 4 MiB needs no more. */
const INFO_LIMITS = { maxBytes: MAX_INFO_BYTES, maxDepth: LIMITS.maxDepth - 1, maxTokens: 1_000_000 };

/** A torrent. For a multi-file one `piecesRoot` and `pieceLayer` are `null`: its files have them. */
export interface Metainfo {
  /** The file's name, or the folder's when there are several files; safe on disk (`safe-path.ts`). */
  readonly name: string;
  /** The name as the metainfo says: to tell, never to open. */
  readonly rawName: string;
  /** Bytes of content, padding excluded. */
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  readonly pieceCount: number;
  /** v1: SHA-1 of each piece, pieces × 20 bytes. */
  readonly pieces: Uint8Array | null;
  /** v2, single file: as in `TorrentFile`. */
  readonly piecesRoot: Uint8Array | null;
  /** v2, single file: as in `TorrentFile`. */
  readonly pieceLayer: Uint8Array | null;
  /** In the order of their bytes, padding included. */
  readonly files: readonly TorrentFile[];
  readonly multiFile: boolean;
  /** Paths that had to be changed to be safe, and links that lead nowhere. */
  readonly repairs: readonly PathRepair[];
  /** BEP 27: peers come from its trackers only. */
  readonly private: boolean;
  /** Text that some trackers ask for, so that the infohash differs. */
  readonly source: string | null;
  /** Tracker URLs; those of a tier are equals, a later tier is for when all before it fail (BEP 12). */
  readonly trackerTiers: readonly (readonly string[])[];
  /** URLs of HTTP servers that have the content (BEP 19). */
  readonly webSeeds: readonly string[];
  /** Nodes of the DHT to begin with (BEP 5). */
  readonly nodes: readonly DhtNode[];
  /** As its maker wrote it: any characters. */
  readonly comment: string | null;
  readonly createdBy: string | null;
  /** Unix seconds. */
  readonly creationDate: number | null;
  /** The bencoded info dictionary: what the infohashes are of. */
  readonly infoBytes: Uint8Array;
  readonly infoHashV1: Uint8Array | null;
  readonly infoHashV2: Uint8Array | null;
}

/**
 * Parses a `.torrent`. A v2-only torrent must bring its piece layers, unless peers may be asked for them; a hybrid may do
 * without.
 *
 * @throws BlockswarmError ERR_BENCODE, ERR_METAINFO
 */
export function parseMetainfo(bytes: Uint8Array, { needsLayers = true } = {}): Metainfo {
  const root = decodeShallow(bytes, LIMITS);
  const infoBytes = root.get('info');
  if (infoBytes === undefined) throw bad('no `info` dictionary');
  const field = (key: string): BencodeValue | undefined => {
    const value = root.get(key);
    return value && decode(value, { ...INFO_LIMITS, maxBytes: MAX_METAINFO_BYTES });
  };
  const date = field('creation date');
  return {
    ...addLayers(parseInfo(infoBytes), field('piece layers'), needsLayers),
    trackerTiers: readTrackerTiers(field('announce'), field('announce-list')),
    webSeeds: readWebSeeds(field('url-list')),
    nodes: readNodes(field('nodes')),
    comment: readText(field('comment.utf-8') ?? field('comment')),
    createdBy: readText(field('created by')),
    creationDate: typeof date === 'number' && date >= 0 ? date : null,
  };
}

/**
 * Parses an info dictionary, as peers send it (BEP 9). A piece layer of several pieces stays unknown.
 *
 * @throws BlockswarmError ERR_BENCODE, ERR_METAINFO
 */
export function parseInfo(infoBytes: Uint8Array): Metainfo {
  const info = decode(infoBytes, INFO_LIMITS);
  if (!isDict(info)) throw bad('the info is not a dictionary');
  const version = info.get('meta version');
  if (version !== undefined && version !== 2) throw bad('`meta version` is not 2');
  const pieces = info.get('pieces');
  const halves = { v1: pieces !== undefined, v2: version === 2 };
  if (!halves.v1 && !halves.v2) throw bad('neither `pieces` nor `meta version`');
  const pieceLengthBytes = readPieceLength(info.get('piece length'), halves.v2);

  const { files, multiFile, ...names } = readTorrentFiles(info, halves, pieceLengthBytes);
  const lengthBytes = sum(files.filter((file) => !file.padding).map((file) => file.lengthBytes));
  if (lengthBytes === 0) throw bad('no content');
  // v1 pieces run across files, padding included; v2 pieces never do.
  const pieceCount = halves.v1
    ? Math.ceil(sum(files.map((file) => file.lengthBytes)) / pieceLengthBytes)
    : sum(files.map((file) => Math.ceil(file.lengthBytes / pieceLengthBytes)));
  if (pieceCount >= MAX_PIECES) throw bad(`${pieceCount} pieces, the limit is ${MAX_PIECES}`);
  if (pieces !== undefined && !(pieces instanceof Uint8Array && pieces.length === pieceCount * 20)) {
    throw bad(`\`pieces\` does not hold ${pieceCount} hashes of 20 bytes`);
  }
  return {
    ...names,
    lengthBytes,
    pieceLengthBytes,
    pieceCount,
    pieces: pieces ?? null,
    ...onlyHashes(files, multiFile),
    files,
    multiFile,
    private: info.get('private') === 1,
    source: readText(info.get('source')),
    trackerTiers: [],
    webSeeds: [],
    nodes: [],
    comment: null,
    createdBy: null,
    creationDate: null,
    infoBytes,
    infoHashV1: halves.v1 ? hashInfoV1(infoBytes) : null,
    infoHashV2: halves.v2 ? hashInfoV2(infoBytes) : null,
  };
}

function readPieceLength(value: BencodeValue | undefined, v2: boolean): number {
  if (typeof value !== 'number' || value < 1 || value > MAX_PIECE_LENGTH_BYTES) {
    throw bad(`\`piece length\` is not in 1..${MAX_PIECE_LENGTH_BYTES}`);
  }
  if (v2 && (value < MIN_PIECE_LENGTH_V2_BYTES || !Number.isInteger(Math.log2(value)))) {
    throw bad('`piece length` is not a power of two of at least 16 KiB');
  }
  return value;
}

/** The v2 hashes of the only file of a single-file torrent. */
function onlyHashes(files: readonly TorrentFile[], multiFile: boolean) {
  const only = multiFile ? undefined : files[0];
  return { piecesRoot: only?.piecesRoot ?? null, pieceLayer: only?.pieceLayer ?? null };
}

/** Whether a file's piece layer is not known. */
export function lacksLayers({ files }: Metainfo): boolean {
  return files.some(({ piecesRoot, pieceLayer }) => piecesRoot !== null && pieceLayer === null);
}

/** Reads and proves `piece layers`: one entry for each file that is longer than a piece, and no other. */
function addLayers(metainfo: Metainfo, layers: BencodeValue | undefined, needed: boolean): Metainfo {
  const { pieceLengthBytes, multiFile } = metainfo;
  if (layers === undefined) {
    if (needed && metainfo.infoHashV1 === null && lacksLayers(metainfo))
      throw bad('`piece layers` is missing');
    return metainfo;
  }
  if (!isDict(layers)) throw bad('`piece layers` is not a dictionary');
  const proven = new Map<string, Uint8Array>();
  const files = metainfo.files.map((file) => {
    if (file.piecesRoot === null || file.pieceLayer !== null) return file;
    const key = Buffer.from(file.piecesRoot).toString('latin1');
    const pieceLayer = readLayer(layers, key, Math.ceil(file.lengthBytes / pieceLengthBytes));
    // Two files with the same root have the same content: proven once.
    if (!proven.has(key) && !sameBytes(layerRoot(pieceLayer, pieceLengthBytes), file.piecesRoot)) {
      throw bad('a piece layer does not hash to its `pieces root`');
    }
    proven.set(key, pieceLayer);
    return { ...file, pieceLayer };
  });
  if (proven.size !== layers.size) throw bad('`piece layers` has an entry of no file');
  return { ...metainfo, files, ...onlyHashes(files, multiFile) };
}

function readLayer(layers: BencodeDict, key: string, pieces: number): Uint8Array {
  const layer = layers.get(key);
  if (layer instanceof Uint8Array && layer.length === pieces * 32) return layer;
  throw bad('`piece layers` lacks a file or has it with a wrong length');
}

function readText(value: BencodeValue | undefined): string | null {
  return value instanceof Uint8Array ? bytesText(value) : null;
}

function sum(lengths: readonly number[]): number {
  const total = lengths.reduce((left, right) => left + right, 0);
  if (!Number.isSafeInteger(total)) throw bad('a total length of 2^53 or more');
  return total;
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `torrent: ${what}`);
}
