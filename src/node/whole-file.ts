/** Results that are files: whole or not at all, and never in the place of something else. */
import { randomUUID } from 'node:crypto';
import { access, constants, link, open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BlockswarmError } from '../errors.js';

/**
 * Refuses a path that could not be written in the end: in no folder, of a folder, device or pipe, or, unless it may be
 * replaced, of any file.
 * @throws BlockswarmError ERR_USAGE, ERR_IO
 */
export async function checkWritable(path: string, replace: boolean): Promise<void> {
  await access(dirname(path), constants.W_OK).catch((cause) => {
    throw unwritable(path, cause);
  });
  const found = await stat(path).catch(() => null);
  if (found === null) return;
  // A rename over a device or a pipe would take its place (`--out /dev/null`).
  if (!found.isFile()) {
    throw new BlockswarmError('ERR_USAGE', `--out expects a plain file, and ${path} is none`);
  }
  if (!replace) throw exists(path);
}

/**
 * Writes a file that appears only when it is whole and on disk.
 * @throws BlockswarmError ERR_USAGE as `checkWritable`, ERR_DISK_FULL, ERR_IO, and of any code when `bytes` does
 */
export async function writeWholeFile(
  path: string,
  bytes: Uint8Array | Iterable<Uint8Array>,
  replace: boolean,
): Promise<void> {
  await checkWritable(path, replace);
  const partial = `${path}.${randomUUID()}.part`;
  try {
    const file = await open(partial, 'wx');
    try {
      await writeFile(file, bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    if (replace) await rename(partial, path);
    else await moveBeside(partial, path);
  } catch (cause) {
    if (cause instanceof BlockswarmError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === 'EEXIST') throw exists(path);
    throw unwritable(path, cause as NodeJS.ErrnoException);
  } finally {
    await rm(partial, { force: true });
  }
}

/** Waits until names that came or went in a folder are on the medium. Best effort: not every file system can. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path).catch(() => null);
  await folder?.sync().catch(() => {});
  await folder?.close();
}

/** Gives a file a name that is free: a rename would replace a file that came meanwhile. */
async function moveBeside(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    // Not every file system has links.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') throw error;
    await rename(from, to);
  }
}

function exists(path: string): BlockswarmError {
  return new BlockswarmError('ERR_USAGE', `${path} exists: --force replaces it`);
}

function unwritable(path: string, cause: NodeJS.ErrnoException): BlockswarmError {
  const full = cause.code === 'ENOSPC' || cause.code === 'EDQUOT';
  return new BlockswarmError(full ? 'ERR_DISK_FULL' : 'ERR_IO', `cannot write ${path}: ${cause.message}`, {
    cause,
  });
}
