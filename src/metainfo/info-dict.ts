/** Info dictionaries to be written: v1 (BEP 3), v2 (BEP 52) and hybrid, with the attributes of BEP 47. */

import { type Encodable, textKey } from '../bencode.js';

export type TorrentKind = 'v1' | 'v2' | 'hybrid';

/** A file of a torrent that is made; in a plan also padding. */
export interface PlannedFile {
  /** Parts below the torrent's folder; the torrent's name for a single file; empty for padding. */
  readonly path: readonly string[];
  readonly lengthBytes: number;
  readonly padding: boolean;
  readonly executable: boolean;
  readonly hidden: boolean;
  /** Where a symlink leads, from the torrent's folder; `null` for what is none. */
  readonly symlinkTarget: readonly string[] | null;
}

/** All that enters an info dictionary but the hashes. */
export interface InfoFields {
  readonly kind: TorrentKind;
  readonly name: string;
  readonly pieceLengthBytes: number;
  /** In the order of the `file tree`, padding included. */
  readonly files: readonly PlannedFile[];
  readonly multiFile: boolean;
  /** BEP 27. */
  readonly private: boolean;
  readonly source: string | null;
}

/** The v2 hashes of a file. */
export interface FileHashes {
  /** Root of the SHA-256 merkle tree, 32 bytes. */
  readonly piecesRoot: Uint8Array;
  /** Roots of the pieces, pieces × 32 bytes; empty when the file is no longer than a piece. */
  readonly pieceLayer: Uint8Array;
}

/** The hashes of a torrent's content. */
export interface ContentHashes {
  /** v1: SHA-1 of each piece, pieces × 20 bytes; `null` for v2. */
  readonly pieces: Uint8Array | null;
  /** v2: for each planned file in order; `null` for v1, for an empty file and for padding. */
  readonly files: readonly (FileHashes | null)[];
}

type Dict = Map<string, Encodable>;

/** The info dictionary of a torrent's fields and hashes. */
export function infoDict(fields: InfoFields, hashes: ContentHashes): Dict {
  const { kind, multiFile, files } = fields;
  const info: Dict = new Map<string, Encodable>([
    ['name', fields.name],
    ['piece length', fields.pieceLengthBytes],
  ]);
  if (fields.private) info.set('private', 1);
  if (fields.source !== null) info.set('source', fields.source);
  if (kind !== 'v2') {
    info.set('pieces', hashes.pieces ?? new Uint8Array(0));
    if (multiFile) info.set('files', files.map(listEntry));
    else for (const file of files) setAttributes(info.set('length', file.lengthBytes), file);
  }
  if (kind !== 'v1') {
    info.set('meta version', 2);
    info.set('file tree', fileTree(files, hashes));
  }
  return info;
}

/** An entry of `files`. Padding is called as by libtorrent, after its length. */
function listEntry(file: PlannedFile): Dict {
  const path = file.padding ? ['.pad', String(file.lengthBytes)] : file.path;
  return setAttributes(
    new Map<string, Encodable>([
      ['length', file.lengthBytes],
      ['path', path],
    ]),
    file,
  );
}

function fileTree(files: readonly PlannedFile[], hashes: ContentHashes): Dict {
  const tree: Dict = new Map();
  for (const [i, file] of files.entries()) {
    if (file.padding) continue;
    let folder = tree;
    for (const part of file.path) {
      const key = textKey(part);
      const inner = (folder.get(key) as Dict | undefined) ?? new Map<string, Encodable>();
      folder.set(key, inner);
      folder = inner;
    }
    const leaf: Dict = new Map();
    if (file.symlinkTarget === null) leaf.set('length', file.lengthBytes);
    const root = hashes.files[i]?.piecesRoot;
    if (root !== undefined) leaf.set('pieces root', root);
    folder.set('', setAttributes(leaf, file));
  }
  return tree;
}

/** Sets `attr` and `symlink path`, with the letters in libtorrent's order. */
function setAttributes(entry: Dict, file: PlannedFile): Dict {
  const { padding, hidden, executable, symlinkTarget } = file;
  const letters = `${padding ? 'p' : ''}${hidden ? 'h' : ''}${executable ? 'x' : ''}${symlinkTarget ? 'l' : ''}`;
  if (letters !== '') entry.set('attr', letters);
  if (symlinkTarget !== null) entry.set('symlink path', symlinkTarget);
  return entry;
}
