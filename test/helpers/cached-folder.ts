/** Folders that are dear to make and never changed: made once, and shared by all test processes and runs. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const cache = fileURLToPath(new URL('../../node_modules/.cache/blockswarm-test', import.meta.url));

/**
 * The folder `name` for these inputs; `make` fills it when it is not there. It appears as a whole or not at
 * all: of two processes that make it at once, one wins. Nobody may write into it afterwards.
 */
export async function cachedFolder(
  name: string,
  inputs: readonly (string | Uint8Array)[],
  make: (folder: string) => Promise<void>,
): Promise<string> {
  const digest = createHash('sha256');
  for (const input of inputs) digest.update(input).update('\0');
  const folder = join(cache, `${name}-${digest.digest('hex').slice(0, 16)}`);
  if (existsSync(folder)) return folder;
  mkdirSync(cache, { recursive: true });
  const outdated = readdirSync(cache).filter((other) => other.startsWith(`${name}-`));
  const draft = mkdtempSync(join(cache, `draft-${name}-`));
  try {
    await make(draft);
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  for (const other of outdated) rmSync(join(cache, other), { recursive: true, force: true });
  return folder;
}
