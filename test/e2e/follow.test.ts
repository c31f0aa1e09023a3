/** A seed beside a living `bitcoind`: what the node writes is seeded, what it takes back is withdrawn, with no restart. */
import { renameSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Bitcoind, startBitcoind, withoutBitcoind } from '../helpers/bitcoind.js';
import { cli, cliJson, startCli } from '../helpers/cli.js';
import type { Program } from '../helpers/program.js';
import { tempFolder } from '../helpers/temp.js';

const skip = withoutBitcoind();
const network = 'regtest';
/** Where regtest's segments end, and how deep they must lie. */
const [interval, depth] = [144, 144];

interface Place {
  readonly datadir: string;
  readonly stateDir: string;
}

function place(t: Test): Place {
  const folder = tempFolder(t);
  return { datadir: folder, stateDir: join(folder, 'blockswarm') };
}

async function startNode(t: Test, { datadir }: Place): Promise<Bitcoind> {
  const node = await startBitcoind({ datadir, network });
  t.teardown(() => node.stop());
  return node;
}

/** Makes blocks that no other `miner` makes. */
async function generate(node: Bitcoind, blocks: number, miner = 1): Promise<string> {
  const hashes = (await node.rpc('generatetodescriptor', [blocks, `raw(5${miner})`])) as string[];
  return hashes.at(-1) ?? '';
}

async function generateTo(node: Bitcoind, height: number, miner = 1): Promise<string> {
  return generate(node, height - Number(await node.rpc('getblockcount')), miner);
}

/** Makes the node leave its chain at a height, and another one up to `height`. */
async function fork(node: Bitcoind, forkHeight: number, height: number, miner: number): Promise<string> {
  await node.rpc('invalidateblock', [await node.rpc('getblockhash', [forkHeight + 1])]);
  return generateTo(node, height, miner);
}

const quiet = ['--no-dht', '--no-lsd', '--no-port-mapping'];

function startSeed(t: Test, { datadir, stateDir }: Place): Program {
  const where = ['--datadir', datadir, '--network', network, '--state-dir', stateDir];
  return startCli(t, ['seed', ...where, '--listen', '127.0.0.1:0', ...quiet, '--json-lines']);
}

interface Segment {
  readonly blocks: { readonly infoHashV1: string; readonly name: string };
  readonly spent: { readonly infoHashV1: string };
}

/** The segments as a program makes them that has never seen the directory before. */
async function segments(t: Test, { datadir }: Place): Promise<Segment[]> {
  const args = ['segments', '--datadir', datadir, '--network', network];
  return (await cliJson<{ segments: Segment[] }>(t, args)).segments;
}

const tip = (hash: string) => new RegExp(`"event":"tip","height":\\d+,"hash":"${hash}"`);
const catalogue = (count: number) => new RegExp(`"event":"catalogue-seeding","segments":${count},`, 'g');
const seeding = (infoHash: string | undefined) => new RegExp(`"event":"seeding".*"infoHashV1":"${infoHash}"`);

/** Whether the running seed gives a whole torrent to a peer. */
async function isServed(t: Test, seed: Program, infoHash: string | undefined): Promise<boolean> {
  const [, listen = ''] = await seed.printed(/"event":"listening".*"listen":"([^"]+)"/);
  const peer = ['--peer', listen, '--no-trackers', ...quiet];
  const args = ['get', infoHash ?? '', '--out', tempFolder(t), '--timeout', '3', ...peer];
  return (await cli(t, args)).code === 0;
}

t.test('a segment is sealed, served and named by a catalogue while the node goes on', { skip }, async (t) => {
  const at = place(t);
  const node = await startNode(t, at);
  await generateTo(node, interval - 1 + depth - 1);
  const seed = startSeed(t, at);
  await seed.printed(/"event":"ready".*"torrents":0/);
  await seed.printed(tip(await generate(node, 1)));
  await seed.printed(catalogue(1));
  await seed.printed(tip(await generateTo(node, 2 * interval - 1 + depth)));
  const [, newest] = await seed.printed(/"event":"catalogue-seeding","segments":2,.*"infoHashV1":"(\w+)"/);
  const made = await segments(t, at);
  t.equal(made.length, 2);
  for (const { blocks, spent } of made) {
    await seed.printed(seeding(blocks.infoHashV1));
    await seed.printed(seeding(spent.infoHashV1));
  }
  t.ok(await isServed(t, seed, made[1]?.blocks.infoHashV1), 'a peer gets the new segment');
  t.ok(await isServed(t, seed, newest), 'and the new catalogue');
  t.equal((await seed.stop()).code, 0);
});

t.test('a deep reorganisation withdraws what left the chain and seals the other', { skip }, async (t) => {
  const at = place(t);
  const node = await startNode(t, at);
  await generateTo(node, 2 * interval - 1 + depth);
  const seed = startSeed(t, at);
  await seed.printed(/"event":"ready"/);
  const before = await segments(t, at);

  const top = await fork(node, 429, 432, 2);
  await seed.printed(tip(top));
  t.match(
    seed.stdout,
    /"event":"reorganisation","depth":2,"depthIsExact":true,"forkHeight":429,.*"firstWithdrawnSegment":null/,
    'at the tip nothing sealed changes',
  );
  await node.rpc('reconsiderblock', [await node.rpc('getblockhash', [430])]);

  const deep = await fork(node, 199, 440, 3);
  const [text = ''] = await seed.printed(/"event":"reorganisation","depth":233,.*/);
  t.match(JSON.parse(`{${text}`), {
    forkHeight: 199,
    before: { height: 432, hash: top },
    tip: { hash: /^[0-9a-f]{64}$/ },
    firstWithdrawnSegment: 1,
    withdrawnTorrents: 2,
  });
  await seed.printed(tip(deep));
  await seed.printed(
    /"event":"warning","message":"a reorganisation 233 blocks deep: [^"]*; segments from 1 on are not served any more"/,
  );
  const after = await segments(t, at);
  t.equal(after[0]?.blocks.infoHashV1, before[0]?.blocks.infoHashV1);
  t.not(after[1]?.blocks.infoHashV1, before[1]?.blocks.infoHashV1);
  await seed.printed(seeding(after[1]?.spent.infoHashV1));
  t.ok(await isServed(t, seed, after[1]?.blocks.infoHashV1), 'the other segment is served');
  t.notOk(await isServed(t, seed, before[1]?.blocks.infoHashV1), 'that which left is not');
  t.ok(await isServed(t, seed, before[0]?.blocks.infoHashV1), 'that below the fork still is');
  t.equal([...seed.stdout.matchAll(catalogue(2))].length, 2, 'the catalogue is made anew');

  // The old branch is valid again, and has less work.
  await node.rpc('reconsiderblock', [before[1] && (await node.rpc('getblockhash', [200]))]);
  await seed.printed(tip(await generate(node, 1, 3)));
  t.equal([...seed.stdout.matchAll(/"event":"reorganisation"/g)].length, 2);
  t.equal((await seed.stop()).code, 0);
});

t.test('a node that is killed forgets blocks; what it makes instead is followed', { skip }, async (t) => {
  const at = place(t);
  const node = await startNode(t, at);
  await generateTo(node, interval - 1 + depth);
  const seed = startSeed(t, at);
  await seed.printed(catalogue(1));
  await node.kill();
  const again = await startNode(t, at);
  const forgotten = Number(await again.rpc('getblockcount')) < interval - 1 + depth;
  const top = await generateTo(again, interval + depth + 10, 2);
  await seed.printed(tip(top));
  const [made] = await segments(t, at);
  await seed.printed(seeding(made?.spent.infoHashV1));
  t.ok(await isServed(t, seed, made?.blocks.infoHashV1));
  t.equal(
    /"event":"(?:chain-lost|reorganisation)"/.test(seed.stdout),
    forgotten,
    'and it is told when it did',
  );
  t.equal((await seed.stop()).code, 0);
});

t.test(
  'a seed that is killed at any point goes on where it was, also past a reorganisation',
  { skip },
  async (t) => {
    const at = place(t);
    const node = await startNode(t, at);
    await generateTo(node, 2 * interval - 1 + depth);
    for (const sign of [
      /"event":"listening"/,
      /"event":"seeding"/,
      /"event":"catalogue-seeding"/,
      /"event":"ready"/,
    ]) {
      const seed = startSeed(t, at);
      await seed.printed(sign);
      await seed.stop('SIGKILL');
    }
    const made = await segments(t, at);
    await fork(node, 150, 440, 2);
    const seed = startSeed(t, at);
    const [text = ''] = await seed.printed(/"event":"reorganisation".*/);
    t.match(JSON.parse(`{${text}`), {
      before: { height: 431 },
      tip: { height: 440 },
      firstWithdrawnSegment: 1,
    });
    await seed.printed(/"event":"ready".*"torrents":6/);
    t.ok(seeding(made[0]?.blocks.infoHashV1).test(seed.stdout));
    t.notOk(seeding(made[1]?.blocks.infoHashV1).test(seed.stdout));
    t.equal((await seed.stop()).code, 0);
  },
);

t.test('block files that vanish are told of, and followed again when they are back', { skip }, async (t) => {
  const at = place(t);
  const node = await startNode(t, at);
  await generateTo(node, interval - 1 + depth);
  const seed = startSeed(t, at);
  await seed.printed(catalogue(1));
  await node.stop();
  const blocks = join(at.datadir, network, 'blocks');
  renameSync(blocks, `${blocks}-away`);
  await seed.printed(/"event":"warning","message":"the block files cannot be looked at: /);
  renameSync(`${blocks}-away`, blocks);
  await seed.printed(/"event":"recovered"/);
  const again = await startNode(t, at);
  await seed.printed(tip(await generate(again, 3)));
  const [made] = await segments(t, at);
  t.ok(await isServed(t, seed, made?.blocks.infoHashV1), 'what was served still is');
  t.equal((await seed.stop()).code, 0);
});
