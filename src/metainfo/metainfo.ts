/**
 * Torrents as values: `.torrent` files and info dictionaries, v1 (BEP 3), v2 and hybrid (BEP 52).
 *
 * Strict: canonical bencoding only, sizes that agree, halves of a hybrid that agree, piece layers that hash to their
 * roots. Bounded by what other clients accept: an info dictionary of at most 4 MiB, fewer than 2^21 pieces.
 */

import { type BencodeDict, type BencodeValue, bytesText, decode, encode, isDict } from '../bencode.js';
import { BlockswarmError } from '../errors.js';
import { sameBytes } from '../units.js';
import { checkHybrid, checkName, nameV1, readFilesV1, readFilesV2, type TorrentFile } from './file-tree.js';
import { hashInfoV1, hashInfoV2 } from './infohash.js';
import { layerRoot } from './piece-layer.js';

/** Longest info dictionary: libtorrent refuses to send or take a longer one. */
export const MAX_INFO_BYTES = 4 * 1024 * 1024;
/** Longest `.torrent`: an info dictionary and its piece layers. */
export const MAX_METAINFO_BYTES = 16 * 1024 * 1024;
/** Pieces are fewer than this (libtorrent's limit). */
export const MAX_PIECES = 2 ** 21;

const LIMITS = { maxBytes: MAX_METAINFO_BYTES, maxDepth: 80, maxTokens: 500_000 };
const MAX_PIECE_LENGTH_BYTES = 512 * 1024 * 1024;
const MIN_PIECE_LENGTH_V2_BYTES = 16 * 1024;
const MAX_TRACKERS = 100;
const MAX_URL_BYTES = 2048;

/** A torrent. For a multi-file one `piecesRoot` and `pieceLayer` are `null`. */
export interface Metainfo {
  /** The file's name, or the folder's when there are several files. */
  readonly name: string;
  /** Bytes of content, padding excluded. */
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  readonly pieceCount: number;
  /** v1: SHA-1 of each piece, pieces × 20 bytes. */
  readonly pieces: Uint8Array | null;
  /** v2, single file: root of its merkle tree, 32 bytes. */
  readonly piecesRoot: Uint8Array | null;
  /**
   * v2, single file: SHA-256 roots of the pieces, pieces × 32 bytes, proven against `piecesRoot`. Empty when the file
   * is no longer than a piece (its root is the piece's); `null` when not known, as in a bare info dictionary.
   */
  readonly pieceLayer: Uint8Array | null;
  readonly files: readonly TorrentFile[];
  readonly multiFile: boolean;
  /** BEP 27: peers come from its trackers only. */
  readonly private: boolean;
  /** Tracker URLs in order; empty for ours. */
  readonly trackers: readonly string[];
  /** The bencoded info dictionary: what the infohashes are of. */
  readonly infoBytes: Uint8Array;
  readonly infoHashV1: Uint8Array | null;
  readonly infoHashV2: Uint8Array | null;
}

/**
 * Parses a `.torrent`. A v2-only torrent must bring its piece layers; a hybrid may do without.
 *
 * @throws BlockswarmError ERR_BENCODE, ERR_METAINFO
 */
export function parseMetainfo(bytes: Uint8Array): Metainfo {
  const root = decode(bytes, LIMITS);
  const info = isDict(root) ? root.get('info') : undefined;
  if (!isDict(root) || !isDict(info)) throw bad('no `info` dictionary');
  // Canonical input: encoding again gives the very bytes that were hashed.
  const metainfo = readInfo(info, encode(info));
  const layers = readLayers(root.get('piece layers'), metainfo);
  const needsLayers = metainfo.infoHashV2 !== null && metainfo.infoHashV1 === null;
  const layered = metainfo.files.filter((file) => hasLayer(file, metainfo.pieceLengthBytes));
  if (layers === null && needsLayers && layered.length > 0) throw bad('`piece layers` is missing');
  let { pieceLayer } = metainfo;
  for (const [, layer] of layers ?? []) if (!metainfo.multiFile) pieceLayer = layer;
  return { ...metainfo, pieceLayer, trackers: readTrackers(root) };
}

/**
 * Parses an info dictionary, as peers send it (BEP 9). A piece layer of several pieces stays unknown.
 *
 * @throws BlockswarmError ERR_BENCODE, ERR_METAINFO
 */
export function parseInfo(infoBytes: Uint8Array): Metainfo {
  const info = decode(infoBytes, { ...LIMITS, maxBytes: MAX_INFO_BYTES });
  if (!isDict(info)) throw bad('the info is not a dictionary');
  return readInfo(info, infoBytes);
}

function readInfo(info: BencodeDict, infoBytes: Uint8Array): Metainfo {
  if (infoBytes.length > MAX_INFO_BYTES) throw bad(`an info dictionary of more than ${MAX_INFO_BYTES} bytes`);
  const rawName = info.get('name');
  const version = info.get('meta version');
  const nameV2 = rawName instanceof Uint8Array ? bytesText(rawName) : null;
  const name = checkName(version === undefined ? nameV1(rawName) : nameV2);
  if (version !== undefined && version !== 2) throw bad('`meta version` is not 2');
  const pieces = info.get('pieces');
  if (pieces === undefined && version === undefined) throw bad('neither `pieces` nor `meta version`');
  const pieceLengthBytes = readPieceLength(info.get('piece length'), version === 2);

  const v1 = pieces === undefined ? null : readFilesV1(info, name);
  const v2 = version === undefined ? null : readFilesV2(info, name);
  if (v1 !== null && v2 !== null) {
    if (v1.multiFile !== v2.multiFile) throw bad('the v1 and v2 halves list different files');
    checkHybrid(v1.files, v2.files, pieceLengthBytes);
  }
  const { files, multiFile } = v2 ?? v1 ?? { files: [], multiFile: false };
  const lengthBytes = sum(files.filter((file) => !file.padding).map((file) => file.lengthBytes));
  if (lengthBytes === 0) throw bad('no content');
  // v1 pieces run across files, padding included; v2 pieces never do.
  const pieceCount =
    v1 !== null
      ? Math.ceil(sum(v1.files.map((file) => file.lengthBytes)) / pieceLengthBytes)
      : sum(files.map((file) => Math.ceil(file.lengthBytes / pieceLengthBytes)));
  if (pieceCount >= MAX_PIECES) throw bad(`${pieceCount} pieces, the limit is ${MAX_PIECES}`);
  if (pieces !== undefined && !(pieces instanceof Uint8Array && pieces.length === pieceCount * 20)) {
    throw bad(`\`pieces\` does not hold ${pieceCount} hashes of 20 bytes`);
  }
  const only = multiFile || v2 === null ? undefined : files[0];
  return {
    name,
    lengthBytes,
    pieceLengthBytes,
    pieceCount,
    pieces: pieces ?? null,
    piecesRoot: only?.piecesRoot ?? null,
    pieceLayer: only === undefined || hasLayer(only, pieceLengthBytes) ? null : new Uint8Array(0),
    files,
    multiFile,
    private: info.get('private') === 1,
    trackers: [],
    infoBytes,
    infoHashV1: v1 === null ? null : hashInfoV1(infoBytes),
    infoHashV2: v2 === null ? null : hashInfoV2(infoBytes),
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

/** Whether the file has an entry in `piece layers`: it is longer than a piece. */
function hasLayer(file: TorrentFile, pieceLengthBytes: number): boolean {
  return file.piecesRoot !== null && file.lengthBytes > pieceLengthBytes;
}

/** Reads and proves `piece layers`: one entry for each file that needs one, and no other. `null` when absent. */
function readLayers(value: BencodeValue | undefined, metainfo: Metainfo): Map<string, Uint8Array> | null {
  if (value === undefined) return null;
  if (!isDict(value)) throw bad('`piece layers` is not a dictionary');
  const { pieceLengthBytes } = metainfo;
  const proven = new Map<string, Uint8Array>();
  for (const file of metainfo.files) {
    if (file.piecesRoot === null || !hasLayer(file, pieceLengthBytes)) continue;
    const key = Buffer.from(file.piecesRoot).toString('latin1');
    const layer = value.get(key);
    if (
      !(layer instanceof Uint8Array) ||
      layer.length !== Math.ceil(file.lengthBytes / pieceLengthBytes) * 32
    ) {
      throw bad('`piece layers` lacks a file or has it with a wrong length');
    }
    // Two files with the same root have the same content: proven once.
    if (!proven.has(key) && !sameBytes(layerRoot(layer, pieceLengthBytes), file.piecesRoot)) {
      throw bad('a piece layer does not hash to its `pieces root`');
    }
    proven.set(key, layer);
  }
  if (proven.size !== value.size) throw bad('`piece layers` has an entry of no file');
  return proven;
}

/** Reads `announce` and `announce-list` (BEP 12) as one list. What is no URL of a tracker is passed over. */
function readTrackers(root: BencodeDict): string[] {
  const tiers = root.get('announce-list');
  const entries = [root.get('announce'), ...(Array.isArray(tiers) ? tiers.flat() : [])];
  const trackers = new Set<string>();
  for (const entry of entries) {
    if (trackers.size >= MAX_TRACKERS) break;
    if (!(entry instanceof Uint8Array) || entry.length > MAX_URL_BYTES) continue;
    const url = bytesText(entry);
    if (url !== null && /^(?:https?|udp|wss?):\/\/[^\s\p{C}]+$/iu.test(url)) trackers.add(url);
  }
  return [...trackers];
}

function sum(lengths: readonly number[]): number {
  const total = lengths.reduce((left, right) => left + right, 0);
  if (!Number.isSafeInteger(total)) throw bad('a total length of 2^53 or more');
  return total;
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `torrent: ${what}`);
}
