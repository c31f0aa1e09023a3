// Peers from PyPI, in virtual environments in the cache: libtorrent and libzmq for the tests, and makers of torrents that
// benchmarks are held against.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, keyOf } from './cache.mjs';
import { attempt, fail, output, say } from './run.mjs';

/** The Python that can `import libtorrent`. */
export function ensureLibtorrent() {
  return withPackages('libtorrent==2.1.1') || fail('libtorrent cannot be installed');
}

/** The Python that can `import zmq`, or '' where it cannot be had. */
export function ensurePyzmq() {
  return withPackages('pyzmq==27.3.0');
}

/** The Python that can `import torf` and `import torrentfile`, or '' where they cannot be had. */
export function ensurePythonMakers() {
  return withPackages('torf==4.3.1', 'torrentfile==0.9.2', 'pyben==0.3.2');
}

function withPackages(...packages) {
  const [name] = packages;
  const key = keyOf(output('python3', ['-VV']) ?? '', ...packages.slice(1));
  const folder = cacheFolder('peers', `${name.replace('==', '-')}-${key}`);
  const python = join(folder, 'bin', 'python');
  const stamp = join(folder, 'done');
  if (existsSync(stamp)) return python;
  say(`installing ${packages.join(', ')}`);
  const made =
    attempt('python3', ['-m', 'venv', folder]) &&
    attempt(python, ['-m', 'pip', 'install', '--quiet', ...packages]);
  if (!made) return '';
  writeFileSync(stamp, packages.join('\n'));
  return python;
}
