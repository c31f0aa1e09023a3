// All tests: Rust's, then tap's. Prints `N passed, N failed, N skipped`, counted from what the two
// runners report, and fails when a test failed or a runner did not reach its end.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBtcdImporter } from './btcd.mjs';
import { root } from './cache.mjs';
import { ensureDhtPeer } from './dht-peer.mjs';
import { findRqbit } from './rqbit.mjs';
import { say } from './run.mjs';
import { setup } from './setup.mjs';

const { bitcoind, python, pyzmq, aria2, transmission, opentracker, tor } = setup('test');
// Where the tests find their peers; empty means that there is none, and its tests are skipped.
const env = {
  ...process.env,
  BLOCKSWARM_BITCOIND: bitcoind,
  BLOCKSWARM_PYTHON: python,
  BLOCKSWARM_PYZMQ: pyzmq,
  BLOCKSWARM_ARIA2: aria2,
  BLOCKSWARM_TRANSMISSION: transmission,
  BLOCKSWARM_OPENTRACKER: opentracker,
  BLOCKSWARM_TOR: tor,
  BLOCKSWARM_RQBIT: findRqbit(),
  BLOCKSWARM_DHT_PEER: ensureDhtPeer(),
  BLOCKSWARM_BTCD_ADDBLOCK: ensureBtcdImporter(),
};
const count = { passed: 0, failed: 0, skipped: 0 };
let whole = true;

say('cargo test');
// `--show-output`: a test that cannot find the shared data passes, and says `skipped:` why.
const cargo = spawnSync(
  'cargo',
  ['test', '--release', '--workspace', '--locked', '--no-fail-fast', '--', '--show-output'],
  {
    cwd: root,
    env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  },
);
const results = [...cargo.stdout.matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored/gm)];
const skips = cargo.stdout.match(/^skipped: .*$/gm) ?? [];
for (const [, passed, failed, ignored] of results) {
  count.passed += Number(passed);
  count.failed += Number(failed);
  count.skipped += Number(ignored);
}
count.passed -= skips.length;
count.skipped += skips.length;
for (const line of new Set(skips)) process.stdout.write(`${line}\n`);
for (const [, name] of cargo.stdout.matchAll(/^test (.*) \.\.\. FAILED$/gm))
  process.stdout.write(`FAILED: ${name}\n`);
if (cargo.status !== 0) {
  process.stdout.write(cargo.stdout);
  whole = count.failed > 0;
}
if (results.length === 0) whole = false;

say('tap');
const tapDir = join(root, '.tap');
mkdirSync(tapDir, { recursive: true });
const tapFile = join(tapDir, 'output.tap');
// What an earlier run left must not be counted.
rmSync(tapFile, { force: true });
const only = process.argv.slice(2);
// A person sees dots; a log gets the failures only, below.
const reporter = process.stdout.isTTY ? 'terse' : 'silent';
const tap = spawnSync(
  'node_modules/.bin/tap',
  ['run', `--reporter=${reporter}`, `--output-file=${tapFile}`, ...only],
  {
    cwd: root,
    env,
    stdio: 'inherit',
  },
);
// The tests of a file are the second level of TAP; a file without any counts as one.
const lines = existsSync(tapFile) ? readFileSync(tapFile, 'utf8').split('\n') : [];
for (const line of lines) {
  const match = /^ {4}(not ok|ok) \d+(.*)$/.exec(line);
  if (!match) continue;
  const [, verdict, rest] = match;
  if (/# (SKIP|TODO)/i.test(rest)) count.skipped++;
  else if (verdict === 'ok') count.passed++;
  else count.failed++;
}
if (tap.status !== 0 && count.failed === 0) whole = false;
if (tap.status !== 0) {
  // Each failure with the lines that say where and why.
  for (const [at, line] of lines.entries()) {
    if (/^ +not ok /.test(line)) process.stdout.write(`${lines.slice(at, at + 30).join('\n')}\n\n`);
    if (/^# (?!Subtest|\{|time)/.test(line)) process.stdout.write(`${line}\n`);
  }
}

if (!whole) {
  process.stdout.write('a test runner failed outside of its tests: see above\n');
  count.failed++;
}
process.stdout.write(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`);
// Not `process.exit`: into a pipe, what was written of a failed run may still be on its way.
process.exitCode = count.failed === 0 && tap.status === 0 ? 0 : 1;
