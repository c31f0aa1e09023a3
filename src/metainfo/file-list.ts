/** The files of a v1 torrent, `length` or `files` (BEP 3), with the attributes of BEP 47. */

import { type BencodeDict, type BencodeValue, isDict } from '../bencode.js';
import { BlockswarmError } from '../errors.js';

/** A file as an info dictionary lists it. Names are the bytes of the metainfo as latin1 text, as keys of `BencodeDict`. */
export interface ListedFile extends FileAttributes {
  /** Parts below the torrent's folder; none for padding without a name. */
  readonly path: readonly string[];
  readonly lengthBytes: number;
  /** v2: root of the file's merkle tree. */
  readonly piecesRoot: Uint8Array | null;
}

/** What BEP 47 says of a file. */
export interface FileAttributes {
  readonly padding: boolean;
  readonly executable: boolean;
  readonly hidden: boolean;
  /** Where a symlink leads, from the torrent's folder; `null` for what is none. */
  readonly symlinkPath: readonly string[] | null;
}

/** Deepest path (libtorrent's limit for folders). How many files there are is limited by the info dictionary's length. */
export const MAX_PATH_PARTS = 100;

/** Reads `length` or `files`; a single file has the name of the torrent. @throws BlockswarmError ERR_METAINFO */
export function readFileList(info: BencodeDict, name: string): { files: ListedFile[]; multiFile: boolean } {
  const length = info.get('length');
  const list = info.get('files');
  if ((length === undefined) === (list === undefined)) throw bad('expected either `length` or `files`');
  if (list === undefined) return { files: [readFile(info, [name])], multiFile: false };
  if (!Array.isArray(list) || list.length === 0) throw bad('`files` is not a list of files');
  const files = list.map((entry): ListedFile => {
    if (!isDict(entry)) throw bad('`files` is not a list of files');
    const path = readPath(entry.get('path.utf-8') ?? entry.get('path'));
    const file = readFile(entry, path ?? []);
    if (file.path.length === 0 && !file.padding) throw bad('a file without a `path`');
    return file;
  });
  return { files, multiFile: true };
}

function readFile(entry: BencodeDict, path: readonly string[]): ListedFile {
  const attributes = readAttributes(entry);
  const lengthBytes = readLength(entry.get('length'));
  // Clients that know no links would count its bytes, the others not: the pieces would lie elsewhere.
  if (attributes.symlinkPath !== null && lengthBytes > 0) throw bad('a symlink with a length');
  return { path, lengthBytes, piecesRoot: null, ...attributes };
}

/** Reads `attr` and `symlink path` of a file. @throws BlockswarmError ERR_METAINFO */
export function readAttributes(entry: BencodeDict): FileAttributes {
  const value = entry.get('attr');
  const letters = value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : '';
  return {
    padding: letters.includes('p'),
    executable: letters.includes('x'),
    hidden: letters.includes('h'),
    symlinkPath: letters.includes('l') && !letters.includes('p') ? readPath(entry.get('symlink path')) : null,
  };
}

/** Reads a length. @throws BlockswarmError ERR_METAINFO */
export function readLength(value: BencodeValue | undefined): number {
  if (typeof value !== 'number' || value < 0) throw bad('`length` is not a size');
  return value;
}

function readPath(value: BencodeValue | undefined): readonly string[] | null {
  if (value === undefined) return null;
  if (!Array.isArray(value) || value.length > MAX_PATH_PARTS) {
    throw bad(`a path that is not a list of at most ${MAX_PATH_PARTS} names`);
  }
  return value.map((part) => {
    if (!(part instanceof Uint8Array)) throw bad('a name that is no text');
    return Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('latin1');
  });
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `torrent: ${what}`);
}
