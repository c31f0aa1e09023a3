/** Whether a disk can take what is about to be written to it. */
import { statfs } from 'node:fs/promises';
import { BlockswarmError } from '../errors.js';
import { formatBytes } from '../units.js';

/** @throws BlockswarmError ERR_DISK_FULL; a folder whose file system does not say is let pass */
export async function checkFreeSpace(folder: string, neededBytes: number, what: string): Promise<void> {
  const found = await statfs(folder).catch(() => null);
  if (!found) return;
  const freeBytes = found.bavail * found.bsize;
  if (neededBytes <= freeBytes) return;
  throw new BlockswarmError(
    'ERR_DISK_FULL',
    `${folder} has ${formatBytes(freeBytes)} free, and ${what} takes ${formatBytes(neededBytes)} more`,
  );
}
