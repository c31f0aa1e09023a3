/** Super seeding between whole nodes (BEP 16). */
import t from 'tap';
import { SimTorrentFile, SimWorld } from './sim-world.js';

const MINUTE_MS = 60_000;
const MEGABYTE = 1_000_000;
const PIECES = 60;
const BLOCKS = 16;

/** One seed and leechers who all know each other; how many torrents the seed had to send. */
function spread(leecherCount: number, superSeeding: boolean, seed = 1) {
  const world = new SimWorld(new SimTorrentFile(PIECES, { blocksPerPiece: BLOCKS }), { seed });
  const source = world.node({ seed: true, rateBytesPerSecond: MEGABYTE, swarm: { superSeeding } });
  const leechers = Array.from({ length: leecherCount }, () => world.node({ rateBytesPerSecond: MEGABYTE }));
  for (const node of leechers) node.meet(source, ...leechers.filter((other) => other !== node));
  const isDone = world.clock.runUntil(() => leechers.every((node) => node.isDone), 30 * MINUTE_MS);
  const copies = source.host.sentBlocks / (PIECES * BLOCKS);
  world.close();
  return { isDone, copies, ms: world.clock.nowMs };
}

for (const count of [2, 5, 12]) {
  t.test(`a super seed sends ${count} leechers little more than one copy`, async (t) => {
    const { isDone, copies } = spread(count, true);
    t.ok(isDone);
    t.ok(copies >= 0.99, 'at least one');
    t.ok(copies < 1.3, `${copies.toFixed(2)} copies`);
    t.comment(`${copies.toFixed(2)} copies; ${spread(count, false).copies.toFixed(2)} without super seeding`);
  });
}

t.test('who is alone gets everything, one piece after the other', async (t) => {
  const { isDone, copies } = spread(1, true);
  t.ok(isDone);
  t.ok(copies < 1.05, `${copies.toFixed(2)} copies`);
});

t.test('one that passes nothing on is shown little, and stops nobody', async (t) => {
  const world = new SimWorld(new SimTorrentFile(40, { blocksPerPiece: BLOCKS }));
  const source = world.node({ seed: true, rateBytesPerSecond: MEGABYTE, swarm: { superSeeding: true } });
  const miser = world.node();
  miser.host.silent = true;
  source.meet(miser);
  const honest = [1, 2, 3].map(() => world.node({ rateBytesPerSecond: MEGABYTE }));
  for (const node of honest) node.meet(source, ...honest.filter((other) => other !== node));
  const isShared = () => honest.some((node) => node.isDone);
  t.ok(world.clock.runUntil(isShared, 30 * MINUTE_MS));
  const given = [...source.swarm.peers.values()].find(
    ({ address }) => address.host === miser.host.address.host,
  );
  const pieces = (given?.uploadedBytes ?? 0) / (BLOCKS * 16_384);
  t.ok(pieces > 0 && pieces < 10, `${pieces.toFixed(1)} of 40 pieces`);
  t.ok(
    world.clock.runUntil(() => miser.isDone, 30 * MINUTE_MS),
    'it gets the rest once others are seeds',
  );
  world.close();
});

t.test('a late comer gets everything when super seeding is over', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20, { blocksPerPiece: BLOCKS }));
  const source = world.node({ seed: true, rateBytesPerSecond: MEGABYTE, swarm: { superSeeding: true } });
  const pair = [1, 2].map(() => world.node());
  for (const node of pair) node.meet(source, ...pair.filter((other) => other !== node));
  t.ok(world.clock.runUntil(() => pair.every((node) => node.isDone), 30 * MINUTE_MS));
  for (const node of pair) node.swarm.close();
  const late = world.node().meet(source);
  t.ok(world.clock.runUntil(() => late.isDone, 30 * MINUTE_MS));
  world.close();
});
