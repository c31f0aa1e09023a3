// Validation of a whole chain beside Core's own, on the same two cores: `blockswarm validate` of a generated chain whose
// spent files and hints are there, against `bitcoind -reindex-chainstate` of the same chain, from its start to the line
// in its log that names the last block. Once with every script, and once without any on both sides: the chain ends with
// 2,100 blocks of nothing, and Core's log must say that it skipped the scripts of all that have some. Core checks its
// whole index after every block of a regtest chain: a second figure is without that.
import assert from 'node:assert/strict';
import { cpSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/cache.mjs';
import { ensureEngine } from '../../scripts/engine.mjs';
import { cachedDatadir, signedChain } from '../chains.mjs';
import { ours } from '../contest.mjs';
import { measured } from '../programs.mjs';

const cli = join(root, 'dist', 'cli', 'main.js');
const network = 'regtest';
/** Both sides have the same two cores, whatever the machine has. */
const cores = ['taskset', '-c', '0,1'];
const core = 'bitcoind';
const coreUnchecked = 'bitcoind -checkblockindex=0';
const memoryMiB = 600;
/** Blocks above the last one with scripts. */
const emptyBlocks = 2100;

export async function run({ folder, report, runs }) {
  const source = cachedDatadir(signedChain);
  const { blocks, tipHash } = JSON.parse(readFileSync(join(source, '..', 'report.json'), 'utf8'));
  const chain = { source, blocks, tipHash, folder, node: join(folder, 'node') };
  const { bitcoind } = ensureEngine({ bitcoind: true });
  // It makes its coins anew in there, and keeps the rest as it is.
  cpSync(source, chain.node, { recursive: true });
  chain.hints = join(folder, 'hints.dat');
  await blockswarm(chain, ['hints', 'make', '--out', chain.hints, '--to', String(blocks - 1)]);
  const cases = [
    { name: 'scripts left out', levels: 'chain,set', assumeValid: tipHash, wanted: 0.35 },
    { name: 'every script', levels: 'chain,scripts,set', assumeValid: '0', wanted: 0.9 },
  ];
  for (const { name, levels, assumeValid, wanted } of cases) {
    const subjects = {
      [core]: () => reindexed(bitcoind, chain, assumeValid),
      [coreUnchecked]: () => reindexed(bitcoind, chain, assumeValid, ['-checkblockindex=0']),
      [ours]: () => validated(chain, levels),
    };
    const figures = Object.fromEntries(Object.keys(subjects).map((subject) => [subject, []]));
    for (let n = 0; n < runs; n++) {
      for (const [subject, measure] of Object.entries(subjects)) figures[subject].push(await measure());
    }
    const { inputs } = figures[ours][0];
    const row = { case: `${blocks} blocks, ${inputs} inputs, ${name}, two cores` };
    for (const [subject, own] of Object.entries(figures)) {
      const add = (metric, unit, of, more) =>
        report.add({ ...row, subject, metric, unit, values: own.map(of), ...more });
      add('time', 's', ({ seconds }) => seconds);
      add('cpu', 's', ({ cpuSeconds }) => cpuSeconds);
      add('peak memory', 'MiB', ({ peakMiB }) => peakMiB, subject === ours ? { atMost: memoryMiB } : {});
    }
    for (const other of [core, coreUnchecked]) {
      for (const [metric, of] of [
        ['time', 'seconds'],
        ['cpu', 'cpuSeconds'],
      ]) {
        const values = figures[ours].map((own, n) => own[of] / figures[other][n][of]);
        const bound = other === core && metric === 'time' ? { atMost: wanted } : {};
        report.add({
          ...row,
          subject: ours,
          metric: `${metric} over that of ${other}`,
          unit: '×',
          values,
          ...bound,
        });
      }
    }
  }
}

/** One command of ours over the chain, in a state folder of its own: nothing is gone on from. */
async function blockswarm({ source, folder }, [...command]) {
  const state = join(folder, 'state');
  rmSync(state, { recursive: true, force: true });
  const chain = ['--datadir', source, '--network', network, '--state-dir', state, '--json'];
  const { stdout, ...cost } = await measured([...cores, process.execPath, cli, ...command, ...chain]);
  return { ...JSON.parse(stdout), seconds: cost.seconds, cpuSeconds: cost.cpuSeconds, peakMiB: cost.peakMiB };
}

async function validated(chain, levels) {
  const args = ['validate', '--prove', levels, '--hints', chain.hints, '--threads', '2'];
  const result = await blockswarm(chain, args);
  assert.equal(result.failure, undefined, 'the chain is valid');
  assert.deepEqual(
    result.proven,
    [{ firstHeight: 0, endHeight: chain.blocks, levels: levels.split(',') }],
    'all of it is proven',
  );
  return result;
}

/** Core makes its coins anew out of the block files of its own copy, and is ended at the last block. */
async function reindexed(bitcoind, { node, tipHash, blocks }, assumeValid, more = []) {
  const figures = await measured(
    [
      ...cores,
      bitcoind,
      `-datadir=${node}`,
      `-chain=${network}`,
      '-noconf',
      '-nosettings',
      '-nodebuglogfile',
      '-printtoconsole=1',
      '-networkactive=0',
      '-listen=0',
      '-connect=0',
      '-server=0',
      '-par=2',
      '-reindex-chainstate',
      `-assumevalid=${assumeValid}`,
      ...more,
    ],
    { until: `UpdateTip: new best=${tipHash}` },
  );
  assert.match(figures.stdout, new RegExp(`UpdateTip: new best=${tipHash} height=${blocks - 1} `), 'the tip');
  const skipping = /(Enabling|Disabling) script verification at block #(\d+)/g;
  const [first, ...later] = [...figures.stdout.matchAll(skipping)].map(([, what, height]) => ({
    what,
    height: Number(height),
  }));
  assert.deepEqual(first, { what: assumeValid === '0' ? 'Enabling' : 'Disabling', height: 1 }, 'scripts');
  assert.ok(
    later.every(({ height }) => height >= blocks - emptyBlocks),
    'and so with all blocks that have some',
  );
  return figures;
}
