/** Files that wait on disk until somebody has taken what is in them. */
import { rm, truncate } from 'node:fs/promises';

/**
 * Deletes a file that may still be open: a handle stays with its store until that is collected, and the disk keeps what a
 * handle holds.
 */
export async function deleteScratch(path: string): Promise<void> {
  await truncate(path).catch(() => {});
  await rm(path, { force: true });
}
