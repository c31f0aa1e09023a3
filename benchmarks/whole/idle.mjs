// Ten thousand torrents that rest in one process: start with valid resume data, memory for each beside a process with
// one torrent, and how long a peer waits for a torrent that it wakes.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { root } from '../../scripts/cache.mjs';
import { json } from '../programs.mjs';
import { manyTorrents } from './many-torrents.mjs';

const program = join(root, 'benchmarks', 'whole', 'idle-program.mjs');
const cli = join(root, 'dist', 'cli', 'main.js');
const count = 10_000;

export async function run({ folder, report, runs }) {
  const [many, one] = ['many', 'one'].map((name) => join(folder, name));
  for (const each of [many, one]) mkdirSync(each, { recursive: true });
  const torrents = manyTorrents(many, count);
  manyTorrents(one, 1);
  const state = join(folder, 'state');
  // The first start hashes all; the next ones are what is measured.
  await seeded(many, state);
  await seeded(one, state);
  const [all, single] = [[], []];
  for (let n = 0; n < runs; n++) {
    const seeder = await seed(many, state);
    all.push({
      ...seeder.facts,
      wakeMs: await wake(seeder.facts.port, torrents[n % count], join(folder, `out-${n}`)),
    });
    await seeder.stop();
    single.push(await seeded(one, state));
  }
  const each = (field) => all.map((facts, n) => (facts[field] - single[n][field]) / (count - 1));
  const native = all.map((facts, n) => {
    const of = ({ rss, heapTotal }) => rss - heapTotal;
    return (of(facts) - of(single[n])) / (count - 1);
  });
  const shared = { case: `${count} idle torrents`, subject: 'blockswarm' };
  const add = (metric, unit, values, atMost) => report.add({ ...shared, metric, unit, values, atMost });
  add('JavaScript heap a torrent', 'bytes', each('heapUsed'), 1024);
  add('native memory a torrent', 'bytes', native, 2048);
  add(
    'start',
    's',
    all.map(({ startMs }) => startMs / 1000),
    5,
  );
  add(
    'fetch of one that rests, whole program',
    's',
    all.map(({ wakeMs }) => wakeMs / 1000),
  );
  report.note(
    `of ${count} torrents none is open until a peer comes; start: of the process, until peers may come`,
  );
}

/** Starts the seeder; its facts once all is checked. */
async function seed(folder, state) {
  const child = spawn(process.execPath, ['--expose-gc', program, folder, state], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const [line] = await once(createInterface(child.stdout), 'line');
  const stop = async () => {
    child.stdin.end();
    await once(child, 'exit');
  };
  return { facts: JSON.parse(line), stop };
}

async function seeded(folder, state) {
  const { facts, stop } = await seed(folder, state);
  await stop();
  return facts;
}

/** Fetches a torrent, which must be opened for it. */
async function wake(port, { torrentPath, name, content }, out) {
  const peer = ['--peer', `127.0.0.1:${port}`, '--no-dht', '--listen', '127.0.0.1:0'];
  const startMs = performance.now();
  await json(process.execPath, [
    cli,
    'get',
    torrentPath,
    '--out',
    out,
    ...peer,
    '--state-dir',
    join(out, 'state'),
    '--json',
  ]);
  assert.equal(readFileSync(join(out, name), 'utf8'), content);
  return performance.now() - startMs;
}
