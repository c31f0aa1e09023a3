// Everything that is checked beside the tests: format, lints, types, unused code, generated files.
// Prints a line for each check and `N passed, N failed` at the end.
import { spawnSync } from 'node:child_process';
import { root } from './cache.mjs';
import { setup } from './setup.mjs';

setup('build');
const bin = (name) => `node_modules/.bin/${name}`;
// Not `--all-targets`: the addon has no tests, and its exports count as unused in a test build.
const clippy = ['clippy', '--release', '--locked', '--lib', '--bins', '--tests'];
const checks = [
  ['biome (format, lint)', bin('biome'), ['ci', '--error-on-warnings', '.']],
  ['tsc (types)', bin('tsc'), ['--noEmit', '-p', '.']],
  ['knip (unused code)', bin('knip'), []],
  ['rustfmt', 'cargo', ['fmt', '--all', '--check']],
  ['clippy', 'cargo', [...clippy, '--workspace', '--', '-D', 'warnings']],
  [
    'clippy without the engine',
    'cargo',
    [
      ...clippy,
      '-p',
      'blockswarm-chain',
      '-p',
      'blockswarm-bindings',
      '--no-default-features',
      '--',
      '-D',
      'warnings',
    ],
  ],
  [
    'generated loader and types',
    'git',
    ['diff', '--exit-code', '--', 'bindings/index.js', 'bindings/index.d.ts'],
  ],
];

let failed = 0;
for (const [name, command, args] of checks) {
  const { status } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  if (status !== 0) failed++;
  process.stdout.write(`${status === 0 ? 'ok' : 'not ok'} - ${name}\n`);
}
process.stdout.write(`${checks.length - failed} passed, ${failed} failed\n`);
process.exitCode = failed === 0 ? 0 : 1;
