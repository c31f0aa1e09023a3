/**
 * The files of a torrent, of its v1 half, its v2 half or both, with paths that are safe on disk.
 *
 * In a hybrid both halves list the same files in the same order, and padding in the v1 half lets each file begin at a
 * piece (BEP 47, BEP 52): the same bytes then lie in the same pieces whichever half a client believes.
 */

import { type BencodeDict, keyText } from '../bencode.js';
import { BlockswarmError } from '../errors.js';
import { type ListedFile, readFileList } from './file-list.js';
import { readFileTree } from './file-tree.js';
import { type RepairReason, safeName, safePaths } from './safe-path.js';
import { resolveSymlinks } from './symlink.js';

export interface TorrentFile {
  /**
   * Where it lies on disk, safe (`safe-path.ts`): parts below the torrent's folder; one part, the torrent's name, for a
   * single file. Empty for padding, which lies nowhere.
   */
  readonly path: readonly string[];
  /** The path as the metainfo says: to compare and to tell, never to open. What is not UTF-8 is U+FFFD. */
  readonly rawPath: readonly string[];
  readonly lengthBytes: number;
  /** Zeros that align the next file to a piece (BEP 47): never written. */
  readonly padding: boolean;
  readonly executable: boolean;
  readonly hidden: boolean;
  /** What a symlink leads to: the safe path of a file or folder, from the torrent's folder. `null` for what is none. */
  readonly symlinkTarget: readonly string[] | null;
  /** v2: root of the file's merkle tree, 32 bytes; `null` for v1, for an empty file and for padding. */
  readonly piecesRoot: Uint8Array | null;
  /**
   * v2: SHA-256 roots of the file's pieces, pieces × 32 bytes, proven against `piecesRoot`. Empty when the file is no
   * longer than a piece (its root is the piece's); `null` when not known, as in a bare info dictionary, and for v1.
   */
  readonly pieceLayer: Uint8Array | null;
}

/** A path that could not stay as the metainfo has it; of several files both begin with the torrent's folder. */
export interface PathRepair {
  readonly rawPath: readonly string[];
  readonly path: readonly string[];
  readonly reason: RepairReason;
}

export interface TorrentFiles {
  /** The torrent's name, safe on disk: the single file's or the folder's. */
  readonly name: string;
  readonly rawName: string;
  /** In the order of their bytes, padding included. */
  readonly files: readonly TorrentFile[];
  readonly multiFile: boolean;
  readonly repairs: readonly PathRepair[];
}

/**
 * Reads the files of an info dictionary. `piecesRoot`s of several pieces have no layer yet.
 *
 * @throws BlockswarmError ERR_METAINFO
 */
export function readTorrentFiles(
  info: BencodeDict,
  halves: { v1: boolean; v2: boolean },
  pieceLengthBytes: number,
): TorrentFiles {
  const nameBytes = info.get('name.utf-8') ?? info.get('name');
  if (!(nameBytes instanceof Uint8Array)) throw bad('no `name`');
  const nameKey = Buffer.from(nameBytes).toString('latin1');
  const v1 = halves.v1 ? readFileList(info, nameKey) : null;
  const v2 = halves.v2 ? readFileTree(info, nameKey) : null;
  const { files, multiFile } =
    v1 !== null && v2 !== null
      ? { files: mergeHalves(v1, v2, pieceLengthBytes), multiFile: v1.multiFile }
      : (v1 ?? v2 ?? { files: [], multiFile: false });
  return { ...nameFiles(text(nameKey), files, multiFile, pieceLengthBytes), multiFile };
}

type Half = ReturnType<typeof readFileList>;

/** The v1 list, in which files have their roots of v2. */
function mergeHalves(v1: Half, v2: Half, pieceLengthBytes: number): ListedFile[] {
  // A folder of one file of the same name looks like the file in v2; v1 knows which it is.
  if (!v1.multiFile && v2.multiFile) throw bad('the v1 and v2 halves list different files');
  const twins = v2.files[Symbol.iterator]();
  let offset = 0;
  const merged = v1.files.map((file) => {
    const gap = (pieceLengthBytes - (offset % pieceLengthBytes)) % pieceLengthBytes;
    offset += file.lengthBytes;
    if (file.padding) {
      if (file.lengthBytes !== gap || gap === 0) throw bad('padding that does not end where a piece does');
      return file;
    }
    if (file.lengthBytes > 0 && gap !== 0) throw bad('a file that begins inside a piece');
    const twin = twins.next().value;
    if (twin === undefined || !sameFile(file, twin)) throw bad('the v1 and v2 halves list different files');
    return twin;
  });
  if (twins.next().value !== undefined) throw bad('the v1 and v2 halves list different files');
  return merged;
}

function sameFile(a: ListedFile, b: ListedFile): boolean {
  return (
    a.lengthBytes === b.lengthBytes && samePath(a.path, b.path) && samePath(a.symlinkPath, b.symlinkPath)
  );
}

function samePath(a: readonly string[] | null, b: readonly string[] | null): boolean {
  return a?.length === b?.length && (a ?? []).every((part, i) => part === b?.[i]);
}

/** Gives the files their safe paths, and links their targets. */
function nameFiles(
  rawName: string,
  listed: readonly ListedFile[],
  multiFile: boolean,
  pieceLengthBytes: number,
): Omit<TorrentFiles, 'multiFile'> {
  // libtorrent takes such a name for a folder, but not for a file.
  if (!multiFile && /^[./\\]*$/.test(rawName)) throw bad('a single file without a name');
  const { name, reason: nameReason } = safeName(rawName);
  const repairs: PathRepair[] = [];
  if (nameReason !== null) repairs.push({ rawPath: [rawName], path: [name], reason: nameReason });

  const texts = new Map<string, string>();
  // One text for a name, however many paths it is in: a tree of long folder names fits memory.
  const once = (key: string): string => {
    const known = texts.get(key) ?? text(key);
    texts.set(key, known);
    return known;
  };
  const named = listed.map((file) => ({
    ...file,
    rawPath: file.path.map(once),
    rawTarget: file.symlinkPath?.map(once) ?? null,
  }));
  const onDisk = named.filter((file) => !file.padding);
  const safe = multiFile ? safePaths(onDisk.map((file) => file.rawPath)) : [{ path: [name], reason: null }];
  const paths = new Map(onDisk.map((file, i) => [file, safe[i]]));
  const placed = named.map((file) => ({ ...file, ...(paths.get(file) ?? { path: [], reason: null }) }));
  const targets = resolveSymlinks(placed);

  const files = placed.map((file, i): TorrentFile => {
    const { path, rawPath, lengthBytes, padding, executable, hidden, piecesRoot } = file;
    const symlinkTarget = targets[i] ?? null;
    // A dead link is an empty file then, as its length says.
    const dead = file.rawTarget !== null && symlinkTarget === null;
    const reason = file.reason ?? (dead ? 'symlink that leads nowhere in the torrent' : null);
    if (reason !== null) repairs.push({ rawPath: [rawName, ...rawPath], path: [name, ...path], reason });
    const short = piecesRoot !== null && lengthBytes <= pieceLengthBytes;
    const pieceLayer = short ? new Uint8Array(0) : null;
    return { path, rawPath, lengthBytes, padding, executable, hidden, symlinkTarget, piecesRoot, pieceLayer };
  });
  return { name, rawName, files, repairs };
}

/** The text of a name's bytes. Torrents from before UTF-8 was the rule exist: what is not UTF-8 becomes U+FFFD. */
function text(key: string): string {
  return keyText(key) ?? lossy.decode(Buffer.from(key, 'latin1'));
}

const lossy = new TextDecoder('utf-8', { ignoreBOM: true });

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `torrent: ${what}`);
}
