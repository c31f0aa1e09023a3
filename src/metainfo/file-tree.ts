/** The files of a v2 torrent: the `file tree` (BEP 52). */

import { type BencodeDict, type BencodeValue, isDict } from '../bencode.js';
import { BlockswarmError } from '../errors.js';
import { type ListedFile, MAX_PATH_PARTS, readAttributes, readLength } from './file-list.js';

/**
 * Names in all paths together: as many as a v1 list can hold. A tree says the name of a folder once, however many files
 * lie below it: 4 MiB of it would become gigabytes of paths.
 */
const MAX_NAMES = 1_000_000;

/** Reads `file tree`, in its order. @throws BlockswarmError ERR_METAINFO */
export function readFileTree(info: BencodeDict, name: string): { files: ListedFile[]; multiFile: boolean } {
  const tree = info.get('file tree');
  if (!isDict(tree) || tree.size === 0) throw bad('`file tree` is missing or empty');
  const files: ListedFile[] = [];
  let names = 0;
  walk(tree, [], (file) => {
    names += file.path.length;
    if (names > MAX_NAMES) throw bad(`paths of more than ${MAX_NAMES} names in all`);
    files.push(file);
  });
  const only = files.length === 1 ? files[0] : undefined;
  return { files, multiFile: !(only?.path.length === 1 && only.path[0] === name) };
}

function walk(tree: BencodeDict, folder: readonly string[], found: (file: ListedFile) => void): void {
  for (const [name, node] of tree) {
    if (name === '') throw bad('`file tree` holds a file without a name');
    const path = [...folder, name];
    if (path.length > MAX_PATH_PARTS) throw bad(`a path of more than ${MAX_PATH_PARTS} names`);
    if (!isDict(node) || node.size === 0) throw bad('`file tree` holds something that is no file or folder');
    const leaf = node.get('');
    if (leaf === undefined) walk(node, path, found);
    else if (node.size > 1) throw bad('`file tree` holds a file that is a folder too');
    else found(readLeaf(leaf, path));
  }
}

function readLeaf(leaf: BencodeValue, path: readonly string[]): ListedFile {
  if (!isDict(leaf)) throw bad('`file tree` holds a file without a dictionary');
  const attributes = readAttributes(leaf);
  if (attributes.padding) throw bad('`file tree` holds padding, which v2 does not know');
  const length = leaf.get('length');
  const root = leaf.get('pieces root');
  // Of a link, only what it leads to is said.
  const lengthBytes = length === undefined && attributes.symlinkPath !== null ? 0 : readLength(length);
  if (lengthBytes === 0) {
    if (root !== undefined) throw bad('an empty file with a `pieces root`');
    return { path, lengthBytes, piecesRoot: null, ...attributes };
  }
  if (attributes.symlinkPath !== null) throw bad('a symlink with a length');
  if (!(root instanceof Uint8Array) || root.length !== 32 || root.every((byte) => byte === 0)) {
    throw bad('`pieces root` is not 32 bytes');
  }
  return { path, lengthBytes, piecesRoot: root, ...attributes };
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `torrent: ${what}`);
}
