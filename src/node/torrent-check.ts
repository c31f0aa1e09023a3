/** Holds files on disk against a torrent. */
import { lstat, readlink, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { TorrentFile } from '../metainfo/torrent-files.js';
import { checkTorrent, type DamagedRange, type FileFault } from '../native.js';
import type { Report } from './report.js';
import { findContent, locate } from './torrent-content.js';

export interface CheckOptions {
  readonly metainfo: Metainfo;
  /** The torrent's file or folder, or the folder that it lies in. */
  readonly content: string;
  readonly threads?: number | undefined;
  readonly uncached?: boolean | undefined;
}

/** A file that is not all right. */
export interface DamagedFile {
  /** Below the torrent's folder. */
  readonly path: string;
  readonly location: string;
  /** What is wrong with the file as a whole. */
  readonly fault: FileFault['fault'] | 'wrong-link' | null;
  readonly message: string | null;
  readonly ranges: readonly Omit<DamagedRange, 'file'>[];
}

export interface CheckResult {
  /** Where the torrent's file or folder is. */
  readonly content: string;
  readonly pieceCount: number;
  readonly goodPieces: number;
  /** In the torrent's order; empty when all is right. */
  readonly damaged: readonly DamagedFile[];
}

type Fault = Pick<DamagedFile, 'fault' | 'message'>;

/**
 * Hashes all files and compares. Damage is a result.
 * @throws BlockswarmError ERR_IO when there is nothing at the path, ERR_METAINFO
 */
export async function checkContent(
  { metainfo, content, threads, uncached }: CheckOptions,
  signal: AbortSignal,
  report: Report,
): Promise<CheckResult> {
  const root = await findContent(metainfo, content);
  const locations = await Promise.all(metainfo.files.map((file) => locate(metainfo, root, file)));
  const files = metainfo.files.map((file, i) => ({
    path: file.padding ? '' : (locations[i] ?? ''),
    lengthBytes: file.lengthBytes,
  }));
  const { infoHashV1, infoHashV2, pieceLengthBytes, pieces, lengthBytes: total } = metainfo;
  const kind = infoHashV2 === null ? 'v1' : infoHashV1 === null ? 'v2' : 'hybrid';
  const hashes = metainfo.files.map(({ piecesRoot, pieceLayer }) => piecesRoot && { piecesRoot, pieceLayer });
  const checked = await checkTorrent(
    { kind, pieceLengthBytes, files },
    { pieces, files: hashes },
    {
      threads,
      uncached,
      progress: (done) => report.progress({ stage: 'checking', done, total, unit: 'bytes' }),
      signal,
    },
  );
  const faults = new Map<number, Fault>(checked.faults.map(({ file, ...fault }) => [file, fault]));
  for (const [i, file] of metainfo.files.entries()) {
    if (file.padding || file.lengthBytes > 0) continue;
    const fault = await checkEmpty(root, locations[i] ?? '', file);
    if (fault !== null) faults.set(i, fault);
  }
  const ranges = new Map<number, Omit<DamagedRange, 'file'>[]>();
  for (const { file, ...range } of checked.damage) {
    const found = ranges.get(file);
    if (found) found.push(range);
    else ranges.set(file, [range]);
  }
  const damaged = metainfo.files.flatMap((file, i): DamagedFile[] => {
    const fault = faults.get(i);
    const found = ranges.get(i) ?? [];
    if (fault === undefined && found.length === 0) return [];
    return [
      {
        path: file.path.join('/'),
        location: locations[i] ?? '',
        fault: fault?.fault ?? null,
        message: fault?.message ?? null,
        ranges: found,
      },
    ];
  });
  return { content: root, pieceCount: checked.pieceCount, goodPieces: checked.goodPieces, damaged };
}

/** Files without bytes are in no piece; links are compared by where they lead. */
async function checkEmpty(root: string, location: string, file: TorrentFile): Promise<Fault | null> {
  const found = await lstat(location).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) {
    const missing = found.code === 'ENOENT' || found.code === 'ENOTDIR';
    return missing
      ? { fault: 'missing', message: 'no such file' }
      : { fault: 'unreadable', message: found.message };
  }
  if (file.symlinkTarget !== null) {
    const leads = found.isSymbolicLink() ? resolve(dirname(location), await readlink(location)) : null;
    if (leads === resolve(root, ...file.symlinkTarget)) return null;
    return { fault: 'wrong-link', message: `not a symlink to ${file.symlinkTarget.join('/')}` };
  }
  const content = found.isSymbolicLink() ? await stat(location).catch(() => found) : found;
  if (!content.isFile()) return { fault: 'not-a-file', message: 'not a plain file' };
  if (content.size === 0) return null;
  return { fault: 'long', message: `${content.size} bytes long, that is too long` };
}
