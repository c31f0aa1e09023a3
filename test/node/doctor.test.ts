import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { diagnose } from '../../src/node/doctor.js';
import { cli } from '../helpers/cli.js';
import { recordOffsets, samplePath } from '../helpers/engine.js';
import { plainFile, writeOldPair } from '../helpers/old-undo.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { noSharedData, sharedFile, unpackShared } from '../helpers/shared-data.js';
import { tempFolder } from '../helpers/temp.js';

const sample = readFileSync(samplePath);
const offsets = recordOffsets(sample);

/** A data directory of mainnet with these files in its blocks folder. */
function datadirOf(t: Test, files: Record<string, Uint8Array>): string {
  const datadir = tempFolder(t);
  mkdirSync(join(datadir, 'blocks'));
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(datadir, 'blocks', name), bytes);
  return datadir;
}

async function findings(t: Test, datadir: string, network = 'mainnet', blocks?: string) {
  const diagnosis = await diagnose({ datadir, blocks, network, stateDir: tempFolder(t) }, t.context.signal);
  return { ...diagnosis, what: diagnosis.findings.map(({ severity, what }) => `${severity} ${what}`) };
}

t.beforeEach((t) => {
  t.context.signal = new AbortController().signal;
});

t.test('of a node that is well nothing is said', async (t) => {
  const datadir = await sampleDatadir();
  const { what, chain, files } = await findings(t, datadir);
  t.same(what, []);
  t.match(chain, { height: 14_131, sealedSegments: 6, staleBlocks: 0, orphanBlocks: 0 });
  t.match(files, { blocks: 1, undo: 1, isXored: true });
  const { code, stdout } = await cli(t, ['doctor', '--datadir', datadir]);
  t.match({ code, stdout }, { code: 0, stdout: /XORed with xor\.dat[\s\S]*6 sealed[\s\S]*nothing is wrong/ });
});

t.test('each thing that is wrong has a name and a way out', async (t) => {
  const blocksDir = join(await sampleDatadir(), 'blocks');
  const blk = sample.subarray(0, offsets[3000]);
  const rev = plainFile(blocksDir, 'rev00000.dat');
  const whole = { 'blk00000.dat': blk, 'rev00000.dat': rev };
  const raw = (name: string) => readFileSync(join(blocksDir, name));

  const cases: [string, string[], string, string?][] = [
    ['no folder', ['problem missing'], tempFolder(t)],
    ['no files', ['problem empty'], datadirOf(t, {})],
    ['another network', ['problem network'], join(datadirOf(t, whole), 'blocks'), 'testnet4'],
    ['files without their key', ['problem xor'], datadirOf(t, { 'blk00000.dat': raw('blk00000.dat') })],
    ['a short key', ['problem xor'], datadirOf(t, { ...whole, 'xor.dat': new Uint8Array(5) })],
    ['no undo file', ['problem undo-missing'], datadirOf(t, { 'blk00000.dat': blk })],
    [
      'a first file that is gone',
      ['problem pruned', 'problem orphans', 'remark skipped-bytes'],
      datadirOf(t, { 'blk00001.dat': sample.subarray(offsets[2000], offsets[3000]) }),
    ],
    [
      'garbage in a file',
      ['remark skipped-bytes'],
      datadirOf(t, {
        ...whole,
        'blk00000.dat': Buffer.concat([
          blk,
          Buffer.alloc(99, 7),
          sample.subarray(offsets[3000], offsets[3001]),
        ]),
      }),
    ],
    [
      'a short chain',
      ['remark not-sealed'],
      datadirOf(t, { ...whole, 'blk00000.dat': sample.subarray(0, offsets[2100]) }),
    ],
    ['files of btcd', ['problem btcd'], datadirOf(t, { '000000000.fdb': blk })],
  ];
  for (const [name, expected, datadir, network = 'mainnet'] of cases) {
    const blocks = network === 'mainnet' ? undefined : datadir;
    const found = await findings(t, datadir, network, blocks);
    const { what } = found;
    t.same(what, expected, name);
    for (const { severity, text, remedies } of found.findings) {
      t.ok(severity === 'remark' || remedies.length > 0, `${name} has a way out: ${text}`);
    }
  }
});

t.test('gaps, old undo data and stale branches are told', async (t) => {
  const blocksDir = join(await sampleDatadir(), 'blocks');
  const old = datadirOf(t, {});
  writeOldPair(blocksDir, join(old, 'blocks'));
  const { what, findings: told } = await findings(t, old);
  t.same(what, ['problem old-undo']);
  t.match(told[0]?.remedies, [/-reindex/, /spent files from the swarm/, /--rewrite-undo/]);
  const gap = datadirOf(t, { 'blk00000.dat': sample.subarray(0, offsets[100]) });
  writeFileSync(join(gap, 'blocks', 'blk00003.dat'), sample.subarray(offsets[100], offsets[200]));
  t.match((await findings(t, gap)).findings[0], {
    what: 'pruned',
    text: /2 block files are missing \(1, 2\)/,
  });
});

t.test('what Core and others wrote', { skip: noSharedData }, async (t) => {
  const blocks = sharedFile('chain-mainnet/nbitcoin');
  t.match((await findings(t, blocks, 'mainnet', blocks)).what, ['problem undo-missing', 'remark not-sealed']);
  const forks = await unpackShared(t, 'acceptance/core-feature_taproot-blocksdir.tar.zst');
  t.match((await findings(t, forks, 'regtest', forks)).what, ['remark stale']);
});

t.test(
  'files that cannot be read are named',
  { skip: process.getuid?.() === 0 && 'root reads all' },
  async (t) => {
    const datadir = tempFolder(t);
    cpSync(await sampleDatadir(), datadir, { recursive: true });
    const path = join(datadir, 'blocks', 'rev00000.dat');
    chmodSync(path, 0);
    t.match((await findings(t, datadir)).findings[0], { what: 'permissions', text: /rev00000\.dat/ });
  },
);
