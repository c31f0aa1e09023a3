/**
 * What a torrent will be before its content is hashed: which files in which order, with which padding (BEP 47), in
 * pieces of which length. Everything that could be wrong with it, but the hashes, is found here.
 *
 * The order is that of the `file tree` (BEP 52), by the bytes of each name; for v1 alone as well. In a hybrid of several
 * files each one is padded to the end of its last piece, the last one too, as by libtorrent: infohashes are the same.
 * (Where a folder `a` lies beside a file `a.b` libtorrent 2.1.1 orders its halves differently, and refuses the result.)
 */

import { encode, textKey } from '../bencode.js';
import { BlockswarmError } from '../errors.js';
import { type InfoFields, infoDict, type PlannedFile, type TorrentKind } from './info-dict.js';
import { choosePieceLength, type TorrentSize } from './piece-length.js';
import { safeName, safePaths, staysBelow } from './safe-path.js';
import { resolveSymlinks } from './symlink.js';

/** Deepest path: in a `file tree` each part is a dictionary more, of the 100 that everybody reads. */
const MAX_PATH_PARTS = 96;

/** A file that a torrent is to be made of. */
export interface SourceFile {
  /** Parts below the torrent's folder; for a single-file torrent nobody reads it. */
  readonly path: readonly string[];
  /** 0 for a symlink. */
  readonly lengthBytes: number;
  readonly executable?: boolean;
  readonly hidden?: boolean;
  /** Where a symlink leads, from the torrent's folder; `null` for what is none. */
  readonly symlinkTarget?: readonly string[] | null;
}

export interface PlanRequest {
  readonly name: string;
  readonly kind: TorrentKind;
  /** Bytes, or a length that keeps every limit and gives 1,000 to 2,000 pieces where it can. */
  readonly pieceLengthBytes: number | 'auto';
  /** In any order. */
  readonly files: readonly SourceFile[];
  /** Whether the name is a folder's; otherwise there is one file. */
  readonly multiFile: boolean;
  readonly private?: boolean;
  readonly source?: string | null;
}

/** A torrent but for its hashes. `files` are in order, padding included: what the hasher reads. */
export interface TorrentPlan extends InfoFields, TorrentSize {
  /** What other clients will not like, in words. */
  readonly warnings: readonly string[];
}

/**
 * Plans a torrent.
 *
 * @throws BlockswarmError ERR_METAINFO when no torrent can be made of the files, ERR_CONFIG when not with this piece
 * length
 */
export function planTorrent(request: PlanRequest): TorrentPlan {
  const { name, kind, multiFile } = request;
  const content = multiFile ? sortFiles(request.files) : [single(request)];
  checkPath([name]);
  checkFiles(content);
  const fields = (pieceLengthBytes: number): InfoFields => ({
    kind,
    name,
    pieceLengthBytes,
    files: multiFile && kind === 'hybrid' ? pad(content, pieceLengthBytes) : content,
    multiFile,
    private: request.private ?? false,
    source: request.source ?? null,
  });
  const measure = (pieceLengthBytes: number) => measureTorrent(fields(pieceLengthBytes));
  const totalBytes = content.reduce((sum, file) => sum + file.lengthBytes, 0);
  const chosen = choosePieceLength(request.pieceLengthBytes, kind, totalBytes, measure);
  return {
    ...fields(chosen.pieceLengthBytes),
    ...chosen.size,
    warnings: [...chosen.warnings, ...nameWarnings(name, content, multiFile, kind)],
  };
}

function single({ name, files }: PlanRequest): PlannedFile {
  const [file] = files;
  if (file === undefined || files.length > 1) throw bad('a single-file torrent is of one file');
  return planned({ ...file, path: [name] });
}

function planned(file: SourceFile): PlannedFile {
  const { path, lengthBytes, executable = false, hidden = false, symlinkTarget = null } = file;
  return { path, lengthBytes, padding: false, executable, hidden, symlinkTarget };
}

/** The order of the `file tree`: each name by its bytes, a folder where its name is. */
function sortFiles(files: readonly SourceFile[]): PlannedFile[] {
  return files
    .map((file) => ({ file, keys: file.path.map(textKey) }))
    .sort((a, b) => compareKeys(a.keys, b.keys))
    .map(({ file }) => planned(file));
}

function compareKeys(a: readonly string[], b: readonly string[]): number {
  const at = a.findIndex((key, i) => key !== b[i]);
  if (at === -1) return a.length - b.length;
  return at >= b.length || (a[at] ?? '') > (b[at] ?? '') ? 1 : -1;
}

/** Puts padding behind each file of a hybrid that does not end where a piece does. One file alone needs none. */
function pad(content: readonly PlannedFile[], pieceLengthBytes: number): readonly PlannedFile[] {
  if (content.length === 1) return content;
  return content.flatMap((file) => {
    const rest = file.lengthBytes % pieceLengthBytes;
    if (rest === 0) return [file];
    return [file, { ...planned({ path: [], lengthBytes: pieceLengthBytes - rest }), padding: true }];
  });
}

/** Checks files in order. */
function checkFiles(files: readonly PlannedFile[]): void {
  let before: readonly string[] = [''];
  for (const { path, lengthBytes, symlinkTarget } of files) {
    checkPath(path);
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 0) throw bad(`a length of ${lengthBytes}`);
    if (symlinkTarget !== null && lengthBytes > 0)
      throw bad(`\`${path.join('/')}\` is a symlink with a length`);
    // In this order a file comes right before what lies inside it.
    if (before.every((part, i) => part === path[i])) throw bad(`two files at \`${before.join('/')}\``);
    before = path;
  }
  const targets = resolveSymlinks(
    files.map(({ path, symlinkTarget }) => ({ path, rawPath: path, rawTarget: symlinkTarget })),
  );
  const dead = files.find((file, i) => file.symlinkTarget !== null && targets[i] === null);
  if (dead !== undefined)
    throw bad(`\`${dead.path.join('/')}\` is a symlink that leads nowhere in the torrent`);
  if (!files.some((file) => file.lengthBytes > 0)) throw bad('no content');
}

/** A path must lead below its folder, and must be text. */
function checkPath(path: readonly string[]): void {
  if (!staysBelow(path) || path.some((part) => /\p{Cs}/u.test(part)) || path.length > MAX_PATH_PARTS) {
    throw bad(`a path that cannot be a file's: ${JSON.stringify(path.join('/'))}`);
  }
}

function measureTorrent(fields: InfoFields): TorrentSize {
  const { kind, files, pieceLengthBytes } = fields;
  const pieces = (lengthBytes: number) => Math.ceil(lengthBytes / pieceLengthBytes);
  const pieceCount =
    kind === 'v2'
      ? files.reduce((sum, file) => sum + pieces(file.lengthBytes), 0)
      : pieces(files.reduce((sum, file) => sum + file.lengthBytes, 0));
  const root = { piecesRoot: new Uint8Array(32), pieceLayer: new Uint8Array(0) };
  const roots = files.map((file) => (kind === 'v1' || file.padding || file.lengthBytes === 0 ? null : root));
  const empty = encode(infoDict(fields, { pieces: new Uint8Array(0), files: roots })).length;
  const hashBytes = kind === 'v2' ? 0 : pieceCount * 20;
  const infoLengthBytes = empty + hashBytes + String(hashBytes).length - 1;
  const layersLengthBytes = files.reduce((sum, file, i) => {
    const layer =
      roots[i] === null || file.lengthBytes <= pieceLengthBytes ? 0 : 32 * pieces(file.lengthBytes);
    return layer === 0 ? sum : sum + '32:'.length + 32 + String(layer).length + 1 + layer;
  }, 0);
  return { pieceCount, infoLengthBytes, layersLengthBytes };
}

function nameWarnings(
  name: string,
  content: readonly PlannedFile[],
  multiFile: boolean,
  kind: TorrentKind,
): string[] {
  const warnings: string[] = [];
  const tell = (raw: string, safe: string, reason: string, count: number) =>
    warnings.push(
      `${count} of the names cannot be kept everywhere: \`${raw}\` becomes \`${safe}\` (${reason})`,
    );
  const top = safeName(name);
  if (top.reason !== null) tell(name, top.name, top.reason, 1);
  if (!multiFile) return warnings;
  const safe = safePaths(content.map((file) => file.path));
  const first = safe.findIndex(({ reason }) => reason !== null);
  const reason = safe[first]?.reason;
  if (reason) {
    const count = safe.filter((path) => path.reason !== null).length;
    tell(content[first]?.path.join('/') ?? '', safe[first]?.path.join('/') ?? '', reason, count);
  }
  const [only] = content;
  if (kind === 'v2' && content.length === 1 && only?.path.length === 1 && only.path[0] === name) {
    warnings.push(`v2 cannot tell a folder \`${name}\` of one file \`${name}\` from the file`);
  }
  return warnings;
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `torrent: ${what}`);
}
