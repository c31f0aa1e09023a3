/** `validate --catalogue`: nothing is here, and the chain is proven while its segments come from peers. */
import { cpSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { networkParams } from '../../src/native.js';
import type { Validated } from '../../src/node/proof.js';
import { cli, cliJson, startCli, startSeed } from '../helpers/cli.js';
import { forgedCatalogue } from '../helpers/forged-spent.js';
import type { Finished } from '../helpers/program.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const { interval } = networkParams('regtest');
const segments = 3;
const blocks = segments * interval;
const network = ['--network', 'regtest'];
const alone = ['--listen', '127.0.0.1:0', '--no-dht', '--no-trackers', '--no-lsd', '--no-port-mapping'];
const all = { firstHeight: 0, endHeight: blocks };

interface Scene {
  readonly datadir: string;
  readonly catalogue: string;
  /** Segment files of all segments. */
  readonly folder: string;
}

/** A node's data directory, and what is made of it. */
async function scene(): Promise<Scene> {
  const { datadir } = await regtestChain(t);
  const folder = tempFolder(t);
  const catalogue = join(tempFolder(t), 'catalogue.dat');
  await cliJson(t, ['export', ...network, '--datadir', datadir, '--to', folder]);
  await cliJson(t, ['catalogue', 'make', ...network, '--datadir', datadir, '--out', catalogue]);
  return { datadir, catalogue, folder };
}

const made = await scene();

/** `host:port` of somebody who has some segments only. */
async function seedOf(t: Test, numbers: readonly number[]): Promise<string> {
  const { folder, catalogue } = made;
  const some = join(tempFolder(t), 'some');
  mkdirSync(some);
  for (const name of readdirSync(folder).filter((name) => numbers.some((n) => name.endsWith(`${n}.dat`))))
    cpSync(join(folder, name), join(some, name));
  const args = ['--segments', some, '--catalogue', catalogue, ...network, '--no-dht', '--no-trackers'];
  return (await startSeed(t, args)).listen;
}

function validate(catalogue: string, peers: readonly string[], more: readonly string[] = []): string[] {
  const named = peers.flatMap((peer) => ['--peer', peer]);
  return ['validate', ...network, '--catalogue', catalogue, ...named, ...alone, ...more];
}

/** The numbers of the segments that a run has told to be valid. */
function judged({ stdout }: Pick<Finished, 'stdout'>): number[] {
  const events = stdout.split('\n').filter((line) => line.includes('"event":"segment"'));
  return events.map((line) => (JSON.parse(line) as { index: number }).index).sort();
}

function resultOf({ stdout, stderr }: Finished): Validated {
  const line = stdout.split('\n').find((each) => each.includes('"event":"result"'));
  if (!line) throw new Error(`no result\n${stdout}${stderr}`);
  return JSON.parse(line);
}

t.test('a chain that comes from a peer', async (t) => {
  const { datadir, catalogue } = made;
  const { listen } = await startSeed(t, [...network, '--datadir', datadir, '--no-dht']);
  const here = await cliJson<Record<string, unknown>>(t, [
    ...['validate', ...network, '--datadir', datadir, '--to', String(blocks - 1)],
  ]);
  const hints = join(tempFolder(t), 'hints.dat');
  const make = ['hints', 'make', ...network, '--datadir', datadir, '--to', String(blocks - 1)];
  await cliJson(t, [...make, '--out', hints]);

  await t.test('is proven as if it were here, in the same form, and nothing of it stays', async (t) => {
    const state = tempFolder(t);
    const result = await cliJson<Record<string, unknown>>(
      t,
      validate(catalogue, [listen], ['--state-dir', state]),
    );
    const figures = ['seconds', 'inputsPerSecond'];
    for (const figure of figures) t.ok(Number(result[figure]) > 0, figure);
    const facts = (of: Record<string, unknown>) =>
      Object.fromEntries(Object.entries(of).filter(([name]) => !figures.includes(name)));
    t.same(facts(result), facts(here));
    t.match(result, { blocks, proven: [{ ...all, levels: ['chain', 'scripts'] }] });
    const left = readdirSync(state, { recursive: true }).map(String);
    t.notOk(
      left.some((name) => /(blocks|spent)-\d+\.dat$|run\.redb$/.test(name)),
      left.join(),
    );
  });

  await t.test('is proven to the coins by hints, a segment at a time', async (t) => {
    const scratch = tempFolder(t);
    const more = ['--hints', hints, '--scratch', scratch, '--scratch-size', '0', '--threads', '1'];
    const { code, stdout, stderr } = await cli(t, validate(catalogue, [listen], more));
    t.equal(code, 0, stderr);
    t.match(stdout, /catalogue\.dat: regtest, blocks 0 to 431 are valid\n/);
    t.match(stdout, /proven for blocks 0 to 431: chain, scripts, set\n/);
    t.same(readdirSync(scratch), []);
  });

  await t.test('is not proven by hints that are of another: exit code 5', async (t) => {
    // No coin is left.
    const others = join(tempFolder(t), 'hints.dat');
    const head = Buffer.from('UTXO\0\0\0\0\0', 'latin1');
    head.writeUInt32LE(blocks - 1, 5);
    writeFileSync(others, Buffer.concat([head, Buffer.alloc(blocks - 1)]));
    const { code, stdout } = await cli(t, [...validate(catalogue, [listen], ['--hints', others]), '--json']);
    t.equal(code, 5);
    const { failure, proven } = JSON.parse(stdout) as Validated;
    t.match(failure, { level: 'set', height: blocks, blame: 'coins' });
    t.same(proven, [{ ...all, levels: ['chain', 'scripts'] }]);
  });

  await t.test('is proven at `chain` level without what it spends', async (t) => {
    const args = validate(catalogue, [listen], ['--prove', 'chain', '--json-lines']);
    const finished = await cli(t, args);
    t.same(resultOf(finished).proven, [{ ...all, levels: ['chain'] }]);
    t.same(judged(finished), [0, 1, 2]);
  });

  await t.test('cannot be proven beyond its catalogue', async (t) => {
    const { code, stderr } = await cli(t, validate(catalogue, [listen], ['--to', '432']));
    t.match(stderr, /heights 0 to 433 are not all held: 0 to 432 are \[ERR_SEGMENT_RANGE\]/);
    t.equal(code, 1);
  });
});

t.test('only segments that hold the heights are fetched', async (t) => {
  const peer = await seedOf(t, [1]);
  const more = ['--from', '150', '--to', '287', '--json'];
  const { code, stdout, stderr } = await cli(t, validate(made.catalogue, [peer], more));
  t.equal(code, 0, stderr);
  const { proven, blocks } = JSON.parse(stdout) as Validated;
  t.same([blocks, proven], [138, [{ firstHeight: 150, endHeight: 288, levels: ['chain', 'scripts'] }]]);
});

t.test('segments that nobody has are waited for, and a later run fetches only these', async (t) => {
  const state = ['--state-dir', tempFolder(t), '--json-lines'];
  const some = await seedOf(t, [0, 2]);
  const first = await cli(t, validate(made.catalogue, [some], ['--timeout', '3', ...state]));
  t.equal(first.code, 4, first.stderr);
  t.match(
    first.stderr,
    /no new piece for 3 s; missing are 1 of the segments, among them bitcoin-regtest-blocks-00001\.dat/,
  );
  t.same(judged(first), [0, 2], 'whichever came first');
  const rest = await seedOf(t, [1]);
  const second = await cli(t, validate(made.catalogue, [rest], state));
  t.equal(second.code, 0, second.stderr);
  t.same(judged(second), [1]);
  t.match(second.stdout, /"event":"resumed","blocks":288/);
  t.match(resultOf(second), { blocks, proven: [{ ...all, levels: ['chain', 'scripts'] }] });
});

for (const signal of ['SIGKILL', 'SIGINT'] as const) {
  t.test(`after ${signal} what was judged is not fetched again, and sums go on`, async (t) => {
    const hints = join(tempFolder(t), 'hints.dat');
    const make = ['hints', 'make', ...network, '--datadir', made.datadir, '--to', String(blocks - 1)];
    await cliJson(t, [...make, '--out', hints]);
    const more = ['--hints', hints, '--state-dir', tempFolder(t), '--json-lines', '--scratch-size', '0'];
    const program = startCli(t, validate(made.catalogue, [await seedOf(t, [0])], more));
    await program.printed(/"event":"segment".*\n/);
    program.kill(signal);
    const { code, stderr } = await program.finished;
    if (signal === 'SIGINT') t.match({ code, stderr }, { code: 7, stderr: /run the same command to go on/ });
    const again = await cli(t, validate(made.catalogue, [await seedOf(t, [1, 2])], more));
    t.equal(again.code, 0, again.stderr);
    t.same(judged(again), [1, 2]);
    t.match(resultOf(again), { blocks, proven: [{ ...all, levels: ['chain', 'scripts', 'set'] }] });
  });
}

t.test('one run at a time has a network', async (t) => {
  const state = ['--state-dir', tempFolder(t)];
  const program = startCli(t, validate(made.catalogue, [], [...state, '--json-lines']));
  await program.printed(/"event":"catalogue"/);
  const { code, stderr } = await cli(t, validate(made.catalogue, [], state));
  t.equal(code, 8);
  t.match(stderr, /ERR_STATE_LOCKED/);
  await program.stop('SIGINT');
});

t.test('a forged spent file', async (t) => {
  const { listen, catalogueInfoHashV1 } = await startSeed(t, [
    ...network,
    '--datadir',
    made.datadir,
    '--no-dht',
  ]);

  await t.test('is found out at its block, and what lies below is proven all the same', async (t) => {
    const { catalogue, peer, height } = await forgedCatalogue(t, made.datadir, 1, 'script');
    const text = await cli(t, validate(catalogue, [listen, peer]));
    t.equal(text.code, 5, text.stderr);
    t.match(text.stdout, new RegExp(`catalogue\\.dat: NOT VALID at block ${height}, transaction `));
    t.match(text.stdout, /the block breaks a rule, if what it spends is as claimed\n/);
    t.match(text.stdout, new RegExp(`proven for blocks 0 to ${height - 1}: chain, scripts `));
    t.match(text.stderr, new RegExp(`block ${height} is not valid`));
  });

  await t.test('is no verdict while another source names another file', async (t) => {
    const { catalogue, peer, height } = await forgedCatalogue(t, made.datadir, 1, 'script');
    // What comes from a file is there first, and used.
    const other = ['--catalogue', catalogueInfoHashV1 ?? ''];
    const { code, stdout, stderr } = await cli(t, validate(catalogue, [listen, peer], other));
    t.equal(code, 0, stderr);
    t.match(
      stderr,
      new RegExp(`block ${height} is not valid as bitcoin-regtest-spent-00001.*Another one is tried`),
    );
    t.match(stdout, /proven for blocks 0 to 431: chain, scripts /);
  });

  await t.test('that is none is the fault of its catalogue, and another one is used', async (t) => {
    const { catalogue, peer } = await forgedCatalogue(t, made.datadir, 1, 'rubbish');
    const state = ['--state-dir', tempFolder(t)];
    const alone = await cli(t, validate(catalogue, [listen, peer], state));
    t.match(alone, { code: 5, stderr: /spent-00001\.dat is no spent file.*ERR_TORRENT_BAD/s });
    const both = validate(catalogue, [listen, peer], ['--catalogue', made.catalogue, ...state, '--json']);
    const { code, stdout, stderr } = await cli(t, both);
    t.equal(code, 0, stderr);
    t.match(JSON.parse(stdout), { blocks, proven: [{ ...all, levels: ['chain', 'scripts'] }] });
    t.ok(existsSync(catalogue));
  });
});
