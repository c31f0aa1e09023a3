/**
 * A torrent's files below a folder of the user's: opened as a store, with what earlier runs knew of them, and in the end
 * given what is no bytes: links and marks.
 */
import { constants } from 'node:fs';
import { lstat, mkdir, open, readlink, realpath, stat, symlink } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { BlockswarmError } from '../errors.js';
import { filePieces, type PieceRange } from '../metainfo/file-pieces.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { TorrentFile } from '../metainfo/torrent-files.js';
import { type FolderOptions, type ResumeDb, Store } from '../native.js';
import { resumeKey } from './resume.js';

/** Where a torrent's bytes are. */
export interface ContentPlace {
  /** The folder below which all of it is. */
  readonly root: string;
  /** The path below the root of each of the torrent's files, with slashes; empty for what is no plain file. */
  readonly paths: readonly string[];
  /** Where the torrent's file or folder is: of one torrent nothing else can be there. */
  readonly path: string;
}

/** A torrent's place below a folder, under its safe name. */
export function placeBelow(root: string, { name, multiFile, files }: Metainfo): ContentPlace {
  const paths = files.map((file) => {
    if (!isPlainFile(file)) return '';
    return (multiFile ? [name, ...file.path] : [name]).join('/');
  });
  return { root, paths, path: join(root, name) };
}

/**
 * Where the content of a torrent is that somebody has: see `findContent` for the path.
 * @throws BlockswarmError ERR_IO when nothing is there
 */
export async function findPlace(metainfo: Metainfo, content: string): Promise<ContentPlace> {
  return placeAt(metainfo, await findContent(metainfo, content));
}

/**
 * Where the content of a torrent is in a folder of such content.
 * @throws BlockswarmError ERR_IO when it is not there
 */
export async function findPlaceIn(metainfo: Metainfo, folder: string): Promise<ContentPlace> {
  const { name, rawName, multiFile } = metainfo;
  for (const candidate of [name, rawName].filter(isPlainName)) {
    const found = await stat(join(folder, candidate)).catch(() => null);
    if (found?.isDirectory() === multiFile) return placeAt(metainfo, join(folder, candidate));
  }
  throw new BlockswarmError('ERR_IO', `${folder} holds no ${multiFile ? 'folder' : 'file'} \`${name}\``);
}

async function placeAt(metainfo: Metainfo, content: string): Promise<ContentPlace> {
  const path = await realpath(content);
  const { multiFile, files } = metainfo;
  const root = multiFile ? path : dirname(path);
  const paths: string[] = [];
  for (const file of files) {
    paths.push(isPlainFile(file) ? relative(root, await locate(metainfo, path, file)) : '');
  }
  return { root, paths, path };
}

/**
 * The torrent's file or folder: below the path when something of its name is there, else the path itself.
 * @throws BlockswarmError ERR_IO
 */
export async function findContent(metainfo: Metainfo, path: string): Promise<string> {
  const { name, rawName, multiFile, files } = metainfo;
  const found = await stat(path).catch((cause: Error) => {
    throw new BlockswarmError('ERR_IO', `cannot look at ${path}: ${cause.message}`, { cause });
  });
  if (!found.isDirectory()) {
    if (!multiFile) return path;
    throw new BlockswarmError('ERR_IO', `${path} is a file, and the torrent is of a folder`);
  }
  for (const candidate of [name, rawName].filter(isPlainName)) {
    // The torrent's folder may hold a folder of its own name.
    const own = multiFile && basename(resolve(path)) === candidate;
    if (own && files.some((file) => file.rawPath[0] === rawName)) return path;
    const below = await stat(join(path, candidate)).catch(() => null);
    if (below?.isDirectory() === multiFile) return join(path, candidate);
  }
  if (multiFile) return path;
  throw new BlockswarmError('ERR_IO', `${path} holds no file \`${name}\``);
}

/** Where a file is: under its safe path or, as its maker had it, under the path that the torrent says. */
export async function locate({ multiFile }: Metainfo, root: string, file: TorrentFile): Promise<string> {
  if (!multiFile || file.padding) return root;
  const safe = join(root, ...file.path);
  const renamed = file.rawPath.join('/') !== file.path.join('/');
  if (!renamed || !file.rawPath.every(isPlainName)) return safe;
  const raw = join(root, ...file.rawPath);
  const [safeFound, rawFound] = await Promise.all([safe, raw].map((path) => lstat(path).catch(() => null)));
  return !safeFound && rawFound ? raw : safe;
}

/** Whether a name leads to an entry of its folder and nowhere else. */
function isPlainName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name);
}

/** Whether it has a file of its own: padding lies nowhere, and links are made when all is there. */
export function isPlainFile({ padding, symlinkTarget }: TorrentFile): boolean {
  return !padding && symlinkTarget === null;
}

/**
 * Opens the files, and makes them unless `readOnly`. Nothing is servable yet.
 * @throws BlockswarmError ERR_METAINFO, ERR_DISK_FULL, ERR_IO (also when something else is in a file's place)
 */
export function openStore(
  metainfo: Metainfo,
  { root, paths }: ContentPlace,
  options: FolderOptions,
): Promise<Store> {
  const { infoHashV1, infoHashV2, pieceLengthBytes, pieces, files } = metainfo;
  const kind = infoHashV2 === null ? 'v1' : infoHashV1 === null ? 'v2' : 'hybrid';
  const listed = files.map(({ lengthBytes }, i) => ({ path: paths[i] ?? '', lengthBytes }));
  const hashes = files.map(({ piecesRoot, pieceLayer }) => piecesRoot && { piecesRoot, pieceLayer });
  return Store.openFolder(
    { kind, pieceLengthBytes, files: listed },
    { pieces, files: hashes },
    root,
    options,
  );
}

/** Of files by number, those that are not there. */
export async function missingFiles(
  { root, paths }: ContentPlace,
  files: readonly number[],
): Promise<readonly number[]> {
  const missing: number[] = [];
  for (const file of files) {
    const found = await lstat(join(root, paths[file] ?? '')).catch(() => null);
    if (!found) missing.push(file);
  }
  return missing;
}

/** The key of what is known of the torrent there. */
export async function contentKey(metainfo: Metainfo, { root, path }: ContentPlace): Promise<Uint8Array> {
  return resumeKey(metainfo, join(await realpath(root), relative(root, path)));
}

export interface CheckProgress {
  readonly signal: AbortSignal;
  readonly progress: (doneBytes: number, totalBytes: number) => void;
}

export interface ResumeOptions {
  readonly resumeDb: ResumeDb;
  readonly key: Uint8Array;
  /** Off: everything is hashed, whatever was recorded. */
  readonly believe?: boolean;
  /** Numbers of files that are not there: what they share pieces with cannot be hashed. */
  readonly absent?: readonly number[];
}

/** Pieces hashed in one go: a task of its own each, so that progress can be told and the job be stopped. */
const CHECK_BYTES = 64 * 2 ** 20;

/**
 * Takes over what an earlier run recorded, and hashes the rest of what is on disk. Returns the pieces that nobody has
 * looked at in this run.
 */
export async function resumeStore(
  store: Store,
  metainfo: Metainfo,
  { resumeDb, key, believe = true, absent = [] }: ResumeOptions,
  check: CheckProgress,
): Promise<Uint8Array> {
  if (!believe) await resumeDb.forget(key);
  const { trusted, toCheck } = await store.resume(resumeDb, key, check.signal);
  const pieces = filePieces(metainfo);
  const holes: { first: number; end: number }[] = [];
  for (const { first, end } of absent.flatMap((file) => pieces[file] ?? [])) {
    const before = holes.at(-1);
    if (before && before.end >= first) before.end = Math.max(before.end, end);
    else if (end > first) holes.push({ first, end });
  }
  await checkRanges(store, metainfo, outside(toCheck, holes), check);
  return trusted;
}

/** Ranges of pieces without those of others. */
function outside(
  ranges: readonly (readonly [number, number])[],
  holes: readonly PieceRange[],
): readonly (readonly [number, number])[] {
  let left = ranges;
  for (const hole of holes) {
    left = left.flatMap(([first, end]): (readonly [number, number])[] => {
      const before = [first, Math.min(end, hole.first)] as const;
      const behind = [Math.max(first, hole.end), end] as const;
      return [before, behind].filter(([start, stop]) => start < stop);
    });
  }
  return left;
}

/** Hashes ranges `[first, end)` of pieces, part by part. */
export async function checkRanges(
  store: Store,
  { lengthBytes, pieceLengthBytes }: Pick<Metainfo, 'lengthBytes' | 'pieceLengthBytes'>,
  ranges: readonly (readonly [number, number])[],
  { signal, progress }: CheckProgress,
): Promise<void> {
  const step = Math.max(1, Math.floor(CHECK_BYTES / pieceLengthBytes));
  const total = ranges.reduce((sum, [first, end]) => sum + end - first, 0) * pieceLengthBytes;
  let done = 0;
  for (const [first, end] of ranges) {
    for (let at = first; at < end; at += step) {
      const until = Math.min(end, at + step);
      await store.verify(at, until, signal);
      done += (until - at) * pieceLengthBytes;
      progress(Math.min(done, lengthBytes), Math.min(total, lengthBytes));
    }
  }
}

/**
 * Makes the links of the torrent and marks its programs as such; to be called when its bytes are there. `wanted`: of these
 * files. Returns what
 * could not be done, in words.
 */
export async function finishFiles(
  { files }: Metainfo,
  { root, path, paths }: ContentPlace,
  wanted: ReadonlySet<number>,
): Promise<string[]> {
  const failures: string[] = [];
  const attempt = async (name: string, work: Promise<void>) => {
    await work.catch((error: Error) => failures.push(`${name}: ${error.message}`));
  };
  for (const [i, file] of files.entries()) {
    if (!wanted.has(i)) continue;
    const name = file.path.join('/');
    if (file.symlinkTarget !== null) await attempt(name, makeLink(path, file, file.symlinkTarget));
    else if (file.executable && isPlainFile(file))
      await attempt(name, markExecutable(join(root, paths[i] ?? '')));
  }
  return failures;
}

async function makeLink(folder: string, { path }: TorrentFile, target: readonly string[]): Promise<void> {
  const location = join(folder, ...path);
  const parent = dirname(location);
  await mkdir(parent, { recursive: true });
  // Below the torrent's folder and nowhere else: somebody's link in the way would lead the new one astray.
  if ((await realpath(parent)) !== join(await realpath(folder), relative(folder, parent))) {
    throw new Error('a symlink is in the way');
  }
  const leads = relative(parent, join(folder, ...target));
  const found = await lstat(location).catch(() => null);
  if (found === null) return symlink(leads, location);
  if (found.isSymbolicLink() && resolve(parent, await readlink(location)) === resolve(parent, leads)) return;
  throw new Error('something else is in its place');
}

async function markExecutable(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { mode } = await file.stat();
    // Whoever may read it may run it.
    await file.chmod((mode & 0o7777) | ((mode & 0o444) >> 2));
  } finally {
    await file.close();
  }
}
