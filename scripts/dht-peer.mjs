// A DHT node of anacrolix's library, as a peer of tests: a small Go program, built into the cache where there is Go.
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, fingerprint, root } from './cache.mjs';
import { attempt, output, say } from './run.mjs';

const source = join('test', 'helpers', 'dht-peer');

/** The program, or '' where it cannot be built. */
export function ensureDhtPeer() {
  const go = ['go', '/usr/local/go/bin/go'].find((command) => output(command, ['version']));
  if (!go) return '';
  const folder = cacheFolder('peers', `anacrolix-dht-${fingerprint(source).slice(0, 16)}`);
  const program = join(folder, 'dht-peer');
  if (existsSync(program)) return program;
  say("building a DHT node of anacrolix's library (once; about 2 minutes on 2 cores)");
  cpSync(join(root, source), folder, { recursive: true });
  return attempt(go, ['build', '-C', folder, '-o', program, '.']) ? program : '';
}
