/** Info dictionaries to begin with: right ones, of which a test changes a field. */
import type { Encodable } from '../../src/bencode.js';
import { torrentHashes } from './torrent-hashes.js';

export const LEAF = 16 * 1024;

export type Fields = Record<string, Encodable | undefined>;
/** A dictionary of the fields that are not undefined. */
export const dict = (fields: Fields): Map<string, Encodable> =>
  new Map(Object.entries(fields).filter((entry): entry is [string, Encodable] => entry[1] !== undefined));

export const singleV1 = (fields: Fields = {}) =>
  dict({ length: LEAF + 1, name: 'a.dat', 'piece length': LEAF, pieces: new Uint8Array(40), ...fields });
export const multiV1 = (files: Encodable, fields: Fields = {}) =>
  dict({ files, name: 'folder', 'piece length': LEAF, pieces: new Uint8Array(20), ...fields });
export const file = (length: number, ...path: Encodable[]) => dict({ length, path });
export const content = new Uint8Array(5 * LEAF + 3).fill(9);
export const hashes = torrentHashes(content, 2 * LEAF);
export const leaf = (fields: Fields = {}) =>
  dict({ '': dict({ length: content.length, 'pieces root': hashes.piecesRoot, ...fields }) });
export const singleV2 = (fields: Fields = {}) =>
  dict({
    'file tree': dict({ 'a.dat': leaf() }),
    'meta version': 2,
    name: 'a.dat',
    'piece length': 2 * LEAF,
    ...fields,
  });
export const layers = () => new Map([[Buffer.from(hashes.piecesRoot).toString('latin1'), hashes.pieceLayer]]);
