// The index over a node's block files: a scan of 2 GiB as Core wrote them, a scan of a whole mainnet's worth of files
// (850 GB that are mostly holes: heads and headers are where they would be), what that takes of memory, a restart, a look
// when nothing has changed, and a block each second; and the first hashing of the 2 GiB, from memory and from disks.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { scanDatadir } from '../../dist/native.js';
import { root } from '../../scripts/cache.mjs';
import { cachedDatadir, largeChain } from '../chains.mjs';
import { dropFromPageCache } from '../cold.mjs';
import { ours } from '../contest.mjs';
import { hashLimit } from '../limits.mjs';
import { json } from '../programs.mjs';
import { slowDisk } from '../slow-disk.mjs';
import { mainnetSizedFolder } from './mainnet-sized-folder.mjs';

const program = join(root, 'benchmarks', 'whole', 'datadir-program.mjs');
const hashingProgram = join(root, 'benchmarks', 'whole', 'first-hashing-program.mjs');
/** What nodes have, beside what is here. */
const disks = [
  { name: 'from the disk of this machine' },
  { name: 'from a disk of 550 MB/s', megabytesPerSecond: 550 },
  { name: 'from a disk of 150 MB/s', megabytesPerSecond: 150 },
];

export async function run({ folder, report, runs }) {
  await whatCoreWrote(report, runs);
  await aWholeMainnet(folder, report, runs);
}

async function whatCoreWrote(report, runs) {
  const datadir = cachedDatadir(largeChain);
  const facts = JSON.parse(readFileSync(join(datadir, '..', 'report.json'), 'utf8'));
  const blocksDir = join(datadir, 'regtest', 'blocks');
  const lengthBytes = lengthOf(blocksDir);
  const row = { case: `${gib(lengthBytes)} GiB of blk files as Core wrote them`, subject: ours };
  const seconds = [];
  // The first run has the heads in memory for the others.
  for (let n = -1; n < runs; n++) {
    const begun = performance.now();
    const index = await scanDatadir(blocksDir, 'regtest');
    if (n >= 0) seconds.push((performance.now() - begun) / 1000);
    assert.equal(Buffer.from(index.tip().hash).reverse().toString('hex'), facts.tipHash, 'the tip');
    assert.equal(index.tip().height, facts.blocks - 1, 'its height');
    assert.deepEqual(index.warnings(), [], 'nothing was passed over');
  }
  const values = seconds.map((each) => lengthBytes / 2 ** 30 / each);
  report.add({ ...row, metric: 'scan', unit: 'GiB/s passed over', values, atLeast: 5 });

  await firstHashing(blocksDir, facts.blocks, report, runs);
}

/** With the files in memory beside the bare hash loop, and from disks beside a bare read. */
async function firstHashing(blocksDir, blocks, report, runs) {
  const paths = readdirSync(blocksDir)
    .filter((name) => /^(blk|rev)\d+\.dat$/.test(name))
    .map((name) => join(blocksDir, name));
  const measure = ([command, ...more], what) =>
    json(command, [...more, hashingProgram, what, blocksDir, String(blocks)]);
  const add = (place, limit, limits, figures, wanted) => {
    const row = { case: `first hashing, each record checked, ${place}` };
    const rates = figures.map(rate);
    report.add({ ...row, subject: limit, metric: 'rate', unit: 'GiB/s', values: limits });
    report.add({ ...row, subject: ours, metric: 'rate', unit: 'GiB/s', values: rates, peer: limit });
    const cpu = figures.map(({ cpuSeconds, bytes }) => cpuSeconds / (bytes / 2 ** 30));
    report.add({ ...row, subject: ours, metric: 'cpu', unit: 's/GiB', values: cpu });
    const shares = rates.map((own, run) => own / (limits[run] ?? limits[0]));
    report.add({ ...row, subject: ours, metric: `rate over ${limit}`, unit: '×', values: shares, ...wanted });
  };

  const [node, loop, inMemory] = [[process.execPath], hashLimit('hybrid'), []];
  await measure(node, 'read');
  for (let n = 0; n < runs; n++) inMemory.push(await measure(node, 'hash'));
  add(`${gib(inMemory[0].bytes)} GiB in memory`, loop.name, [loop.gibPerSecond], inMemory, {});

  for (const { name, megabytesPerSecond } of disks) {
    let disk = { command: [], close: () => {} };
    try {
      if (megabytesPerSecond) disk = slowDisk(blocksDir, megabytesPerSecond * 1e6);
    } catch (error) {
      report.skip(name, error.message);
      continue;
    }
    const [reads, hashes] = [[], []];
    try {
      for (let n = 0; n < runs; n++) {
        for (const [what, figures] of Object.entries({ read: reads, hash: hashes })) {
          dropFromPageCache(paths);
          figures.push(await measure([...disk.command, ...node], what));
        }
      }
    } finally {
      disk.close();
    }
    add(name, 'bare read', reads.map(rate), hashes, { atLeast: 0.9 });
  }
}

function rate({ bytes, seconds }) {
  return bytes / 2 ** 30 / seconds;
}

async function aWholeMainnet(folder, report, runs) {
  const made = mainnetSizedFolder(join(folder, 'blocks'));
  const { blocks, files, lengthBytes, tipHash } = made;
  const state = join(folder, 'index.redb');
  const row = {
    case: `${Math.round(lengthBytes / 1e9)} GB in ${files} files, ${blocks} blocks, heads in the page cache`,
    subject: ours,
  };
  const all = [];
  for (let n = -1; n < runs; n++) {
    const facts = await json(process.execPath, ['--expose-gc', program, made.blocksDir, state, String(n)]);
    for (const tip of [facts.first.tip, facts.restart.tip])
      assert.deepEqual(tip, { height: blocks - 1, hash: tipHash }, 'the tip');
    if (n >= 0) all.push(facts);
  }
  const add = (metric, unit, of, more) => report.add({ ...row, metric, unit, values: all.map(of), ...more });
  add('scan', 's', ({ first }) => first.seconds);
  add('scan', 'GiB/s passed over', ({ first }) => lengthBytes / 2 ** 30 / first.seconds, { atLeast: 5 });
  add('reads of a scan', '1', ({ first }) => first.reads);
  add('read by a scan', 'MiB', ({ first }) => first.readBytes / 2 ** 20);
  add('memory', 'bytes/block', ({ restart }) => restart.memoryBytes / blocks, { atMost: 100 });
  add('store', 'bytes/block', () => statSync(state).size / blocks);
  add('restart', 's', ({ restart }) => restart.seconds);
  add('a look, nothing new', 'ms', ({ idle }) => idle.ms);
  add('looks each second', '% of a core', ({ idle }) => idle.cpuMs / 10, { atMost: 2 });
  add('a block each second', '% of a core', ({ block }) => block.cpuMs / 10, { atMost: 2 });
}

function lengthOf(folder) {
  const names = readdirSync(folder).filter((name) => /^blk\d+\.dat$/.test(name));
  return names.reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

function gib(bytes) {
  return (bytes / 2 ** 30).toFixed(1);
}
