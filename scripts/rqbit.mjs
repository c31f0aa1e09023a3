// rqbit from crates.io, as a peer of benchmarks. Building it takes minutes, so this is done once, and only when asked
// for:  node scripts/rqbit.mjs
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { run, say } from './run.mjs';

const version = '9.1.0';

/** The command, or '' where it was not built. */
export function findRqbit() {
  const program = join(cacheFolder('peers', `rqbit-${version}`), 'bin', 'rqbit');
  return existsSync(program) ? program : '';
}

function build() {
  const folder = cacheFolder('peers', `rqbit-${version}`);
  const target = join(folder, 'target');
  say(`building rqbit ${version} (once; about 5 minutes on 2 cores)`);
  // Its own TLS and hashing (OpenSSL's SHA-1, the fastest that it has), without its web page and database.
  const features = ['--no-default-features', '--features', 'default-tls'];
  const args = ['install', 'rqbit', '--version', `=${version}`, '--locked', ...features, '--root', folder];
  run('nice', ['-n', '19', 'cargo', ...args, '--target-dir', target]);
  rmSync(target, { recursive: true });
}

if (import.meta.filename === process.argv[1] && !findRqbit()) build();
