/** What peers say beyond blocks, between whole nodes. */
import t from 'tap';
import { encodePexMessage } from '../../src/wire/pex.js';
import { seededRandom } from './sim-clock.js';
import { type SimNode, SimTorrentFile, SimWorld } from './sim-world.js';

const MINUTE_MS = 60_000;
const MEGABYTE = 1_000_000;

const isLinked = (node: SimNode, other: SimNode) =>
  [...node.swarm.peers.values()].some((peer) => peer.isOpen && peer.address.host === other.host.address.host);

const dialled = (node: SimNode, other: SimNode) =>
  [...node.swarm.peers.values()].some(
    (peer) => !peer.incoming && peer.address.host === other.host.address.host,
  );

t.test('a peer of a peer is met by peer exchange', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20));
  const middle = world.node({ rateBytesPerSecond: MEGABYTE });
  const left = world.node({ rateBytesPerSecond: MEGABYTE }).meet(middle);
  const right = world.node({ rateBytesPerSecond: MEGABYTE }).meet(middle);
  t.ok(world.clock.runUntil(() => isLinked(left, right), MINUTE_MS));
  t.ok(isLinked(right, left));
  world.close();
});

t.test('a whole swarm is met from one address, and finishes', async (t) => {
  const world = new SimWorld(new SimTorrentFile(8));
  const seed = world.node({ seed: true, rateBytesPerSecond: 2 * MEGABYTE });
  const leechers = Array.from({ length: 6 }, () => world.node({ rateBytesPerSecond: MEGABYTE }).meet(seed));
  t.ok(world.clock.runUntil(() => leechers.every((node) => node.isDone), 10 * MINUTE_MS));
  for (const node of leechers) t.ok(node.host.sentBlocks > 0, 'leechers found each other');
  world.close();
});

t.test('who turned peer exchange off tells nobody, and is told of nobody', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20));
  const off = { rateBytesPerSecond: MEGABYTE, session: { pex: false } };
  const on = { rateBytesPerSecond: MEGABYTE };
  for (const [hub, spoke] of [
    [off, on],
    [on, off],
  ]) {
    const middle = world.node(hub);
    const spokes = [world.node(spoke).meet(middle), world.node(spoke).meet(middle)] as const;
    world.clock.run(3 * MINUTE_MS);
    t.ok(spokes.every((node) => isLinked(node, middle)));
    t.notOk(isLinked(...spokes));
  }
  world.close();
});

t.test('a private torrent meets whom the user named or the tracker told, and nobody else', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20));
  const swarm = { private: true };
  const middle = world.node({ rateBytesPerSecond: MEGABYTE, swarm });
  const left = world.node({ rateBytesPerSecond: MEGABYTE, swarm }).meet(middle);
  const right = world.node({ rateBytesPerSecond: MEGABYTE, swarm }).meet(middle);
  world.clock.run(3 * MINUTE_MS);
  t.ok(isLinked(left, middle) && isLinked(right, middle));
  t.notOk(isLinked(left, right));
  for (const source of ['dht', 'pex', 'lsd'] as const) left.swarm.addPeers([right.host.address], source);
  t.equal(left.swarm.status().knownPeers, 1);
  left.swarm.addPeers([right.host.address], 'tracker');
  t.ok(world.clock.runUntil(() => isLinked(left, right), MINUTE_MS));
  for (const { swarm: own } of [left, right]) own.trackerChanged();
  world.clock.run(MINUTE_MS);
  t.notOk(isLinked(left, right), 'another tracker names others');
  t.ok(isLinked(left, middle), 'whom the user named stays');
  world.close();
});

t.test('a magnet link of a private torrent lets go of strangers once that is known', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20));
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const other = world.node({ rateBytesPerSecond: MEGABYTE });
  const leecher = world.node({ magnet: true, isPrivate: true });
  leecher.swarm.addPeers([seed.host.address], 'dht');
  leecher.swarm.addPeers([other.host.address], 'tracker');
  t.ok(world.clock.runUntil(() => leecher.swarm.private, MINUTE_MS));
  world.clock.run(MINUTE_MS);
  t.notOk(dialled(leecher, seed), 'but may be called by them');
  t.ok(dialled(leecher, other));
  world.close();
});

t.test('who lost a piece is not asked for it, and asked again when it is back', async (t) => {
  const world = new SimWorld(new SimTorrentFile(4));
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const leecher = world.node({ swarm: { wanted: [] } }).meet(seed);
  t.ok(world.clock.runUntil(() => isLinked(leecher, seed), MINUTE_MS));
  world.clock.run(1000);
  seed.store.lose(2);
  seed.swarm.recheck();
  world.clock.run(1000);
  const [peer] = leecher.swarm.peers.values();
  t.same(
    [0, 1, 2, 3].map((piece) => peer?.have.has(piece)),
    [true, true, false, true],
  );
  leecher.swarm.want(0, 4);
  world.clock.run(MINUTE_MS);
  t.same([...leecher.pieces].sort(), [0, 1, 3]);
  seed.store.setServable(2);
  seed.swarm.recheck();
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  world.close();
});

t.test('a partial seed tells that it wants nothing, and that it wants again', async (t) => {
  const world = new SimWorld(new SimTorrentFile(6, { blocksPerPiece: 16 }));
  const seed = world.node({ seed: true });
  const partial = world.node({ swarm: { wanted: [{ first: 0, end: 2 }] } }).meet(seed);
  const watcher = world.node({ swarm: { wanted: [] } }).meet(partial);
  const heard = () =>
    [...watcher.swarm.peers.values()].find((peer) => peer.address.host === partial.host.address.host);
  t.ok(world.clock.runUntil(() => partial.isDone, MINUTE_MS));
  t.ok(world.clock.runUntil(() => heard()?.uploadOnly === true, MINUTE_MS));
  partial.swarm.want(0, 6);
  t.ok(world.clock.runUntil(() => heard()?.uploadOnly === false, MINUTE_MS));
  world.close();
});

t.test('two peers behind NATs meet through a third', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20));
  const middle = world.node({ rateBytesPerSecond: MEGABYTE });
  const left = world.node({ rateBytesPerSecond: MEGABYTE, nat: true }).meet(middle);
  const right = world.node({ rateBytesPerSecond: MEGABYTE, nat: true }).meet(middle);
  t.ok(world.clock.runUntil(() => isLinked(left, right), 3 * MINUTE_MS));
  world.clock.run(MINUTE_MS);
  t.ok(isLinked(left, right) && isLinked(right, left), 'and stay connected');
  t.equal(left.swarm.peers.size, 2, 'by one connection');
  world.close();
});

t.test('a flood of made-up addresses stops nobody', async (t) => {
  const world = new SimWorld(new SimTorrentFile(8));
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const liar = world.node();
  const leecher = world.node().meet(liar);
  t.ok(world.clock.runUntil(() => isLinked(leecher, liar), MINUTE_MS));
  world.clock.run(1000);
  const added = Array.from({ length: 100 }, (_, at) => ({
    address: { host: `90.${at}.0.1`, port: 6881 },
    flags: { reachable: true },
  }));
  const [link] = liar.swarm.peers.keys();
  for (let count = 0; count < 4; count++) {
    // Under the id that our own nodes give to peer exchange.
    liar.host.sendExtension(link ?? 0, 2, encodePexMessage({ added, dropped: [] }));
  }
  world.clock.run(1000);
  t.ok(leecher.swarm.status().knownPeers <= 210);
  leecher.meet(seed);
  t.ok(world.clock.runUntil(() => leecher.isDone, 2 * MINUTE_MS));
  world.close();
});

t.test('whatever bytes come as extension messages, nothing throws and nobody else is harmed', async (t) => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const below = (count: number) => Math.floor(random() * count);
    const world = new SimWorld(new SimTorrentFile(2), { seed });
    const source = world.node({ seed: true, rateBytesPerSecond: 4 * MEGABYTE });
    const liar = world.node();
    const leecher = world.node({ magnet: seed % 2 === 0 }).meet(source);
    liar.meet(leecher, source);
    world.clock.run(500);
    const words = [
      'd',
      'l',
      'e',
      'i9e',
      '5:added',
      '6:',
      '1:m',
      '8:msg_type',
      '5:piece',
      'i-1e',
      '13:metadata_size',
    ];
    for (let count = 0; count < 300; count++) {
      const bytes = Uint8Array.from({ length: below(40) }, () => below(256));
      const bencode = Array.from({ length: below(30) }, () => words[below(words.length)]).join('');
      const payload = random() < 0.5 ? bytes : Buffer.from(`d${bencode}`);
      for (const link of liar.swarm.peers.keys()) liar.host.sendExtension(link, below(8), payload);
      world.clock.run(20);
    }
    t.ok(
      world.clock.runUntil(() => leecher.isDone, 2 * MINUTE_MS),
      `seed ${seed}`,
    );
    t.ok(isLinked(leecher, source));
    world.close();
  }
});
