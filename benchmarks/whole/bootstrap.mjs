// The main job. `demo`: what `npm start` runs, by stage, with its memory. `engine`: Core's engine fed through the
// child process, against a plain loop around the engine. `regtest`: one process bootstraps from another over
// loopback, against the plain loop that is handed the same blocks.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { EngineProcess } from '../../dist/bridge/engine/parent.js';
import { displayHash } from '../../dist/units.js';
import { root } from '../../scripts/cache.mjs';
import { cargoProgram } from '../cargo.mjs';
import { cachedDatadir, cachedRecords } from '../chains.mjs';
import { cpuSeconds, json, pssMiB, start } from '../programs.mjs';

const cli = join(root, 'dist', 'cli', 'main.js');
const childPath = join(root, 'dist', 'bridge', 'engine', 'child.js');
const samplePath = join(root, 'src', 'node', 'sample', 'mainnet-0-14131.dat');
const sampleHash = '00000000b3e750f37fdb42e1018799a9f44b546d393b130b369590a072430a1c';
const watchMs = 50;
const regtest = { chain: ['--blocks=600', '--bytes-per-block=400000'], sealed: 3 * 144 };

export async function run(context) {
  await demo(context);
  await engine(context);
  await network(context);
}

async function demo({ report, runs }) {
  const stages = { total: [], import: [], 'hash and announce': [], bootstrap: [] };
  const memory = [];
  for (let i = 0; i < runs; i++) {
    const { seconds, result, peakMiB } = await oneDemo();
    assert.ok(
      result.opensAtSealedHash && result.source.tipHash === sampleHash,
      'both directories hold the same chain',
    );
    const [imported, seeding, done] = seconds;
    stages.total.push(done);
    stages.import.push(imported);
    stages['hash and announce'].push(seeding - imported);
    stages.bootstrap.push(done - seeding);
    memory.push(peakMiB);
  }
  const row = { case: 'demo, mainnet 0 to 14,131', subject: 'blockswarm' };
  for (const [stage, values] of Object.entries(stages))
    report.add({ ...row, metric: stage, unit: 's', values });
  report.add({ ...row, metric: 'memory', unit: 'MiB PSS', values: memory });
}

/** One demo: when each of its three stages ended, what it reported, and the most memory of all its processes. */
async function oneDemo() {
  const begun = performance.now();
  const since = () => (performance.now() - begun) / 1000;
  const child = spawn(process.execPath, [cli, 'demo', '--json-lines'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const closed = once(child, 'close');
  let peakMiB = 0;
  const watch = setInterval(() => {
    peakMiB = Math.max(peakMiB, pssMiB(child.pid));
  }, watchMs);
  const seconds = [];
  let result = {};
  for await (const line of createInterface({ input: child.stdout })) {
    result = JSON.parse(line);
    if (result.event !== 'result') seconds.push(since());
  }
  const [code] = await closed;
  seconds.push(since());
  clearInterval(watch);
  assert.equal(code, 0, 'the demo ends well');
  assert.equal(seconds.length, 3, 'the demo reports its source, its seed, and its end');
  return { seconds, result, peakMiB };
}

async function engine({ folder, report, runs }) {
  const plainfeed = cargoProgram('plainfeed');
  const place = join(folder, 'engine');
  const measured = { 'plain loop': [], blockswarm: [] };
  for (let i = 0; i <= runs; i++) {
    const plain = await json(plainfeed, ['mainnet', samplePath, fresh(place)]);
    const ours = await fed('mainnet', samplePath, fresh(place));
    assert.equal(plain.hash, sampleHash, 'the plain loop reaches the tip');
    assert.equal(ours.hash, sampleHash, 'blockswarm reaches the tip');
    // The first of each warms the page cache.
    if (i > 0) measured['plain loop'].push(plain);
    if (i > 0) measured.blockswarm.push(ours);
  }
  for (const [subject, figures] of Object.entries(measured)) {
    const row = {
      case: 'engine, mainnet 0 to 14,131',
      subject,
      peer: subject === 'blockswarm' ? 'plain loop' : undefined,
    };
    for (const stage of ['open', 'feed', 'close']) {
      report.add({
        ...row,
        metric: stage,
        unit: 's',
        values: figures.map((figure) => figure[`${stage}Seconds`]),
      });
    }
  }
}

/** Feeds a file of records through the engine's child process, as bootstrap does. */
async function fed(networkName, recordsPath, datadirNet) {
  mkdirSync(join(datadirNet, 'blocks'), { recursive: true });
  const marks = [performance.now()];
  const process = await EngineProcess.start({ datadirNet, network: networkName, childPath });
  marks.push(performance.now());
  const { tip } = await process.feed({
    path: recordsPath,
    offsetBytes: 0,
    lengthBytes: statSync(recordsPath).size,
  });
  marks.push(performance.now());
  await process.close();
  marks.push(performance.now());
  const [open, feed, close] = marks.slice(1).map((mark, i) => (mark - marks[i]) / 1000);
  return { openSeconds: open, feedSeconds: feed, closeSeconds: close, hash: displayHash(tip.hash) };
}

async function network({ folder, report, runs }) {
  const { chain, sealed } = regtest;
  const recordsPath = cachedRecords(chain);
  const source = cachedDatadir(chain);
  const sealedPath = join(folder, 'sealed.dat');
  const records = readFileSync(recordsPath);
  let end = 0;
  for (let height = 0; height < sealed; height++) end += 8 + records.readUInt32LE(end + 4);
  writeFileSync(sealedPath, records.subarray(0, end));
  const gib = end / 2 ** 30;

  const common = ['--network', 'regtest', '--json'];
  const catalogue = join(folder, 'catalogue.dat');
  await json(process.execPath, [
    cli,
    'catalogue',
    'make',
    '--datadir',
    source,
    '--out',
    catalogue,
    ...common,
  ]);
  const seedArgs = [
    '--datadir',
    source,
    '--listen',
    '127.0.0.1:0',
    '--no-dht',
    '--state-dir',
    join(folder, 'seed-state'),
  ];
  const seed = await start(
    process.execPath,
    [cli, 'seed', ...seedArgs, ...common],
    /"event":"ready".*"listen":"(127\.0\.0\.1:\d+)"/,
  );
  const plainfeed = cargoProgram('plainfeed');
  const seen = { plain: [], ours: [], seedCpu: [] };
  try {
    for (let i = 0; i < runs; i++) {
      const plain = await json(plainfeed, ['regtest', sealedPath, fresh(join(folder, 'plain'))]);
      seen.plain.push(gib / (plain.openSeconds + plain.feedSeconds + plain.closeSeconds));
      const before = cpuSeconds(seed.pid);
      const begun = performance.now();
      const into = [
        '--datadir',
        fresh(join(folder, 'bootstrapped')),
        '--listen',
        '127.0.0.1:0',
        '--state-dir',
        join(folder, 'state'),
      ];
      const peer = ['--catalogue', catalogue, '--peer', seed.match[1], '--no-dht'];
      const result = await json(process.execPath, [cli, 'bootstrap', ...into, ...peer, ...common]);
      seen.ours.push(gib / ((performance.now() - begun) / 1000));
      seen.seedCpu.push((cpuSeconds(seed.pid) - before) / gib);
      assert.equal(result.tipHash, plain.hash, 'the bootstrapped directory ends at the same block');
    }
  } finally {
    await seed.stop();
  }
  const row = { case: `${Math.round(1024 * gib)} MiB of regtest, one seed` };
  report.add({ ...row, subject: 'plain loop', metric: 'rate', unit: 'GiB/s', values: seen.plain });
  report.add({
    ...row,
    subject: 'blockswarm',
    metric: 'rate',
    unit: 'GiB/s',
    values: seen.ours,
    peer: 'plain loop',
  });
  report.add({
    ...row,
    subject: 'blockswarm',
    metric: 'cpu of the seed',
    unit: 's/GiB',
    values: seen.seedCpu,
  });
}

/** An empty folder in a place that may have been used. */
function fresh(place) {
  rmSync(place, { recursive: true, force: true });
  mkdirSync(place, { recursive: true });
  return place;
}
