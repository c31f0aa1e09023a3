// Everything between a fresh clone and a running program; quick when nothing is missing.
//   node scripts/setup.mjs build   packages, Core's engine, the addon, dist/
//   node scripts/setup.mjs start   the same, for `npm start`
//   node scripts/setup.mjs test    and what the tests need: bitcoind, libtorrent, libzmq, aria2, transmission
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fingerprint, onceFor, root } from './cache.mjs';
import { ensureDebianPeers } from './debian-peers.mjs';
import { configureCargo, ensureEngine } from './engine.mjs';
import { ensureLibtorrent, ensurePyzmq } from './python-peers.mjs';
import { run, say } from './run.mjs';
import { ensureToolchain } from './toolchain.mjs';

/** Sets up for one purpose; returns where the tests find their peers. */
export function setup(purpose) {
  const testing = purpose === 'test';
  ensureToolchain(testing ? ['build', 'test'] : ['build']);
  const packages = fingerprint('package.json', 'package-lock.json');
  // The stamp lies inside of what it speaks of.
  onceFor(
    packages,
    join(root, 'node_modules', '.blockswarm'),
    () => true,
    () => {
      say('installing npm packages');
      // Not `npm ci`: it refuses a lock file that lacks the optional packages of other platforms (npm#4828).
      run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error']);
    },
  );
  const { libDir, bitcoind } = ensureEngine({ bitcoind: testing });
  configureCargo(libDir);
  const native = fingerprint(
    'Cargo.toml',
    'Cargo.lock',
    '.cargo',
    'crates',
    'bindings/src',
    'bindings/Cargo.toml',
    'scripts/addon.mjs',
  );
  onceFor(
    native,
    join(root, 'node_modules', '.blockswarm-addon'),
    () => readdirSync(join(root, 'bindings')).some((name) => name.endsWith('.node')),
    () => {
      say('building the native addon');
      run('node', ['scripts/addon.mjs']);
    },
  );
  onceFor(
    fingerprint('src', 'tsconfig.json', 'bindings/index.d.ts'),
    join(root, 'node_modules', '.blockswarm-dist'),
    () => existsSync(join(root, 'dist', 'cli', 'main.js')),
    () => {
      say('compiling TypeScript');
      rmSync(join(root, 'dist'), { recursive: true, force: true });
      run('node_modules/.bin/tsc', ['-p', 'src']);
    },
  );
  return testing
    ? { bitcoind, python: ensureLibtorrent(), pyzmq: ensurePyzmq(), ...ensureDebianPeers() }
    : {};
}

if (import.meta.filename === process.argv[1]) setup(process.argv[2] ?? 'build');
