/** The real chain data that lies beside the checkout of a developer, and not in the project. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { outputOf } from './program.js';
import { tempFolder } from './temp.js';

const folder = fileURLToPath(new URL('../../../shared/data', import.meta.url));

/** The folder of shared data, or `null` when it is not here. */
export const sharedData: string | null = existsSync(folder) ? folder : null;

/** For tap's `skip`: why a test that needs shared data does not run, or `false`. */
export const noSharedData: string | false = sharedData === null && `no shared data: ${folder} is missing`;

/** The path of a shared file; only for tests that are skipped without shared data. */
export function sharedFile(name: string): string {
  return join(folder, name);
}

/** Unpacks a `.tar.zst` of shared data into a new folder. */
export async function unpackShared(t: Test, name: string): Promise<string> {
  const into = tempFolder(t);
  await outputOf(t, 'tar', ['--zstd', '-xf', sharedFile(name), '-C', into]);
  return into;
}
