/** A living regtest node and a seed beside it, in tests of following. */
import { join } from 'node:path';
import type { Test } from 'tap';
import { type Bitcoind, startBitcoind } from './bitcoind.js';
import { cli, cliJson, startCli } from './cli.js';
import type { Program, ProgramOptions } from './program.js';
import { tempFolder } from './temp.js';

export const network = 'regtest';
/** Where regtest's segments end, and how deep they must lie. */
export const [interval, depth] = [144, 144];

export interface Place {
  readonly datadir: string;
  readonly stateDir: string;
}

export function place(t: Test): Place {
  const folder = tempFolder(t);
  return { datadir: folder, stateDir: join(folder, 'blockswarm') };
}

export async function startNode(t: Test, { datadir }: Place): Promise<Bitcoind> {
  const node = await startBitcoind({ datadir, network });
  t.teardown(() => node.stop());
  return node;
}

/** Makes blocks that no other `miner` makes. */
export async function generate(node: Bitcoind, blocks: number, miner = 1): Promise<string> {
  const hashes = (await node.rpc('generatetodescriptor', [blocks, `raw(5${miner})`])) as string[];
  return hashes.at(-1) ?? '';
}

export async function generateTo(node: Bitcoind, height: number, miner = 1): Promise<string> {
  return generate(node, height - Number(await node.rpc('getblockcount')), miner);
}

/** Makes the node leave its chain at a height, and another one up to `height`. */
export async function fork(
  node: Bitcoind,
  forkHeight: number,
  height: number,
  miner: number,
): Promise<string> {
  await node.rpc('invalidateblock', [await node.rpc('getblockhash', [forkHeight + 1])]);
  return generateTo(node, height, miner);
}

const quiet = ['--no-lsd', '--no-port-mapping'];

/** `seed` without a DHT. */
export function seedArgs({ datadir, stateDir }: Place): string[] {
  const where = ['--datadir', datadir, '--network', network, '--state-dir', stateDir];
  return ['seed', ...where, '--listen', '127.0.0.1:0', ...quiet, '--no-trackers', '--json-lines', '--no-dht'];
}

export function startSeed(t: Test, at: Place, options: ProgramOptions = {}): Program {
  return startCli(t, seedArgs(at), options);
}

export interface Segment {
  readonly blocks: { readonly infoHashV1: string; readonly name: string };
  readonly spent: { readonly infoHashV1: string };
}

/** The segments as a program makes them that has never seen the directory before. */
export async function segments(t: Test, { datadir }: Place): Promise<Segment[]> {
  const args = ['segments', '--datadir', datadir, '--network', network];
  return (await cliJson<{ segments: Segment[] }>(t, args)).segments;
}

export const tip = (hash: string) => new RegExp(`"event":"tip","height":\\d+,"hash":"${hash}"`);
export const catalogue = (count: number) =>
  new RegExp(`"event":"catalogue-seeding","segments":${count},`, 'g');
export const seeding = (infoHash: string | undefined) =>
  new RegExp(`"event":"seeding".*"infoHashV1":"${infoHash}"`);

/** Whether the running seed gives a whole torrent to a peer. */
export async function isServed(t: Test, seed: Program, infoHash: string | undefined): Promise<boolean> {
  const [, listen = ''] = await seed.printed(/"event":"listening".*"listen":"([^"]+)"/);
  const peer = ['--peer', listen, '--no-dht', '--no-trackers', ...quiet];
  const args = ['get', infoHash ?? '', '--out', tempFolder(t), '--timeout', '3', ...peer];
  return (await cli(t, args)).code === 0;
}
