/** Block files that are damaged under a seed: no peer gets a wrong byte, and what is damaged is fetched again. */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  cpSync,
  openSync,
  readFileSync,
  renameSync,
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
  return startCli(t, ['seed', ...where, '--listen', '127.0.0.1:0', ...quiet, '--json-lines', ...more], {
    timeoutMs: 150_000,
  });
}

function flip(path: string, offset: number): void {
  const byte = readFileSync(path)[offset] ?? 0;
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.from([byte ^ 1]), 0, 1, offset);
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
  timeoutSeconds = 20,
): Promise<Buffer | null> {
  const [, listen = ''] = await seed.printed(/"event":"listening".*"listen":"([^"]+)"/);
  const out = tempFolder(t);
  const peer = ['--peer', listen, ...quiet];
  const args = ['get', infoHash ?? '', '--out', out, '--timeout', `${timeoutSeconds}`, ...peer, '--json'];
  const result = await cli(t, args);
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

t.test(
  'a block file that is cut or another one is not served, and served again when it is right',
  async (t) => {
    const [, second] = await infoHashes(t);
    const at = await place(t);
    const right = regtestBlocksFile(await regtestChain(t), 1);
    const seed = startSeed(t, at);
    await seed.printed(/"event":"ready"/);
    t.ok((await fetched(t, seed, second))?.equals(right));
    const whole = `${at.blockFile}.whole`;
    copyFileSync(at.blockFile, whole);
    const zeros = Buffer.alloc(readFileSync(whole).length);
    const mishaps: readonly [string, () => void][] = [
      ['cut', () => writeFileSync(at.blockFile, readFileSync(whole).subarray(0, 3_000_000))],
      [
        'another of the same size',
        () => {
          writeFileSync(`${at.blockFile}.new`, zeros);
          renameSync(`${at.blockFile}.new`, at.blockFile);
        },
      ],
    ];
    for (const [name, mishap] of mishaps) {
      mishap();
      t.equal(await fetched(t, seed, second, 1), null, name);
      copyFileSync(whole, `${at.blockFile}.new`);
      renameSync(`${at.blockFile}.new`, at.blockFile);
      let isServed = false;
      for (let tries = 0; tries < 10 && !isServed; tries++) {
        isServed = (await fetched(t, seed, second, 2))?.equals(right) ?? false;
      }
      t.ok(isServed, `${name}, and back`);
    }
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
