/** Block files that are damaged under a seed: no peer gets a wrong byte, and what is damaged is fetched again. */
import {
  chmodSync,
  closeSync,
  cpSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cli, cliJson, startCli, startSeed as startReadySeed } from '../helpers/cli.js';
import type { Program } from '../helpers/program.js';
import { regtestBlocksFile, regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const network = 'regtest';
const quiet = ['--no-dht', '--no-lsd', '--no-port-mapping', '--no-trackers'];
/** In the first segment, and in no block's head. */
const damagedOffset = 1_000_000;
const pieceBytes = 4 * 2 ** 20;

interface Place {
  readonly datadir: string;
  readonly stateDir: string;
  readonly blockFile: string;
}

async function place(t: Test): Promise<Place> {
  const { datadir: shared } = await regtestChain(t);
  const datadir = join(tempFolder(t), 'datadir');
  cpSync(shared, datadir, { recursive: true });
  const blockFile = join(datadir, network, 'blocks', 'blk00000.dat');
  return { datadir, stateDir: tempFolder(t), blockFile };
}

function startSeed(t: Test, { datadir, stateDir }: Place, more: readonly string[] = []): Program {
  const where = ['--datadir', datadir, '--network', network, '--state-dir', stateDir];
  return startCli(t, ['seed', ...where, '--listen', '127.0.0.1:0', ...quiet, '--json-lines', ...more]);
}

function flip(path: string, offset: number): void {
  const byte = readFileSync(path)[offset] ?? 0;
  writeOver(path, offset, Buffer.from([byte ^ 1]));
}

function writeOver(path: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

async function infoHashes(t: Test): Promise<string[]> {
  const { datadir } = await regtestChain(t);
  const args = ['segments', '--datadir', datadir, '--network', network];
  const { segments } = await cliJson<{ segments: { blocks: { infoHashV1: string } }[] }>(t, args);
  return segments.map(({ blocks }) => blocks.infoHashV1);
}

/** Fetches a segment's blocks file from a running seed alone; null when it cannot be had. */
async function fetched(
  t: Test,
  seed: Program,
  infoHash: string | undefined,
  timeoutSeconds = 60,
): Promise<Buffer | null> {
  const [, listen = ''] = await seed.printed(/"event":"listening".*"listen":"([^"]+)"/);
  const out = tempFolder(t);
  const peer = ['--peer', listen, ...quiet];
  const args = ['get', infoHash ?? '', '--out', out, '--timeout', `${timeoutSeconds}`, ...peer, '--json'];
  const result = await cli(t, args, { timeoutMs: (timeoutSeconds + 60) * 1000 });
  if (result.code !== 0) return null;
  const { name } = JSON.parse(result.stdout) as { name: string };
  return readFileSync(join(out, name));
}

t.test('a bit that flips while it is served never reaches a peer, and its piece is repaired', async (t) => {
  const chain = await regtestChain(t);
  const [first] = await infoHashes(t);
  const at = await place(t);
  const right = regtestBlocksFile(chain, 0);
  const helper = await startReadySeed(t, ['--datadir', chain.datadir, '--network', network, ...quiet]);
  const seed = startSeed(t, at, ['--peer', helper.listen]);
  await seed.printed(/"event":"ready"/);
  flip(at.blockFile, damagedOffset);
  const damaged = readFileSync(at.blockFile);
  t.ok((await fetched(t, seed, first))?.equals(right), 'the peer gets all of it, and right');
  const [line] = await seed.printed(/.*"event":"damaged".*/);
  t.match(JSON.parse(line), { segment: 0, kind: 'blocks', piece: 0, path: at.blockFile, firstHeight: 0 });
  await seed.printed(/"event":"repaired","segment":0,"kind":"blocks","name":"[^"]+","piece":0/);
  t.equal((await seed.stop()).code, 0);
  t.ok(readFileSync(at.blockFile).equals(damaged), "nothing was written to the node's file");
  await helper.program.stop();

  // The piece is there after a restart, without anybody to ask.
  const again = startSeed(t, at);
  await again.printed(/"event":"segment-state","segment":0,"kind":"blocks".*"state":"assumed"/);
  t.ok((await fetched(t, again, first))?.equals(right));
  t.equal((await again.stop()).code, 0);
});

t.test('without anybody to ask the piece is missing, and everything else is served', async (t) => {
  const [first, second] = await infoHashes(t);
  const at = await place(t);
  const seed = startSeed(t, at, ['--repair', '0']);
  await seed.printed(/"event":"ready"/);
  flip(at.blockFile, damagedOffset);
  t.equal(await fetched(t, seed, first, 2), null);
  await seed.printed(/"event":"segment-state","segment":0,"kind":"blocks".*"state":"partial"/);
  const right = regtestBlocksFile(await regtestChain(t), 1);
  t.ok((await fetched(t, seed, second))?.equals(right));
  t.equal((await seed.stop()).code, 0);
});

/** What `segment-state` said last of a segment's blocks file. */
function lastState(seed: Program, segment: number): { state: string; servablePieces: number } | null {
  const pattern = new RegExp(`^.*"event":"segment-state","segment":${segment},"kind":"blocks".*$`, 'gm');
  const line = seed.stdout.match(pattern)?.at(-1);
  return line === undefined ? null : JSON.parse(line);
}

/** Resolves when a segment is in a state with so many pieces, or when it is hashed. */
async function reaches(seed: Program, segment: number, holds: (pieces: number) => boolean): Promise<void> {
  for (let lines = 0; ; ) {
    const found = lastState(seed, segment);
    if (found && holds(found.servablePieces)) return;
    lines = seed.stdout.split('\n').length;
    await seed.printed(new RegExp(`(?:.*\\n){${lines}}`));
  }
}

t.test(
  'of a block file that is damaged what is left is served, and all of it when it is right',
  async (t) => {
    const chain = await regtestChain(t);
    const [first, second] = await infoHashes(t);
    const right = [0, 1].map((segment) => regtestBlocksFile(chain, segment));
    const at = await place(t);
    const whole = readFileSync(at.blockFile);
    const pieces = right.map(({ length }) => Math.ceil(length / pieceBytes));
    /** In the third piece of the second segment: all three lie in one file, in their order. */
    const cut = (right[0]?.length ?? 0) + 2 * pieceBytes + 1000;
    const exchange = (bytes: Uint8Array) => {
      writeFileSync(`${at.blockFile}.new`, bytes);
      renameSync(`${at.blockFile}.new`, at.blockFile);
    };
    /** Each with the pieces that it leaves of both segments. */
    const mishaps: readonly [string, () => void, readonly number[]][] = [
      ['cut', () => truncateSync(at.blockFile, cut), [pieces[0] ?? 0, 2]],
      ['another of the same size', () => exchange(Buffer.alloc(whole.length)), [0, 0]],
      ['zeroed', () => writeFileSync(at.blockFile, Buffer.alloc(whole.length)), [0, 0]],
      [
        'written over from some place on',
        () => writeOver(at.blockFile, cut, Buffer.alloc(whole.length - cut, 7)),
        [pieces[0] ?? 0, 2],
      ],
    ];
    let seed = startSeed(t, at, ['--repair', '0']);
    await seed.printed(/"event":"ready"/);
    for (const [name, mishap, left] of mishaps) {
      mishap();
      for (const segment of [0, 1]) await reaches(seed, segment, (count) => count === left[segment]);
      const isFirstLeft = left[0] !== 0;
      t.equal(
        (await fetched(t, seed, first, isFirstLeft ? 60 : 1))?.equals(right[0] ?? Buffer.of()) ?? false,
        isFirstLeft,
        name,
      );
      t.equal(await fetched(t, seed, second, 1), null, name);
      t.notMatch(seed.stdout, /"firstWithdrawnSegment":\d/, `${name}: nothing is withdrawn`);
      exchange(whole);
      for (const segment of [0, 1]) await reaches(seed, segment, (count) => count === pieces[segment]);
      t.ok((await fetched(t, seed, second))?.equals(right[1] ?? Buffer.of()), `${name}, and back`);
    }
    // And over a restart.
    truncateSync(at.blockFile, cut);
    await reaches(seed, 1, (count) => count === 2);
    t.equal((await seed.stop()).code, 0);
    seed = startSeed(t, at, ['--repair', '0']);
    await reaches(seed, 1, (count) => count === 2);
    t.ok((await fetched(t, seed, first))?.equals(right[0] ?? Buffer.of()), 'after a restart');
    exchange(whole);
    await reaches(seed, 1, (count) => count === pieces[1]);
    t.ok((await fetched(t, seed, second))?.equals(right[1] ?? Buffer.of()), 'after a restart, and back');
    t.equal((await seed.stop()).code, 0);
  },
);

t.test('a key file that is replaced under a running seed changes nothing that is served', async (t) => {
  const [first] = await infoHashes(t);
  const at = await place(t);
  const right = regtestBlocksFile(await regtestChain(t), 0);
  const keyFile = join(at.datadir, network, 'blocks', 'xor.dat');
  const key = readFileSync(keyFile);
  const seed = startSeed(t, at);
  await seed.printed(/"event":"ready"/);
  chmodSync(keyFile, 0o600);
  writeFileSync(keyFile, Buffer.from([...key].map((byte) => byte ^ 0x55)));
  await seed.printed(/"event":"(?:warning|chain-lost)"/);
  const bytes = await fetched(t, seed, first, 2);
  t.ok(bytes === null || bytes.equals(right), 'right, or not at all');
  writeFileSync(keyFile, key);
  let isServed = false;
  for (let tries = 0; tries < 10 && !isServed; tries++) {
    isServed = (await fetched(t, seed, first, 2))?.equals(right) ?? false;
  }
  t.ok(isServed, 'with the key back it is served');
  t.equal((await seed.stop()).code, 0);
});
