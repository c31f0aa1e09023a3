/** A seed beside a living `bitcoind`: what the node writes is seeded, what it takes back is withdrawn, with no restart. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import t from 'tap';
import { privacyOf } from '../../src/connector/privacy.js';
import { formatPeerAddress } from '../../src/connector.js';
import { PeerNode } from '../../src/node/peer-node.js';
import { withoutBitcoind } from '../helpers/bitcoind.js';
import { cliJson, startCli } from '../helpers/cli.js';
import {
  catalogue,
  depth,
  fork,
  generate,
  generateTo,
  interval,
  isServed,
  place,
  seedArgs,
  seeding,
  segments,
  startNode,
  startSeed,
  tip,
} from '../helpers/followed-node.js';

const skip = withoutBitcoind();

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

t.test(
  'what is published under a key is the newest catalogue, as soon as there is one',
  { skip },
  async (t) => {
    const at = place(t);
    const node = await startNode(t, at);
    await generateTo(node, interval - 1 + depth);
    const privacy = privacyOf({ listen: '127.0.0.1:0' }, randomBytes);
    const hub = new PeerNode({ addressLists: null, privacy, peers: [], dht: [] });
    t.teardown(() => hub.close());
    const key = join(at.datadir, 'key');
    await cliJson(t, ['catalogue', 'keygen', key]);
    const dht = ['--dht-bootstrap', formatPeerAddress(hub.address)];
    const publisher = startCli(t, [
      'catalogue',
      'publish',
      '--key',
      key,
      ...seedArgs(at).slice(1, -1),
      ...dht,
    ]);
    const [, first] = await publisher.printed(/"event":"published".*"segments":1,"seq":(\d+),"nodes":[1-9]/);
    await generate(node, interval);
    const [, second] = await publisher.printed(/"event":"published".*"segments":2,"seq":(\d+),"nodes":[1-9]/);
    t.ok(Number(second) > Number(first));
    t.equal((await publisher.stop()).code, 0);
  },
);
