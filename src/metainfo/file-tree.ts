/**
 * The files of a torrent: v1 `length` or `files` (BEP 3, padding of BEP 47) and the v2 `file tree` (BEP 52).
 *
 * A name comes from a stranger and may become a path: each part is at most 255 bytes, and neither empty, `.`, `..` nor
 * holds a separator or a control character. Two files never share a path or lie inside one another.
 */

import { type BencodeDict, type BencodeValue, isDict, keyText } from '../bencode.js';
import { BlockswarmError } from '../errors.js';

export interface TorrentFile {
  /** Parts of the path below the torrent's folder; one part, the name, for a single-file torrent. */
  readonly path: readonly string[];
  readonly lengthBytes: number;
  /** Filler that aligns the next file to a piece (BEP 47): never written. */
  readonly padding: boolean;
  /** v2: root of the file's merkle tree, 32 bytes; `null` for v1 and for an empty file. */
  readonly piecesRoot: Uint8Array | null;
}

const MAX_PATH_PARTS = 32;
const MAX_NAME_BYTES = 255;

/** Reads `length` or `files`. @throws BlockswarmError ERR_METAINFO */
export function readFilesV1(info: BencodeDict, name: string): { files: TorrentFile[]; multiFile: boolean } {
  const length = info.get('length');
  const list = info.get('files');
  if ((length === undefined) === (list === undefined)) throw bad('expected either `length` or `files`');
  if (length !== undefined) {
    const file = { path: [name], lengthBytes: readLength(length), padding: false, piecesRoot: null };
    return { files: [file], multiFile: false };
  }
  if (!Array.isArray(list) || list.length === 0) throw bad('`files` is not a list of files');
  const files = list.map((entry): TorrentFile => {
    if (!isDict(entry)) throw bad('`files` is not a list of files');
    const parts = entry.get('path');
    if (!Array.isArray(parts) || parts.length === 0 || parts.length > MAX_PATH_PARTS) {
      throw bad(`\`path\` is not a list of 1 to ${MAX_PATH_PARTS} names`);
    }
    const attributes = entry.get('attr');
    const padding = attributes instanceof Uint8Array && attributes.includes(0x70); // 'p'
    const path = parts.map((part) => checkName(nameV1(part)));
    return { path, lengthBytes: readLength(entry.get('length')), padding, piecesRoot: null };
  });
  checkPaths(files);
  return { files, multiFile: true };
}

/** Reads `file tree`. @throws BlockswarmError ERR_METAINFO */
export function readFilesV2(info: BencodeDict, name: string): { files: TorrentFile[]; multiFile: boolean } {
  const tree = info.get('file tree');
  if (!isDict(tree) || tree.size === 0) throw bad('`file tree` is missing or empty');
  const files: TorrentFile[] = [];
  walk(tree, [], files);
  const only = files.length === 1 ? files[0] : undefined;
  return { files, multiFile: !(only?.path.length === 1 && only.path[0] === name) };
}

function walk(tree: BencodeDict, folder: readonly string[], files: TorrentFile[]): void {
  for (const [key, node] of tree) {
    const path = [...folder, checkName(keyText(key))];
    if (path.length > MAX_PATH_PARTS) throw bad(`a path of more than ${MAX_PATH_PARTS} names`);
    if (!isDict(node) || node.size === 0) throw bad('`file tree` holds something that is no file or folder');
    const leaf = node.get('');
    if (leaf === undefined) walk(node, path, files);
    else if (node.size > 1) throw bad('`file tree` holds a file that is a folder too');
    else files.push(readLeaf(leaf, path));
  }
}

function readLeaf(leaf: BencodeValue, path: readonly string[]): TorrentFile {
  if (!isDict(leaf)) throw bad('`file tree` holds a file without a dictionary');
  const lengthBytes = readLength(leaf.get('length'));
  const root = leaf.get('pieces root');
  if (lengthBytes === 0) {
    if (root !== undefined) throw bad('an empty file with a `pieces root`');
    return { path, lengthBytes, padding: false, piecesRoot: null };
  }
  if (!(root instanceof Uint8Array) || root.length !== 32 || root.every((byte) => byte === 0)) {
    throw bad('`pieces root` is not 32 bytes');
  }
  return { path, lengthBytes, padding: false, piecesRoot: root };
}

/**
 * Checks that a hybrid's two file lists say the same and that each file begins at a piece, as BEP 52 demands: the
 * same bytes then lie in the same pieces whichever half a client believes.
 *
 * @throws BlockswarmError ERR_METAINFO
 */
export function checkHybrid(
  v1: readonly TorrentFile[],
  v2: readonly TorrentFile[],
  pieceLengthBytes: number,
): void {
  let offset = 0;
  let matched = 0;
  for (const file of v1) {
    if (!file.padding) {
      const twin = v2[matched];
      const same =
        twin !== undefined &&
        twin.lengthBytes === file.lengthBytes &&
        twin.path.join('/') === file.path.join('/');
      if (!same) throw bad('the v1 and v2 halves list different files');
      if (file.lengthBytes > 0 && offset % pieceLengthBytes !== 0)
        throw bad('a file that begins inside a piece');
      matched += 1;
    }
    offset += file.lengthBytes;
  }
  if (matched !== v2.length) throw bad('the v1 and v2 halves list different files');
}

const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

/**
 * The text of a v1 name. Torrents from before UTF-8 was the rule exist: what is not UTF-8 in them becomes U+FFFD.
 */
export function nameV1(value: BencodeValue | undefined): string | null {
  return value instanceof Uint8Array ? lossy.decode(value) : null;
}

/** Checks a name for use as a part of a path. @throws BlockswarmError ERR_METAINFO */
export function checkName(name: string | null): string {
  if (name === null) throw bad('a name that is no text');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (name === '' || name === '.' || name === '..' || /[/\\\u0000-\u001f\u007f]/.test(name)) {
    throw bad(`a name that cannot be a file's: ${JSON.stringify(name)}`);
  }
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) throw bad(`a name of more than ${MAX_NAME_BYTES} bytes`);
  return name;
}

function checkPaths(files: readonly TorrentFile[]): void {
  const paths = new Set<string>();
  for (const { path, padding } of files) {
    if (padding) continue;
    const joined = path.join('/');
    if (paths.has(joined)) throw bad(`two files at \`${joined}\``);
    paths.add(joined);
  }
  for (const { path, padding } of files) {
    for (let parts = 1; !padding && parts < path.length; parts += 1) {
      const folder = path.slice(0, parts).join('/');
      if (paths.has(folder)) throw bad(`\`${folder}\` is a file and a folder`);
    }
  }
}

function readLength(value: BencodeValue | undefined): number {
  if (typeof value !== 'number' || value < 0) throw bad('`length` is not a size');
  return value;
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `torrent: ${what}`);
}
