import t from 'tap';
import { Choker, type ChokerPeer } from '../../src/swarm/choker.js';
import { seededRandom } from '../sim/sim-clock.js';

class FakePeer implements ChokerPeer {
  peerInterested = true;
  unchoked = false;
  snubbed = false;
  unchokedAtMs = Number.NEGATIVE_INFINITY;
  servedBytes = 0;
  readonly seeding: boolean;
  readonly downloadRate: number;

  constructor(seeding: boolean, downloadRate = 0) {
    this.seeding = seeding;
    this.downloadRate = downloadRate;
  }

  setChoked(choked: boolean, nowMs: number): void {
    this.unchoked = !choked;
    if (choked) return;
    this.unchokedAtMs = nowMs;
    this.servedBytes = 0;
  }
}

const random = seededRandom(1);
const unchoked = (peers: FakePeer[]) => peers.filter((peer) => peer.unchoked);

t.test('with enough slots everybody interested is served, at once', async (t) => {
  const choker = new Choker({ slots: 4, random });
  const peers = [new FakePeer(true), new FakePeer(true)];
  choker.run(peers, 0);
  t.equal(unchoked(peers).length, 2);
  const late = new FakePeer(true);
  choker.run([...peers, late], 1);
  t.ok(late.unchoked, 'between rounds, too');
});

t.test('a peer that wants nothing more gives its slot to one that waits', async (t) => {
  const choker = new Choker({ slots: 1, random });
  const [a, b] = [new FakePeer(true), new FakePeer(true)];
  choker.run([a], 0);
  choker.run([a, b], 100);
  t.same([a.unchoked, b.unchoked], [true, false]);
  a.peerInterested = false;
  choker.run([a, b], 200);
  t.same([a.unchoked, b.unchoked], [false, true]);
});

t.test('seeding: a slot is kept until the quota, then the longest waiting is next', async (t) => {
  const choker = new Choker({ slots: 2, quotaMs: 60_000, quotaBytes: 100, random });
  const peers = [1, 2, 3, 4].map(() => new FakePeer(true));
  const turns = new Map(peers.map((peer) => [peer, 0]));
  for (let nowMs = 0; nowMs < 20 * 60_000; nowMs += 10_000) {
    const before = unchoked(peers);
    choker.run(peers, nowMs);
    t.equal(unchoked(peers).length, 2);
    for (const peer of unchoked(peers)) {
      peer.servedBytes += 20;
      if (!before.includes(peer)) turns.set(peer, (turns.get(peer) ?? 0) + 1);
    }
    for (const peer of before.filter((each) => !each.unchoked)) t.ok(nowMs - peer.unchokedAtMs >= 60_000);
  }
  const counts = [...turns.values()];
  t.ok(Math.min(...counts) >= 8, `turns ${counts}`);
  t.ok(Math.max(...counts) - Math.min(...counts) <= 1);
});

t.test('seeding: a peer too slow for its quota does not keep its slot for ever', async (t) => {
  const choker = new Choker({ slots: 1, quotaMs: 1000, quotaBytes: 1e9, roundMs: 1000, random });
  const [slow, next] = [new FakePeer(true), new FakePeer(true)];
  choker.run([slow], 0);
  for (let nowMs = 1000; nowMs <= 6000; nowMs += 1000) choker.run([slow, next], nowMs);
  t.same([slow.unchoked, next.unchoked], [false, true]);
});

t.test('fetching: the peers that give most are served, and one other by chance', async (t) => {
  const choker = new Choker({ slots: 3, random });
  const peers = [0, 10, 0, 30, 20, 0, 0, 0].map((rate) => new FakePeer(false, rate));
  const lucky = new Set<FakePeer>();
  for (let round = 0; round < 60; round++) {
    choker.run(peers, round * 10_000);
    t.equal(unchoked(peers).length, 3);
    t.ok(peers[3]?.unchoked && peers[4]?.unchoked);
    for (const peer of unchoked(peers)) lucky.add(peer);
  }
  t.ok(lucky.size >= 6, 'the optimistic slot goes round');
});

t.test('fetching: a peer that lets us wait earns nothing', async (t) => {
  const choker = new Choker({ slots: 2, random: () => 0.99 });
  const peers = [new FakePeer(false, 100), new FakePeer(false, 1), new FakePeer(false), new FakePeer(false)];
  if (peers[0]) peers[0].snubbed = true;
  choker.run(peers, 0);
  t.same(
    peers.map((peer) => peer.unchoked),
    [false, true, false, true],
  );
});

t.test('torrents we have and torrents we fetch share the slots, each gets at least one', async (t) => {
  const choker = new Choker({ slots: 4, random });
  const served = Array.from({ length: 99 }, () => new FakePeer(true));
  const traded = [new FakePeer(false, 5), new FakePeer(false, 6)];
  choker.run([...served, ...traded], 0);
  t.equal(unchoked(served).length, 3);
  t.equal(unchoked(traded).length, 1);
});

t.test('no slots at all make no sense', async (t) => {
  t.throws(() => new Choker({ slots: 0, random }), RangeError);
});
