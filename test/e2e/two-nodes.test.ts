/**
 * One chain in the directories of two nodes: one synced over the network and its files XORed, one fed from a file in
 * another order and its files plain. Their torrents are the same.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Bitcoind, startBitcoind, withoutBitcoind } from '../helpers/bitcoind.js';
import { cliJson } from '../helpers/cli.js';
import { recordOffsets } from '../helpers/engine.js';
import { freePort } from '../helpers/free-port.js';
import { type RegtestChain, regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const network = 'regtest';

interface Torrent {
  readonly infoHashV1: string;
  readonly infoHashV2: string;
}

interface Segments {
  readonly segments: readonly { readonly blocks: Torrent; readonly spent: Torrent }[];
}

/** The infohashes of every segment: blocks file, spent file, in turn. */
async function infoHashes(t: Test, datadir: string): Promise<string[]> {
  const { segments } = await cliJson<Segments>(t, ['segments', '--datadir', datadir, '--network', network]);
  const torrents = segments.flatMap(({ blocks, spent }) => [blocks, spent]);
  return torrents.flatMap(({ infoHashV1, infoHashV2 }) => [infoHashV1, infoHashV2]);
}

async function node(t: Test, datadir: string, ...args: string[]): Promise<Bitcoind> {
  const started = await startBitcoind({ datadir, network, args });
  t.teardown(() => started.stop());
  return started;
}

/** Until a node's chain has so many blocks on genesis; a minute at most. */
async function reaches(node: Bitcoind, height: number): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (let at = 0; at < height; at = Number(await node.rpc('getblockcount'))) {
    if (Date.now() > deadline) throw new Error(`still at height ${at} of ${height}`);
    await node.rpc('waitforblockheight', [height, 1000]);
  }
}

/** All records but the last so that blocks come before their parents, as in a download from many peers. */
function shuffled(chain: RegtestChain, path: string): { headers: Buffer[]; height: number } {
  const bytes = readFileSync(chain.recordsPath);
  const offsets = recordOffsets(bytes);
  const records = offsets.slice(0, -1).map((offset, i) => bytes.subarray(offset, offsets[i + 1]));
  const mixed: Buffer[] = [];
  for (let at = 0; at < records.length; at += 24) mixed.push(...records.slice(at, at + 24).reverse());
  writeFileSync(path, Buffer.concat(mixed));
  return { headers: records.map((record) => record.subarray(8, 88)), height: records.length - 1 };
}

t.test('two nodes with one chain give the same torrents', { skip: withoutBitcoind() }, async (t) => {
  const chain = await regtestChain(t);
  const folder = tempFolder(t);
  const file = join(folder, 'shuffled.dat');
  const { headers, height } = shuffled(chain, file);

  const [first, synced, loaded] = [tempFolder(t), tempFolder(t), tempFolder(t)];
  const port = await freePort();
  const listens = ['-networkactive=1', '-listen=1', `-bind=127.0.0.1:${port}`, '-listenonion=0'];
  const giver = await node(
    t,
    first,
    ...listens,
    '-discover=0',
    '-dnsseed=0',
    `-loadblock=${chain.recordsPath}`,
  );
  await reaches(giver, height);
  const connects = ['-networkactive=1', `-connect=127.0.0.1:${port}`, '-dnsseed=0', '-blocksxor=1'];
  const taker = await node(t, synced, ...connects);
  await reaches(taker, height);
  await taker.stop();
  await giver.stop();

  // A node that has the headers takes blocks in any order.
  const knower = await node(t, loaded, '-blocksxor=0');
  for (const header of headers.slice(1)) await knower.rpc('submitheader', [header.toString('hex')]);
  await knower.stop();
  const importer = await node(t, loaded, '-blocksxor=0', `-loadblock=${file}`);
  await reaches(importer, height);
  await importer.stop();

  const blocks = (datadir: string, name: string) => readFileSync(join(datadir, network, 'blocks', name));
  t.notSame(blocks(synced, 'xor.dat'), Buffer.alloc(8), 'the files of one are XORed');
  t.same(blocks(loaded, 'xor.dat'), Buffer.alloc(8), 'those of the other are not');
  const order = recordOffsets(readFileSync(file)).length;
  t.equal(order, height + 2);
  t.notSame(
    blocks(loaded, 'blk00000.dat').subarray(0, 4096),
    readFileSync(chain.recordsPath).subarray(0, 4096),
    'and in another order',
  );
  const expected = await infoHashes(t, chain.datadir);
  t.equal(new Set(expected).size, 3 * 4, 'three segments of two files, with two infohashes each');
  t.same(await infoHashes(t, synced), expected, 'synced over the network');
  t.same(await infoHashes(t, loaded), expected, 'fed from a file');
});
