import t from 'tap';
import { seededRandom } from './sim-clock.js';
import { flood } from './sim-hostile.js';
import { SimStore } from './sim-store.js';
import { type SimNode, SimTorrentFile, SimWorld } from './sim-world.js';

const MINUTE_MS = 60_000;
const MEGABYTE = 1_000_000;

t.test('one seed feeds five leechers, who trade among themselves', async (t) => {
  const world = new SimWorld(new SimTorrentFile(12));
  const seed = world.node({ seed: true, rateBytesPerSecond: 5 * MEGABYTE });
  const leechers = Array.from({ length: 5 }, () => world.node({ rateBytesPerSecond: 5 * MEGABYTE }));
  for (const node of leechers) node.meet(seed, ...leechers.filter((other) => other !== node));
  t.ok(world.clock.runUntil(() => leechers.every((node) => node.isDone), 10 * MINUTE_MS));
  for (const node of leechers) {
    t.ok(node.store.complete);
    t.equal(node.completions, 1);
    t.same(
      [...node.pieces].sort((a, b) => a - b),
      [...Array(12).keys()],
    );
  }
  t.ok(
    leechers.some((node) => node.host.sentBlocks > 0),
    'leechers upload as well',
  );
  const sent = world.nodes.reduce((blocks, node) => blocks + node.host.sentBlocks, 0);
  t.ok(sent < 5 * 12 * 256 * 1.05, `${sent} blocks were sent for 15360`);
  t.ok(seed.host.sentBlocks < 5 * 12 * 256 * 0.8, `the seed alone sent ${seed.host.sentBlocks} blocks`);
  world.close();
  world.clock.run(MINUTE_MS);
  t.equal(world.clock.plansLeft, 0, 'nothing is planned any more');
  t.equal(seed.host.openLinks, 0);
});

t.test('a single piece is fetched from several peers at once', async (t) => {
  const world = new SimWorld(new SimTorrentFile(1));
  const seeds = Array.from({ length: 4 }, () => world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
  const leecher = world.node().meet(...seeds);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  for (const seed of seeds) t.ok(seed.host.sentBlocks > 0);
  t.ok(world.clock.nowMs < 3500, `took ${world.clock.nowMs} ms, alone it would be 4200`);
});

t.test('a corrupting peer is found and banned, and the download completes', async (t) => {
  const world = new SimWorld(new SimTorrentFile(8));
  const good = [1, 2].map(() => world.node({ seed: true, rateBytesPerSecond: 2 * MEGABYTE }));
  const liar = world.node({
    seed: true,
    rateBytesPerSecond: 2 * MEGABYTE,
    corrupts: (_, block) => block % 50 === 7,
  });
  const leecher = world.node().meet(liar, ...good);
  t.ok(world.clock.runUntil(() => leecher.isDone, 5 * MINUTE_MS));
  t.ok(leecher.store.complete);
  t.ok(leecher.session.bans.has(liar.host.address, world.clock.nowMs));
  for (const node of good) t.notOk(leecher.session.bans.has(node.host.address, world.clock.nowMs));
  world.clock.run(MINUTE_MS);
  t.equal(liar.host.openLinks, 0, 'it is not dialled again');
});

t.test('only liars: all are banned and nothing bad is kept', async (t) => {
  const world = new SimWorld(new SimTorrentFile(4));
  const liars = [1, 2, 3].map(() => world.node({ seed: true, corrupts: () => true }));
  const leecher = world.node().meet(...liars);
  world.clock.run(5 * MINUTE_MS);
  t.equal(leecher.swarm.status().hadPieces, 0);
  for (const liar of liars) t.ok(leecher.session.bans.has(liar.host.address, world.clock.nowMs));
  const good = world.node({ seed: true });
  leecher.meet(good);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
});

t.test('a peer that dies in the middle of a piece loses nothing', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const mortal = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const leecher = world.node().meet(mortal);
  world.clock.runUntil(() => mortal.host.sentBlocks >= 100, MINUTE_MS);
  mortal.host.die();
  const heir = world.node({ seed: true });
  leecher.meet(heir);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.ok(
    heir.host.sentBlocks <= 512 - 90,
    `blocks in hand are not fetched again (${heir.host.sentBlocks} sent)`,
  );
});

t.test('a silent peer is snubbed and others take over', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const mute = world.node({ seed: true });
  mute.host.silent = true;
  const leecher = world.node().meet(mute);
  world.clock.run(5000);
  const good = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  leecher.meet(good);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.equal(mute.host.sentBlocks, 0);
});

t.test('a peer that stays silent is let go, and asked again when it wakes up', async (t) => {
  const world = new SimWorld(new SimTorrentFile(1));
  const mute = world.node({ seed: true });
  mute.host.silent = true;
  const leecher = world.node().meet(mute);
  world.clock.runUntil(() => leecher.swarm.peers.size === 0, 10 * MINUTE_MS);
  t.equal(leecher.swarm.peers.size, 0);
  mute.host.silent = false;
  t.ok(world.clock.runUntil(() => leecher.isDone, 10 * MINUTE_MS));
});

t.test('with an infohash only, the info dictionary is fetched first', async (t) => {
  const infoBytes = new Uint8Array(50_000).map((_, at) => at * 7);
  const world = new SimWorld(new SimTorrentFile(3, { infoBytes }));
  const seed = world.node({ seed: true });
  const got: Uint8Array[] = [];
  const leecher = world.node({ magnet: true, events: { metadata: (bytes) => got.push(bytes) } });
  t.equal(leecher.swarm.state, 'metadata');
  leecher.meet(seed);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.equal(got.length, 1);
  t.same(got[0], infoBytes);
  const other = world.node({ magnet: true }).meet(leecher);
  t.ok(
    world.clock.runUntil(() => other.isDone, MINUTE_MS),
    'who fetched it serves it',
  );
});

t.test('a false info dictionary costs its sender the connection', async (t) => {
  const file = new SimTorrentFile(1);
  const world = new SimWorld(file);
  const liar = world.node({ seed: true, swarm: { infoBytes: new Uint8Array(1000) } });
  const leecher = world.node({ magnet: true }).meet(liar);
  world.clock.run(MINUTE_MS);
  t.equal(leecher.swarm.state, 'metadata');
  t.ok(leecher.session.bans.has(liar.host.address, world.clock.nowMs));
  leecher.meet(world.node({ seed: true }));
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
});

t.test('upload slots of a seed rotate when more peers want than there are slots', async (t) => {
  const world = new SimWorld(new SimTorrentFile(400, { blocksPerPiece: 16 }));
  const choker = { slots: 2, quotaMs: 10_000, quotaBytes: MEGABYTE };
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE, session: { choker } });
  const leechers = Array.from({ length: 6 }, () => world.node().meet(seed));
  let most = 0;
  world.clock.runUntil(() => {
    const unchoked = [...seed.swarm.peers.values()].filter((peer) => peer.unchoked).length;
    most = Math.max(most, unchoked);
    return false;
  }, 2 * MINUTE_MS);
  t.equal(most, 2);
  for (const node of leechers) t.ok(node.swarm.status().hadPieces > 0, 'everybody gets a share');
});

t.test('seeds leave each other after a while', async (t) => {
  const world = new SimWorld(new SimTorrentFile(1));
  const seed = world.node({ seed: true });
  const leecher = world.node().meet(seed);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.equal(leecher.swarm.peers.size, 1);
  world.clock.run(MINUTE_MS);
  t.equal(leecher.swarm.peers.size, 0);
  t.equal(seed.swarm.peers.size, 0);
  world.clock.run(10 * MINUTE_MS);
  t.equal(leecher.swarm.peers.size, 0);
});

t.test('only wanted pieces are fetched, and more when more are wanted', async (t) => {
  const world = new SimWorld(new SimTorrentFile(6, { blocksPerPiece: 64 }));
  const seed = world.node({ seed: true });
  const leecher = world.node({ swarm: { wanted: [{ first: 1, end: 3 }] } }).meet(seed);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.same([...leecher.pieces].sort(), [1, 2]);
  leecher.swarm.want(5, 6);
  t.equal(leecher.swarm.state, 'fetching');
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.same([...leecher.pieces].sort(), [1, 2, 5]);
  t.equal(leecher.completions, 2);
});

t.test('sequential order brings pieces nearly in order', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20, { blocksPerPiece: 64 }));
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const leecher = world.node({ swarm: { order: 'sequential' } }).meet(seed);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.same(leecher.pieces, [...Array(20).keys()]);
});

t.test('a full disk is reported, and the download goes on when there is room', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const faults: string[] = [];
  const leecher = world.node({ events: { ioError: (message) => faults.push(message) } });
  leecher.store.diskFull = true;
  leecher.meet(world.node({ seed: true }));
  world.clock.run(MINUTE_MS);
  t.ok(faults.length >= 1 && faults.length <= 8, `${faults.length} reports in a minute`);
  t.match(faults[0], /no space/);
  leecher.store.diskFull = false;
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
});

t.test('when the host has no memory for pieces, fetching waits and goes on', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const leecher = world.node();
  leecher.host.noMemory = true;
  leecher.meet(world.node({ seed: true }));
  world.clock.run(MINUTE_MS);
  t.equal(leecher.swarm.status().downloadedBytes, 0);
  leecher.host.noMemory = false;
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
});

t.test('two nodes that dial each other keep one connection', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const leecher = world.node();
  seed.meet(leecher);
  leecher.meet(seed);
  world.clock.run(2000);
  t.equal(seed.swarm.peers.size, 1);
  t.equal(leecher.swarm.peers.size, 1);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
});

t.test('an incoming connection for an unknown torrent is refused', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const seed = world.node({ seed: true });
  const stray = world.node({ file: new SimTorrentFile(3) }).meet(seed);
  world.clock.run(10 * MINUTE_MS);
  t.equal(stray.swarm.peers.size, 0);
  t.equal(seed.session.linkCount, 0);
  t.equal(seed.host.openLinks, 0);
});

t.test('a connection over the limit is refused', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const seed = world.node({ seed: true, session: { limits: { links: 1 } }, rateBytesPerSecond: MEGABYTE });
  const first = world.node().meet(seed);
  world.clock.run(1000);
  const second = world.node().meet(seed);
  world.clock.run(1000);
  t.equal(first.swarm.peers.size, 1);
  t.equal(second.swarm.peers.size, 0);
  t.ok(
    world.clock.runUntil(() => second.isDone, 10 * MINUTE_MS),
    'it tries again and gets in later',
  );
});

t.test('a full torrent lets newcomers in for those of no use, few at a time', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2, { blocksPerPiece: 64 }));
  // They want what nobody here has.
  const idle = () => world.node({ swarm: { wanted: [{ first: 1, end: 2 }] } }).meet(host);
  const host = world.node({ swarm: { maxLinks: 10, wanted: [{ first: 0, end: 1 }] } });
  for (let n = 0; n < 10; n++) idle();
  world.clock.run(2 * MINUTE_MS);
  t.equal(host.swarm.peers.size, 10);
  const late = [1, 2, 3].map(idle);
  world.clock.run(20_000);
  t.equal(late.filter((node) => node.swarm.peers.size > 0).length, 1, 'one at first');
  t.equal(host.swarm.peers.size, 10);
  const seed = world.node({ seed: true });
  host.meet(seed);
  t.ok(
    world.clock.runUntil(() => host.isDone, 6 * MINUTE_MS),
    'one more 5 minutes later',
  );
});

t.test('a useless connection makes room when somebody else may be dialled', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2, { blocksPerPiece: 16 }));
  const poor = [1, 2, 3, 4].map(() => world.node());
  const leecher = world.node({ swarm: { maxLinks: 4 } }).meet(...poor);
  world.clock.run(10_000);
  t.equal(leecher.swarm.peers.size, 4);
  leecher.meet(world.node({ seed: true }));
  t.ok(world.clock.runUntil(() => leecher.isDone, 3 * MINUTE_MS));
});

t.test('an address that is dead for one torrent is not dialled for all others', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const dead = { host: '10.9.9.9', port: 6881 };
  const node = world.node();
  const swarms = [1, 2, 3, 4, 5, 6, 7, 8].map((n) => {
    const { infoHashV2, infoBytes, shape } = new SimTorrentFile(n + 10);
    const content = { store: new SimStore(shape), ...shape };
    return node.session.add({ infoHashV1: null, infoHashV2, infoBytes, content });
  });
  let dials = 0;
  const { connect } = node.host;
  node.host.connect = (...args) => {
    dials++;
    return connect.apply(node.host, args);
  };
  for (const [at, swarm] of swarms.entries()) world.clock.after(at * 100, () => swarm.addPeers([dead]));
  world.clock.run(MINUTE_MS);
  t.ok(dials <= 12, `${dials} dials, each torrent for itself would make more than 30`);
});

t.test('a slow peer does not hold up the others', async (t) => {
  const world = new SimWorld(new SimTorrentFile(8, { blocksPerPiece: 64 }));
  const slow = world.node({ seed: true, rateBytesPerSecond: 5000 });
  const leecher = world.node().meet(slow);
  world.clock.run(3000);
  leecher.meet(world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
  const fromMs = world.clock.nowMs;
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  const tookMs = world.clock.nowMs - fromMs;
  t.ok(tookMs < 10_500, `took ${tookMs} ms, 8400 without the slow one`);
  t.ok(leecher.store.duplicateBlocks <= 70, `${leecher.store.duplicateBlocks} blocks came twice`);
});

t.test('a peer far away is asked for enough to fill its line', async (t) => {
  const world = new SimWorld(new SimTorrentFile(20), { latencyMs: 250 });
  const leecher = world.node().meet(world.node({ seed: true, rateBytesPerSecond: 4 * MEGABYTE }));
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  // 84 MB in 21 s, and the sim's 128 requests in flight for a round trip of 500 ms make 4.2 MB/s.
  t.ok(world.clock.nowMs < 26_000, `took ${world.clock.nowMs} ms`);
});

t.test('who vanishes without a word is noticed by its silence', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2));
  const gone = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
  const leecher = world.node().meet(gone);
  world.clock.run(3000);
  gone.host.vanish();
  world.clock.run(1000);
  leecher.meet(world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
  t.ok(
    world.clock.runUntil(() => leecher.isDone, 30_000),
    'others take over while its link is still open',
  );
  world.clock.run(5 * MINUTE_MS);
  t.equal(leecher.swarm.peers.size, 0);
});

t.test('a peer that claims everything and has nothing costs no time and no bytes', async (t) => {
  const world = new SimWorld(new SimTorrentFile(4));
  const boasters = Array.from({ length: 5 }, () => world.node({ lies: true }));
  const leecher = world.node().meet(...boasters, world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.ok(world.clock.nowMs < 25_000, `took ${world.clock.nowMs} ms, 17000 without them`);
});

t.test('a peer whose nonsense floods us harms nobody', async (t) => {
  const world = new SimWorld(new SimTorrentFile(8));
  const flooder = world.node();
  const leecher = world.node().meet(flooder, world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
  flood(flooder.host, { random: seededRandom(3), pieces: 8, untilMs: MINUTE_MS });
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  t.ok(world.clock.nowMs < 38_000, `took ${world.clock.nowMs} ms, 34000 without it`);
});

/** What a node sent to each of them. */
const sentTo = (from: SimNode, nodes: readonly SimNode[]) => {
  const accounts = [...from.swarm.peers.values()].map((peer) => peer.account);
  return nodes.map(
    (node) => accounts.find(({ identity }) => identity === node.host.address.host)?.sentBytes ?? 0,
  );
};

t.test('an address gets its share of the slots, however many connections it makes', async (t) => {
  const world = new SimWorld(new SimTorrentFile(400, { blocksPerPiece: 16 }));
  const choker = { slots: 2, quotaMs: 5000, quotaBytes: 1 };
  const seed = world.node({ seed: true, rateBytesPerSecond: MEGABYTE, session: { choker } });
  const greedy = [1, 2, 3, 4, 5, 6].map((port) => world.node({ address: '10.7.7.7', port }).meet(seed));
  const alone = world.node().meet(seed);
  world.clock.run(20_000);
  const [theirs = 0, ours = 0] = sentTo(seed, [greedy[0] ?? alone, alone]);
  t.ok(ours > 0.4 * (ours + theirs), `${ours} bytes for one, ${theirs} for six that share an address`);
  t.ok(theirs > 0, 'who shares an address is served as well');
});

t.test('equal peers of a busy seed get equal shares', async (t) => {
  const world = new SimWorld(new SimTorrentFile(2000, { blocksPerPiece: 16 }));
  const choker = { slots: 4, quotaMs: 10_000, quotaBytes: MEGABYTE };
  const seed = world.node({ seed: true, rateBytesPerSecond: 2 * MEGABYTE, session: { choker } });
  const leechers = Array.from({ length: 12 }, () => world.node().meet(seed));
  world.clock.run(4 * MINUTE_MS);
  const shares = sentTo(seed, leechers);
  const [least, most] = [Math.min(...shares), Math.max(...shares)];
  t.ok(least > 0.6 * most, `between ${least} and ${most} bytes`);
});

t.test('a window brings pieces nearly in order, from all peers at once', async (t) => {
  const world = new SimWorld(new SimTorrentFile(40, { blocksPerPiece: 16 }));
  const seeds = [1, 2, 3].map(() => world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
  const leecher = world.node({ swarm: { window: { first: 0, pieces: 8 } } }).meet(...seeds);
  t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
  const late = leecher.pieces.map((piece, at) => Math.abs(piece - at));
  t.ok(Math.max(...late) <= 8, `up to ${Math.max(...late)} places from their order`);
  t.notSame(leecher.pieces, [...Array(40).keys()], 'and not strictly so');
});

t.test(
  'a window set on a swarm that fetches rarest first lets its start come first from then on',
  async (t) => {
    // As a bootstrap does when the engine comes to a segment that was begun ahead.
    const pieces = 240;
    const startAfter = (window: boolean) => {
      const world = new SimWorld(new SimTorrentFile(pieces, { blocksPerPiece: 16 }));
      const seeds = [1, 2, 3].map(() => world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
      const leecher = world.node().meet(...seeds);
      t.ok(world.clock.runUntil(() => leecher.pieces.length >= 20, MINUTE_MS));
      if (window) leecher.swarm.setWindow({ first: 0, pieces: 32 });
      t.ok(world.clock.runUntil(() => leecher.pieces.length > 140, MINUTE_MS));
      const had = new Set(leecher.pieces);
      let start = 0;
      while (had.has(start)) start++;
      t.ok(world.clock.runUntil(() => leecher.isDone, MINUTE_MS));
      const tookMs = world.clock.nowMs;
      world.close();
      return { start, tookMs };
    };
    const [without, within] = [startAfter(false), startAfter(true)];
    t.ok(without.start < 10, `without a window ${without.start} of 140 pieces are the start`);
    // More than what its peers have to send at a time: a smaller window would leave them idle.
    t.ok(within.start >= 100, `with it ${within.start} are`);
    t.ok(within.tookMs < 1.25 * without.tookMs, `and all takes ${within.tookMs} ms, not ${without.tookMs}`);
  },
);

// The simulator's addresses would be taken for the local network.
const counted = [{ name: 'sim', subnets: ['10.0.0.0/8'], rates: {} }];

t.test('limits hold for all and for a torrent, and the local network is exempt', async (t) => {
  const took = (classes: typeof counted, perTorrent: boolean) => {
    const world = new SimWorld(new SimTorrentFile(2));
    const limit = { uploadBytesPerSecond: MEGABYTE };
    const seed = world.node({
      seed: true,
      session: { rates: { ...(perTorrent ? {} : { rates: limit }), classes } },
    });
    if (perTorrent) seed.swarm.setRates(limit);
    const leecher = world.node().meet(seed);
    world.clock.runUntil(() => leecher.isDone, MINUTE_MS);
    return world.clock.nowMs;
  };
  for (const perTorrent of [true, false]) {
    t.ok(took(counted, perTorrent) > 8000, '8.4 MB at 1 MB/s');
    t.ok(took([], perTorrent) < 2000);
  }
});

t.test('schedules follow the wall clock', async (t) => {
  const world = new SimWorld(new SimTorrentFile(40));
  const midnight = new Date(2026, 10, 1, 0, 0);
  const schedules = [{ fromMinute: 0, toMinute: 1, rates: { uploadBytesPerSecond: MEGABYTE } }];
  const seed = world.node({
    seed: true,
    session: {
      rates: { schedules, classes: counted },
      wallClock: () => new Date(midnight.getTime() + world.clock.nowMs),
    },
  });
  const leecher = world.node().meet(seed);
  world.clock.run(59_000);
  t.ok(leecher.swarm.status().downloadedBytes < 61 * MEGABYTE);
  t.ok(
    world.clock.runUntil(() => leecher.isDone, 10_000),
    'a minute later nothing holds it',
  );
});

t.test('when the quota of the month is used up, uploads stop until the next one', async (t) => {
  const world = new SimWorld(new SimTorrentFile(4));
  const start = new Date(2026, 10, 30, 23, 50);
  const seed = world.node({
    seed: true,
    rateBytesPerSecond: MEGABYTE,
    session: {
      rates: { quota: { uploadBytes: 10 * MEGABYTE }, classes: counted },
      wallClock: () => new Date(start.getTime() + world.clock.nowMs),
    },
  });
  const leecher = world.node().meet(seed);
  world.clock.run(9 * MINUTE_MS);
  t.match(seed.session.rates.status().uploadStopped, /upload quota of 2026-11/);
  const { downloadedBytes } = leecher.swarm.status();
  t.ok(downloadedBytes > 9 * MEGABYTE && downloadedBytes < 12 * MEGABYTE, `${downloadedBytes} bytes`);
  t.ok(
    world.clock.runUntil(() => leecher.isDone, 10 * MINUTE_MS),
    'the next month does what is left',
  );
});

t.test('when the download quota is used up, nothing more is asked for', async (t) => {
  const world = new SimWorld(new SimTorrentFile(8));
  const leecher = world.node({
    session: { rates: { quota: { downloadBytes: 10 * MEGABYTE }, classes: counted } },
  });
  leecher.meet(world.node({ seed: true, rateBytesPerSecond: MEGABYTE }));
  world.clock.run(5 * MINUTE_MS);
  const { downloadedBytes } = leecher.swarm.status();
  t.ok(downloadedBytes > 9 * MEGABYTE && downloadedBytes < 15 * MEGABYTE, `${downloadedBytes} bytes`);
  t.match(leecher.session.rates.status().downloadStopped, /download quota/);
});

t.test('the same seed of randomness gives the same run', async (t) => {
  const run = (seed: number) => {
    const world = new SimWorld(new SimTorrentFile(10, { blocksPerPiece: 64 }), { seed });
    const source = world.node({ seed: true, rateBytesPerSecond: MEGABYTE });
    const leechers = Array.from({ length: 3 }, () => world.node({ rateBytesPerSecond: MEGABYTE }));
    for (const node of leechers) node.meet(source, ...leechers.filter((other) => other !== node));
    world.clock.runUntil(() => leechers.every((node) => node.isDone), 10 * MINUTE_MS);
    return { ms: world.clock.nowMs, pieces: leechers.map((node) => node.pieces) };
  };
  t.same(run(3), run(3));
});

t.test(
  'in any mix of honest, slow, lying, silent and dying peers, everybody honest gets everything',
  async (t) => {
    for (let seed = 1; seed <= 12; seed++) {
      const random = seededRandom(seed);
      const file = new SimTorrentFile(1 + Math.floor(random() * 6), {
        blocksPerPiece: random() < 0.5 ? 256 : 32,
      });
      const world = new SimWorld(file, { seed, latencyMs: 1 + random() * 100 });
      const rate = () => MEGABYTE * (0.2 + 4 * random());
      const source = world.node({ seed: true, rateBytesPerSecond: rate() });
      const honest = Array.from({ length: 2 + Math.floor(random() * 3) }, () => {
        return world.node({ rateBytesPerSecond: rate(), magnet: random() < 0.3 });
      });
      const liars = Array.from({ length: Math.floor(random() * 3) }, () => {
        const share = random();
        return world.node({ seed: true, rateBytesPerSecond: rate(), corrupts: () => random() < share });
      });
      const mutes = Array.from({ length: Math.floor(random() * 2) }, () => world.node({ seed: true }));
      for (const mute of mutes) mute.host.silent = true;
      const mortals = Array.from({ length: Math.floor(random() * 3) }, () => {
        const mortal = world.node({ seed: random() < 0.5, rateBytesPerSecond: rate() });
        world.clock.after(random() * 20_000, () => mortal.host.die());
        return mortal;
      });
      for (const node of [...honest, ...mortals]) node.meet(...world.nodes.filter((other) => other !== node));
      const done = world.clock.runUntil(() => honest.every((node) => node.isDone), 20 * MINUTE_MS);
      t.ok(
        done,
        `seed ${seed}: ${honest.length} honest, ${liars.length} liars, ${mutes.length} mute, ${mortals.length} mortal`,
      );
      for (const node of honest) {
        t.ok(node.store.complete);
        t.notOk(
          node.session.bans.has(source.host.address, world.clock.nowMs),
          'the honest source is never banned',
        );
        for (const other of honest) t.notOk(node.session.bans.has(other.host.address, world.clock.nowMs));
      }
      world.close();
      world.clock.run(MINUTE_MS);
      t.equal(world.clock.plansLeft, 0);
    }
  },
);
