import t from 'tap';
import { SimTorrentFile, SimWorld } from './sim-world.js';

const MINUTE_MS = 60_000;
const MEGABYTE = 1_000_000;

t.test('a v2 torrent without hashes is fetched as they come', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20, { blocksPerPiece: 16 }));
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const leecher = world.node({ lacks: 'all-hashes' }).meet(seed);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.equal(leecher.store.missingHashes(), null);
  const other = world.node({ magnet: true, lacks: 'all-hashes' }).meet(leecher);
  t.ok(
    world.clock.runUntil(() => other.isDone, MINUTE_MS),
    'who fetched them gives them',
  );
});

t.test('a hybrid is fetched at once, and its hashes beside', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20, { blocksPerPiece: 16 }));
  const mute = world.node({ seed: true, hashes: 'refuses', rateBytesPerSecond: MEGABYTE });
  const leecher = world.node({ lacks: 'v2-hashes' }).meet(mute);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.not(leecher.store.missingHashes(), null);
  leecher.meet(world.node({ seed: true }));
  t.ok(world.clock.runUntil(() => leecher.store.missingHashes() === null, MINUTE_MS));
});

t.test('who makes hashes up is banned, who refuses or says nothing is not', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20, { blocksPerPiece: 16 }));
  const liar = world.node({ seed: true, hashes: 'lies' });
  const others = (['refuses', 'ignores'] as const).map((hashes) => world.node({ seed: true, hashes }));
  const leecher = world.node({ lacks: 'all-hashes' }).meet(liar, ...others);
  world.clock.run(MINUTE_MS);
  t.equal(leecher.swarm.status().hadPieces, 0, 'nothing is fetched that nobody can judge');
  const bans = (node: typeof liar) => leecher.session.bans.has(node.host.address, world.clock.nowMs);
  t.ok(bans(liar));
  t.notOk(others.some(bans));
  leecher.meet(world.node({ seed: true }));
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
});

t.test('a liar is found by the leaves before its piece comes right', async (t) => {
  const world = new SimWorld(new SimTorrentFile(1, { blocksPerPiece: 256 }));
  const rateBytesPerSecond = MEGABYTE / 4;
  const seeds = [1, 2].map(() => world.node({ seed: true, rateBytesPerSecond }));
  const liar = world.node({ seed: true, rateBytesPerSecond, corrupts: (_, block) => block % 64 === 7 });
  const leecher = world.node().meet(liar, ...seeds);
  const isBanned = () => leecher.session.bans.has(liar.host.address, world.clock.nowMs);
  t.ok(world.clock.runUntil(isBanned, 5 * MINUTE_MS));
  t.equal(leecher.swarm.status().hadPieces, 0);
  for (const peer of leecher.swarm.peers.values()) {
    t.notOk(peer.onParole, 'nobody else is suspected any more');
  }
  t.ok(world.clock.runUntil(() => leecher.isDone, 5 * MINUTE_MS));
  for (const seed of seeds) t.notOk(leecher.session.bans.has(seed.host.address, world.clock.nowMs));
});

t.test('where nobody gives leaves, smart ban finds the liar', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2, { blocksPerPiece: 64 }));
  const hashes = 'refuses' as const;
  const seed = world.node({ seed: true, hashes, rateBytesPerSecond: MEGABYTE });
  const liar = world.node({ seed: true, hashes, rateBytesPerSecond: MEGABYTE, corrupts: () => true });
  const leecher = world.node().meet(liar, seed);
  t.ok(world.clock.runUntil(() => leecher.isDone, 5 * MINUTE_MS));
  t.ok(leecher.session.bans.has(liar.host.address, world.clock.nowMs));
  t.notOk(leecher.session.bans.has(seed.host.address, world.clock.nowMs));
});
