/** Which segments are fetched to be judged. Nobody has them here. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CatalogueReader } from '../../src/chain/catalogue.js';
import { networkParams, ResumeDb } from '../../src/native.js';
import { ArrivingWindow } from '../../src/node/arriving-window.js';
import { cataloguePeer } from '../helpers/catalogue-peer.js';
import { chainTorrents } from '../helpers/chain-torrents.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const network = networkParams('regtest');
const minutesMs = 60_000;

async function scene(t: Test, scratchBytes: number) {
  const { datadir } = await regtestChain(t);
  const reader = new CatalogueReader(network, Date.now() / 1000);
  reader.push((await chainTorrents(t, 'regtest', datadir)).catalogueBytes);
  reader.finish();
  const folder = tempFolder(t);
  const resumeDb = await ResumeDb.open(join(tempFolder(t), 'resume.redb'));
  const { node: peerNode } = cataloguePeer(t, network, null);
  const stop = new AbortController();
  const failures: unknown[] = [];
  const clock = { nowMs: 0 };
  const window = new ArrivingWindow({
    ...{ network, reader, peerNode, resumeDb, folder, scratchBytes },
    withSpent: true,
    wanted: [0, 1, 2],
    changed: () => {},
    failed: (error) => failures.push(error),
    signal: stop.signal,
    now: () => clock.nowMs,
  });
  const filled = async () => {
    window.fill();
    await window.settled();
    t.same(failures, []);
    return window.open.map(({ index }) => index);
  };
  return { reader, folder, window, clock, filled, stop, failures };
}

t.test('as many are fetched as have room, and at least one', async (t) => {
  const { reader, window, filled } = await scene(t, 0);
  t.same(await filled(), [0]);
  const two = reader.records.slice(1, 3).reduce((sum, record) => sum + window.lengthBytes(record), 0);
  const larger = await scene(t, two);
  t.same(await larger.filled(), [0, 1]);
  await larger.window.drop((index) => index === 0);
  t.same(await larger.filled(), [1, 2]);
});

t.test('one that nobody gives makes room for others, and comes again behind them', async (t) => {
  const { folder, window, clock, filled } = await scene(t, 0);
  t.same(await filled(), [0]);
  clock.nowMs += minutesMs;
  t.same(await filled(), [0], 'it is waited for');
  for (const [index, wanted] of [
    [1, [1, 2, 0]],
    [2, [2, 0, 1]],
    [0, [0, 1, 2]],
  ] as const) {
    clock.nowMs += 3 * minutesMs;
    t.same(await filled(), [index]);
    t.same(window.wanted, wanted);
    const names = readdirSync(folder).sort();
    t.same(names, [`bitcoin-regtest-blocks-0000${index}.dat`, `bitcoin-regtest-spent-0000${index}.dat`]);
  }
});

t.test('what is done, or not needed any more, is let go of', async (t) => {
  const { folder, window, filled, stop, failures } = await scene(t, 2 ** 40);
  t.same(await filled(), [0, 1, 2]);
  await window.drop((index) => index >= 1);
  t.same([window.wanted, window.open.map(({ index }) => index)], [[0], [0]]);
  t.notOk(existsSync(join(folder, 'bitcoin-regtest-blocks-00001.dat')));
  await window.drop(() => true);
  t.same([window.wanted, readdirSync(folder)], [[], []]);
  stop.abort();
  window.fill();
  await window.settled();
  t.equal(failures.length, 1, 'nothing is begun after the end');
});
