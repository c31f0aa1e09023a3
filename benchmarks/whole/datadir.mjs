// The index over a node's block files: a scan of 2 GiB as Core wrote them, a scan of a whole mainnet's worth of files
// (850 GB that are mostly holes: heads and headers are where they would be), what that takes of memory, a restart, a look
// when nothing has changed, and a block each second; and the first hashing of the 2 GiB.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PIECE_LENGTH_BYTES } from '../../dist/metainfo/hybrid.js';
import { scanDatadir } from '../../dist/native.js';
import { root } from '../../scripts/cache.mjs';
import { cachedDatadir, largeChain } from '../chains.mjs';
import { ours } from '../contest.mjs';
import { hashLimit } from '../limits.mjs';
import { json } from '../programs.mjs';
import { mainnetSizedFolder } from './mainnet-sized-folder.mjs';

const program = join(root, 'benchmarks', 'whole', 'datadir-program.mjs');
const interval = 144;

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

  const limit = hashLimit('hybrid');
  const rates = [];
  let hashedBytes = 0;
  for (let n = 0; n < runs; n++) {
    const index = await scanDatadir(blocksDir, 'regtest');
    const begun = performance.now();
    hashedBytes = 0;
    for (let segment = 0; (segment + 2) * interval <= facts.blocks; segment++) {
      for (const kind of ['blocks', 'spent']) {
        const { extents } = await index.hashed(segment, kind, PIECE_LENGTH_BYTES, null);
        hashedBytes += extents.lengthBytes;
      }
    }
    rates.push(hashedBytes / 2 ** 30 / ((performance.now() - begun) / 1000));
  }
  const hashing = { case: `first hashing of ${gib(hashedBytes)} GiB, each record checked`, metric: 'rate' };
  report.add({ ...hashing, subject: limit.name, unit: 'GiB/s', values: [limit.gibPerSecond] });
  report.add({ ...hashing, subject: ours, unit: 'GiB/s', values: rates, peer: limit.name });
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
