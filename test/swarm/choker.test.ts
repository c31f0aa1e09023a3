import t from 'tap';
import { Choker, type ChokerPeer } from '../../src/swarm/choker.js';
import { type UploadAccount, UploadLedger } from '../../src/swarm/upload-ledger.js';
import { seededRandom } from '../sim/sim-clock.js';

const ledger = new UploadLedger();
let number = 0;

class FakePeer implements ChokerPeer {
  peerInterested = true;
  unchoked = false;
  snubbed = false;
  unchokedAtMs = Number.NEGATIVE_INFINITY;
  servedBytes = 0;
  uploadRate = 0;
  torrentBytes = 1000;
  readonly seeding: boolean;
  readonly downloadRate: number;
  readonly account: UploadAccount;

  constructor(seeding: boolean, downloadRate = 0, account = ledger.open(`peer ${number++}`)) {
    this.seeding = seeding;
    this.downloadRate = downloadRate;
    this.account = account;
  }

  setChoked(choked: boolean, nowMs: number): void {
    this.unchoked = !choked;
    if (choked) return;
    this.unchokedAtMs = nowMs;
    this.account.slotAtMs = nowMs;
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

t.test('while others wait an address has one slot, however many connections it makes', async (t) => {
  const choker = new Choker({ slots: 4, quotaMs: 60_000, random });
  const greedy = ledger.open('greedy');
  const many = Array.from({ length: 10 }, () => new FakePeer(true, 0, greedy));
  choker.run(many, 0);
  t.equal(unchoked(many).length, 4, 'alone it may have all');
  const others = [1, 2, 3].map(() => new FakePeer(true));
  choker.run([...many, ...others], 10_000);
  t.equal(unchoked(many).length, 1);
  t.equal(unchoked(others).length, 3);
  const traders = [
    ...many.map(() => new FakePeer(false, 50, greedy)),
    ...others.map(() => new FakePeer(false, 10)),
  ];
  const trade = new Choker({ slots: 4, random });
  trade.run(traders, 0);
  t.equal(
    unchoked(traders.slice(10)).length,
    2,
    'also of torrents that we fetch; one slot is given by chance',
  );
});

t.test('who comes back has to wait like who stayed', async (t) => {
  const choker = new Choker({ slots: 1, quotaMs: 10_000, quotaBytes: 1, random });
  const [again, patient] = [ledger.open('again'), new FakePeer(true)];
  const first = new FakePeer(true, 0, again);
  choker.run([first], 0);
  const second = new FakePeer(true, 0, again);
  choker.run([second, patient], 10_000);
  t.same([second.unchoked, patient.unchoked], [false, true]);
});

t.test('who was sent more than the torrent has comes last', async (t) => {
  for (const seedChoker of ['round-robin', 'fastest-upload', 'anti-leech'] as const) {
    const choker = new Choker({ slots: 2, seedChoker, random });
    const peers = [1, 2, 3].map(() => new FakePeer(true));
    const [leech] = peers;
    if (!leech) return;
    leech.account.sentBytes = 1501;
    leech.uploadRate = 1e6;
    choker.run(peers, 0);
    t.same(
      peers.map((peer) => peer.unchoked),
      [false, true, true],
      seedChoker,
    );
  }
});

t.test('fastest upload serves those who take most, and one slot in five goes round', async (t) => {
  const choker = new Choker({
    slots: 5,
    seedChoker: 'fastest-upload',
    quotaMs: 10_000,
    quotaBytes: 0,
    random,
  });
  const peers = Array.from({ length: 20 }, () => new FakePeer(true));
  for (const [at, peer] of peers.entries()) peer.uploadRate = at < 4 ? 1000 : 1;
  const lucky = new Set<FakePeer>();
  for (let round = 0; round < 20; round++) {
    choker.run(peers, round * 10_000);
    t.equal(unchoked(peers.slice(0, 4)).length, 4);
    for (const peer of unchoked(peers)) lucky.add(peer);
  }
  t.equal(lucky.size, 20);
});

t.test('anti-leech serves those who were sent little or nearly everything', async (t) => {
  const choker = new Choker({ slots: 2, seedChoker: 'anti-leech', random });
  const peers = [100, 400, 500, 600, 950].map((sentBytes) => {
    const peer = new FakePeer(true);
    peer.account.sentBytes = sentBytes;
    return peer;
  });
  choker.run(peers, 0);
  t.same(
    peers.map((peer) => peer.unchoked),
    [true, false, false, false, true],
  );
});

t.test('without a number given, slots grow with the upload', async (t) => {
  const choker = new Choker({ random });
  const peers = Array.from({ length: 300 }, () => new FakePeer(true));
  choker.run(peers, 0);
  t.equal(unchoked(peers).length, 128);
  for (const peer of unchoked(peers)) peer.uploadRate = 1e6;
  choker.run(peers, 10_000);
  t.equal(unchoked(peers).length, 300);
  t.equal(choker.slots, Math.floor(Math.sqrt(128e6 / 1024)));
});

t.test('the ledger of uploads is bounded, and forgets who got nothing', async (t) => {
  const uploads = new UploadLedger();
  uploads.close(uploads.open('nothing'));
  t.equal(uploads.size, 0);
  const open = uploads.open('open');
  for (let at = 0; at < 5000; at++) {
    const account = uploads.open(`${at}`);
    account.sentBytes = 1;
    uploads.close(account);
  }
  t.equal(uploads.size, 4096);
  t.equal(uploads.open('open'), open, 'who is connected stays');
  t.equal(uploads.open('4999').sentBytes, 1);
  t.equal(uploads.open('0').sentBytes, 0);
});

t.test('no slots at all make no sense', async (t) => {
  t.throws(() => new Choker({ slots: 0, random }), RangeError);
});
