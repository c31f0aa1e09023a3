/** `blockswarm validate`: what it proves, what it refuses, and that it goes on after a kill. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync, statSync, watch, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Validated } from '../../src/node/proof.js';
import { cli, cliJson, startCli, startSeed } from '../helpers/cli.js';
import { recordOffsets, samplePath, sampleTipHeight } from '../helpers/engine.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { noSharedData, sharedFile } from '../helpers/shared-data.js';
import { tempFolder } from '../helpers/temp.js';

const blocks = sampleTipHeight + 1;

/** A run whose data is not valid. */
async function invalid(t: Test, args: readonly string[]): Promise<Validated> {
  const { code, stdout, stderr } = await cli(t, ['validate', ...args, '--json']);
  t.equal(code, 5, stderr);
  return JSON.parse(stdout);
}

t.test('a data directory', async (t) => {
  const datadir = await sampleDatadir();

  await t.test('is proven up to the scripts, and says so in JSON', async (t) => {
    const result = await cliJson<Validated & { schema: number; inputsPerSecond: number }>(t, [
      ...['validate', '--datadir', datadir],
    ]);
    const { seconds, inputsPerSecond, ...rest } = result;
    t.ok(seconds > 0 && inputsPerSecond > 0);
    t.same(rest, {
      schema: 1,
      network: 'mainnet',
      firstHeight: 0,
      endHeight: blocks,
      blocks,
      transactions: 14_247,
      inputs: 865,
      proven: [{ firstHeight: 0, endHeight: blocks, levels: ['chain', 'scripts'] }],
    });
  });

  await t.test('is proven in part, in words, on one thread', async (t) => {
    const args = ['validate', '--datadir', datadir, '--from', '100', '--to', '4999', '--threads', '1'];
    const { code, stdout, stderr } = await cli(t, args);
    t.equal(code, 0);
    t.match(stdout, /: mainnet, blocks 100 to 4999 are valid\n/);
    t.match(
      stdout,
      / {2}proven for blocks 100 to 4999: chain, scripts \(spent outputs not yet proven\)\n {2}4900 blocks, \d+ transactions, \d+ inputs in /,
    );
    t.match(stderr, /warning: the chain has less work than the floor of its network/);
    const chain = await cliJson<Validated>(t, ['validate', '--datadir', datadir, '--prove', 'chain']);
    t.same(chain.proven, [{ firstHeight: 0, endHeight: blocks, levels: ['chain'] }]);
  });

  await t.test("is proven to leave the coins of Core's snapshot", { skip: noSharedData }, async (t) => {
    const archive = sharedFile('chain-mainnet/core-utxo-snapshot-14131.dat.zst');
    const snapshot = join(tempFolder(t), 'utxo.dat');
    writeFileSync(snapshot, execFileSync('zstd', ['-dc', archive], { maxBuffer: 1 << 28 }));
    const args = ['validate', '--datadir', datadir, '--snapshot', snapshot];
    const result = await cliJson<Validated>(t, args);
    t.same(result.proven, [{ firstHeight: 0, endHeight: blocks, levels: ['chain', 'scripts', 'set'] }]);
    const { stdout } = await cli(t, args);
    t.match(stdout, /proven for blocks 0 to 14131: chain, scripts, set\n/);
    const forged = readFileSync(snapshot);
    // The value of the last coin, which has more bytes of script behind it than this.
    forged[forged.length - 40] = (forged[forged.length - 40] ?? 0) ^ 1;
    writeFileSync(snapshot, forged);
    const refused = await cli(t, [...args, '--json']);
    t.equal(refused.code, 5);
  });

  await t.test('is proven while a seed serves it', async (t) => {
    const state = ['--state-dir', tempFolder(t)];
    await startSeed(t, ['--datadir', datadir, '--no-dht', ...state]);
    const { proven } = await cliJson<Validated>(t, ['validate', '--datadir', datadir, ...state]);
    t.equal(proven[0]?.endHeight, blocks);
  });

  await t.test(
    'with a damaged block or record: exit code 5, the lowest height, and whose fault',
    async (t) => {
      const copy = join(tempFolder(t), 'datadir');
      cpSync(datadir, copy, { recursive: true });
      const damage = (name: string, offset: number) => {
        const path = join(copy, 'blocks', name);
        const bytes = readFileSync(path);
        bytes[offset] = (bytes[offset] ?? 0) ^ 1;
        writeFileSync(path, bytes);
      };
      damage('rev00000.dat', 41 * 8000);
      const record = await invalid(t, ['--datadir', copy]);
      t.match(record.failure, { level: 'scripts', blame: 'spent-record', txid: null });
      t.same(record.proven, [
        { firstHeight: 0, endHeight: record.failure?.height, levels: ['chain', 'scripts'] },
      ]);
      // In the coinbase, behind the header.
      damage('blk00000.dat', (recordOffsets(readFileSync(samplePath))[500] ?? 0) + 8 + 80 + 50);
      const block = await invalid(t, ['--datadir', copy]);
      t.match(block.failure, { level: 'chain', height: 500, blame: 'bytes', reason: 'bad-txnmrklroot' });
      const text = await cli(t, ['validate', '--datadir', copy]);
      t.equal(text.code, 5);
      t.match(
        text.stdout,
        /NOT VALID at block \d+: bad-.*\n {2}the bytes are not what the header commits to/,
      );
    },
  );
});

t.test('segment files are proven like the node they came from', async (t) => {
  const { datadir } = await regtestChain(t);
  const folder = join(tempFolder(t), 'segments');
  const node = ['--datadir', datadir, '--network', 'regtest'];
  const { files } = await cliJson<{ files: unknown[] }>(t, ['export', ...node, '--to', folder]);
  t.equal(files.length, 6);
  const whole = await cliJson<Validated>(t, ['validate', ...node, '--to', '431']);
  const args = ['validate', '--segments', folder, '--network', 'regtest'];
  const { seconds, inputsPerSecond, ...same } = await cliJson<Record<string, unknown>>(t, args);
  t.ok(Number(seconds) > 0 && Number(inputsPerSecond) > 0);
  t.match(whole, same);
  t.ok(whole.inputs > 0);
  const spent = join(folder, 'bitcoin-regtest-spent-00001.dat');
  const bytes = readFileSync(spent);
  bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1;
  writeFileSync(spent, bytes);
  const result = await invalid(t, ['--segments', folder, '--network', 'regtest']);
  t.match(result.failure, { height: 287, reason: 'checksum mismatch', blame: 'spent-record' });
});

t.test('segment files without the first are proven under a catalogue', async (t) => {
  const { datadir } = await regtestChain(t);
  const folder = join(tempFolder(t), 'segments');
  const catalogue = join(tempFolder(t), 'catalogue.dat');
  const node = ['--datadir', datadir, '--network', 'regtest'];
  await cliJson(t, ['export', ...node, '--to', folder]);
  await cliJson(t, ['catalogue', 'make', ...node, '--out', catalogue]);
  for (const name of ['blocks-00000', 'spent-00000', 'spent-00002'])
    rmSync(join(folder, `bitcoin-regtest-${name}.dat`));
  const alone = ['validate', '--segments', folder, '--network', 'regtest'];
  const named = [...alone, '--catalogue', catalogue];
  const { proven } = await cliJson<Validated>(t, [...named, '--from', '144', '--to', '287']);
  t.same(proven, [{ firstHeight: 144, endHeight: 288, levels: ['chain', 'scripts'] }]);
  const chain = await cliJson<Validated>(t, [...named, '--from', '144', '--prove', 'chain']);
  t.same(chain.proven, [{ firstHeight: 144, endHeight: 432, levels: ['chain'] }]);
  const cases: [string[], number, RegExp][] = [
    [alone, 3, /has no segment 0, and without it nothing says which chain/],
    [named, 3, /has no segment 0, which holds block 0/],
    [[...named, '--from', '144'], 1, /block 288: its spent file is missing \[ERR_SPENT_MISSING\]/],
  ];
  for (const [args, code, stderr] of cases) t.match(await cli(t, args), { code, stderr });
});

for (const signal of ['SIGKILL', 'SIGINT'] as const) {
  t.test(`after ${signal} a run goes on where it was, and only its user reads what is kept`, async (t) => {
    const { datadir } = await regtestChain(t);
    const state = tempFolder(t);
    const node = ['validate', '--datadir', datadir, '--network', 'regtest'];
    const args = [...node, '--threads', '1', '--state-dir', state];
    const program = startCli(t, args);
    let record = '';
    const watcher = watch(state, { recursive: true }, (_event, name) => {
      const path = join(state, name ?? '');
      if (record !== '' || !path.endsWith('run.redb') || !existsSync(path)) return;
      record = path;
      program.kill(signal);
    });
    const { code, stderr } = await program.finished;
    watcher.close();
    t.not(record, '');
    if (signal === 'SIGINT' && code !== 0) {
      t.equal(code, 7);
      t.match(stderr, /interrupted; what was done is kept/);
    }
    if (existsSync(record)) t.equal(statSync(record).mode & 0o777, 0o600);
    const again = await cliJson<Validated>(t, args);
    const fresh = await cliJson<Validated>(t, node);
    t.same(
      [again.blocks, again.transactions, again.inputs, again.proven],
      [fresh.blocks, fresh.transactions, fresh.inputs, fresh.proven],
    );
    t.notOk(existsSync(record), 'nothing is left of a run that has ended');
  });
}

t.test('what is asked for wrongly is told', async (t) => {
  const datadir = await sampleDatadir();
  const node = ['--datadir', datadir];
  const cases: [string[], RegExp][] = [
    [[], /--datadir DIR, --segments DIR or --catalogue SOURCE/],
    [[...node, '--catalogue', 'c.dat'], /--catalogue is for --segments, or stands alone/],
    [['--segments', datadir, '--catalogue', 'c.dat', '--catalogue', 'd.dat'], /one --catalogue FILE/],
    [['--segments', datadir, '--catalogue', 'rendezvous'], /a catalogue's file, got `rendezvous`/],
    [['--segments', datadir, '--peer', '127.0.0.1:1'], /--peer is for a chain from peers/],
    [[...node, '--scratch-size', '1'], /--scratch-size is for a chain from peers/],
    [[...node, '--no-dht'], /--no-dht is for a chain from peers/],
    [['--catalogue', 'c.dat', '--prove', 'set'], /set takes --hints FILE or --snapshot FILE here/],
    [['--catalogue', 'c.dat', '--sums', 'f'], /--sums is for a chain that is here/],
    [['--catalogue', 'c.dat', '--blocks', 'f'], /--blocks belongs to --datadir/],
    [[...node, '--segments', datadir], /exclude each other/],
    [[...node, '--prove', 'chain,everything'], /some of chain,scripts,set/],
    [[...node, '--prove', 'set', '--from', '7'], /--from-snapshot FILE and --snapshot FILE/],
    [[...node, '--prove', 'scripts', '--hints', 'f'], /belong to --prove set/],
    [[...node, '--hints', 'f', '--snapshot', 'g'], /exclude each other/],
    [[...node, '--from-snapshot', 'f'], /goes with --snapshot/],
    [[...node, '--from', '7', '--to', '6'], /--to 6 is below --from 7/],
    [[...node, '--threads', '0'], /from 1 to 256/],
    [[...node, '--threads', '257'], /from 1 to 256/],
  ];
  for (const [args, text] of cases) {
    const { code, stderr } = await cli(t, ['validate', ...args]);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, text);
  }
  const beyond = await cli(t, ['validate', ...node, '--to', '20000']);
  t.match(beyond, {
    code: 1,
    stderr: /heights 0 to 20001 are not all held: 0 to 14132 are.*ERR_SEGMENT_RANGE/,
  });
  const empty = await cli(t, ['validate', '--segments', tempFolder(t)]);
  t.match(empty, { code: 3, stderr: /holds no blocks file of mainnet/ });
});
