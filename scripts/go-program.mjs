// Small Go programs that are peers of tests, built into the cache where there is Go.
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, fingerprint, root } from './cache.mjs';
import { attempt, output, say } from './run.mjs';

/** The program that the module in `source` makes of `package`, or '' where it cannot be built. */
export function ensureGoProgram({ source, name, goPackage = '.', peer, what }) {
  const go = ['go', '/usr/local/go/bin/go'].find((command) => output(command, ['version']));
  if (!go) return '';
  const folder = cacheFolder('peers', `${peer}-${fingerprint(source).slice(0, 16)}`);
  const program = join(folder, name);
  if (existsSync(program)) return program;
  say(`building ${what} (once; about 2 minutes on 2 cores)`);
  cpSync(join(root, source), folder, { recursive: true });
  return attempt(go, ['build', '-C', folder, '-o', program, goPackage]) ? program : '';
}
