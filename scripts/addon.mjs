// Builds the N-API addon with @napi-rs/cli: bindings/blockswarm.<platform>.node, and the loader and
// types beside it, which are committed (`scripts/check.mjs` fails when they differ).
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const args = ['build', '--platform', '--release', '--esm', '--no-const-enum'];
args.push(
  '--manifest-path',
  'bindings/Cargo.toml',
  '--output-dir',
  'bindings',
  '--js',
  'index.js',
  '--dts',
  'index.d.ts',
);
const { status } = spawnSync('node_modules/.bin/napi', [...args, '--', '--locked'], {
  cwd: root,
  stdio: 'inherit',
});
process.exit(status ?? 1);
