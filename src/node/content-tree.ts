/**
 * The files that a torrent is to be made of, as they lie on disk: one file, or everything below some folders.
 *
 * Only plain files, folders and symlinks can be in a torrent; what else is found is left out with a warning. A name
 * that is not UTF-8 cannot be in one either and is an error, unless it is excluded: leaving it out silently would make
 * a torrent of less than was asked for.
 */
import { constants, type Dirent, type Stats } from 'node:fs';
import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises';
import { basename, join, relative, resolve, sep } from 'node:path';
import picomatch from 'picomatch';
import { bytesText } from '../bencode.js';
import { BlockswarmError } from '../errors.js';
import type { SourceFile } from '../metainfo/plan.js';
import { resolveSymlinks } from '../metainfo/symlink.js';
import type { Report } from './report.js';

export interface ContentTreeOptions {
  /** Files and folders; of several, each keeps its name in the torrent's folder. */
  readonly paths: readonly string[];
  /** Globs: see `globMatcher`. */
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  /** Take what a symlink leads to in its place, instead of the link. */
  readonly followSymlinks?: boolean | undefined;
  /** A file that is never taken: the torrent that is being made. */
  readonly without: string;
}

export interface ContentTree {
  readonly multiFile: boolean;
  readonly files: readonly SourceFile[];
  /** Where a file lies, by its path in the torrent. */
  locate(path: readonly string[]): string;
}

/** Files and folders. An info dictionary of 4 MiB holds fewer. */
const MAX_ENTRIES = 200_000;
const MAX_DEPTH = 128;
/** Files looked at in parallel. */
const BATCH = 64;

/**
 * Lists files, in no order.
 * @throws BlockswarmError ERR_USAGE, ERR_IO, ERR_METAINFO
 */
export async function readContentTree(
  options: ContentTreeOptions,
  signal: AbortSignal,
  report: Report,
): Promise<ContentTree> {
  const walk = new Walk(options, signal, report);
  const [root = '.'] = options.paths;
  if (options.paths.length === 1) {
    const stats = await stat(root);
    const multiFile = stats.isDirectory();
    if (multiFile) await walk.folder([], root, [await realpath(root)]);
    else await walk.take([basename(root)], root, stats);
    return walk.tree(multiFile, (path) => (multiFile ? join(root, ...path) : root));
  }
  const tops = new Map<string, string>();
  for (const path of options.paths) {
    const top = basename(resolve(path));
    if (top === '' || tops.has(top)) {
      throw new BlockswarmError('ERR_USAGE', `two of the paths are called \`${top}\` in the torrent`);
    }
    tops.set(top, path);
    await walk.take([top], path, await stat(path));
  }
  return walk.tree(true, ([top = '', ...below]) => join(tops.get(top) ?? '', ...below));
}

/** The name of the torrent of some paths. @throws BlockswarmError ERR_USAGE */
export function contentName({
  paths,
  name,
}: Pick<ContentTreeOptions, 'paths'> & { name?: string | undefined }) {
  const [only = ''] = paths;
  const found = name ?? (paths.length === 1 ? basename(resolve(only)) : '');
  if (found === '') throw new BlockswarmError('ERR_USAGE', 'a torrent of this needs a --name');
  return found;
}

class Walk {
  readonly #files: SourceFile[] = [];
  #entries = 0;
  readonly #options: ContentTreeOptions;
  readonly #without: string;
  readonly #signal: AbortSignal;
  readonly #report: Report;
  readonly #included: (path: string) => boolean;
  readonly #excluded: (path: string) => boolean;

  constructor(options: ContentTreeOptions, signal: AbortSignal, report: Report) {
    const { include, exclude } = options;
    this.#options = options;
    this.#without = resolve(options.without);
    this.#signal = signal;
    this.#report = report;
    this.#included = include?.length ? globMatcher(include) : () => true;
    this.#excluded = globMatcher(exclude ?? []);
  }

  /** What was taken. */
  tree(multiFile: boolean, locate: ContentTree['locate']): ContentTree {
    return { multiFile, files: withoutDeadLinks(this.#files, this.#report), locate };
  }

  /** Takes all below a folder. `above` are the real paths of the folders around it: a link to one is a loop. */
  async folder(path: readonly string[], location: string, above: readonly string[]): Promise<void> {
    if (path.length > MAX_DEPTH) {
      throw new BlockswarmError('ERR_METAINFO', `${location}: more than ${MAX_DEPTH} folders deep`);
    }
    const entries = await readdir(location, { withFileTypes: true, encoding: 'buffer' });
    for (let at = 0; at < entries.length; at += BATCH) {
      this.#signal.throwIfAborted();
      const batch = entries.slice(at, at + BATCH).map((entry) => this.#look(path, location, entry));
      for (const found of await Promise.all(batch)) {
        if (found) await this.take(found.path, found.location, found.stats, above);
      }
    }
  }

  /** What is at a folder's entry; `null` when it is excluded. */
  async #look(folder: readonly string[], location: string, { name }: Dirent<Buffer>) {
    const text = bytesText(name);
    const path = [...folder, text ?? name.toString('latin1')];
    if (this.#excluded(path.join('/'))) return null;
    if (text === null) {
      const shown = JSON.stringify(name.toString('latin1'));
      throw new BlockswarmError('ERR_METAINFO', `${location}: the name ${shown} (as Latin-1) is not UTF-8`);
    }
    const below = join(location, text);
    return { path, location: below, stats: await lstat(below) };
  }

  /** Takes a file, or all below a folder. */
  async take(
    path: readonly string[],
    location: string,
    stats: Stats,
    above: readonly string[] = [],
  ): Promise<void> {
    const shown = path.join('/');
    if (this.#excluded(shown)) return;
    if (++this.#entries > MAX_ENTRIES) {
      throw new BlockswarmError(
        'ERR_METAINFO',
        `more than ${MAX_ENTRIES} files and folders: no torrent can be`,
      );
    }
    if (stats.isDirectory()) {
      const real = await realpath(location);
      if (above.includes(real)) return this.#leaveOut(shown, 'a symlink to a folder around it');
      return this.folder(path, location, [...above, real]);
    }
    if (stats.isSymbolicLink() && this.#options.followSymlinks) {
      const target = await stat(location).catch(() => null);
      if (target === null) return this.#leaveOut(shown, 'a symlink that leads nowhere');
      return this.take(path, location, target, above);
    }
    if (!this.#included(shown)) return;
    if (resolve(location) === this.#without)
      return this.#leaveOut(shown, 'the torrent file that is to be written');
    const executable = (stats.mode & constants.S_IXUSR) !== 0;
    if (stats.isSymbolicLink()) {
      const symlinkTarget = linkTarget(path, await readlink(location));
      if (symlinkTarget === null) return this.#leaveOut(shown, 'a symlink that leads out of the torrent');
      // Executable as Linux has every link: libtorrent says so too, and gets the same infohash.
      this.#files.push({ path, lengthBytes: 0, executable, symlinkTarget });
    } else if (stats.isFile()) this.#files.push({ path, lengthBytes: stats.size, executable });
    else this.#leaveOut(shown, 'neither a file nor a folder');
  }

  #leaveOut(shown: string, reason: string): void {
    this.#report.warn(`left out: \`${shown}\` is ${reason}`);
  }
}

/** Globs without a slash match the last name of a path, the others all of it; one may begin with a slash to say so. */
export function globMatcher(globs: readonly string[]): (path: string) => boolean {
  const whole = globs.filter((glob) => glob.includes('/')).map((glob) => glob.replace(/^\//, ''));
  const matchesPath = picomatch(whole, { dot: true });
  const matchesName = picomatch(
    globs.filter((glob) => !glob.includes('/')),
    { dot: true },
  );
  return (path) => matchesPath(path) || matchesName(basename(path));
}

/** The path from the torrent's folder that a link leads to; `null` when it leaves the folder. */
function linkTarget(path: readonly string[], link: string): readonly string[] | null {
  if (link.startsWith(sep)) return null;
  const root = resolve('/', 'torrent');
  const target = relative(root, resolve(root, ...path.slice(0, -1), link));
  const parts = target.split(sep);
  return target === '' || parts[0] === '..' ? null : parts;
}

/** A link is kept when it leads to a file or folder of the torrent: BEP 47 has no others. */
function withoutDeadLinks(files: readonly SourceFile[], report: Report): readonly SourceFile[] {
  const targets = resolveSymlinks(
    files.map(({ path, symlinkTarget = null }) => ({ path, rawPath: path, rawTarget: symlinkTarget })),
  );
  return files.filter((file, i) => {
    if (file.symlinkTarget == null || targets[i] !== null) return true;
    report.warn(`left out: \`${file.path.join('/')}\` is a symlink that leads nowhere in the torrent`);
    return false;
  });
}
