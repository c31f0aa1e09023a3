import t from 'tap';
import { PeerBook } from '../../src/swarm/peer-book.js';

const at = (n: number) => ({ host: `10.0.${n >> 8}.${n & 255}`, port: 6881 });
const always = () => true;
const book = (options = {}) =>
  new PeerBook({ random: () => 0.5, retryFirstMs: 1000, retryMaxMs: 60_000, ...options });

t.test('failures back off exponentially up to a bound', async (t) => {
  const peers = book();
  const known = peers.add(at(1), 'asked', 0);
  let nowMs = 0;
  const waits: number[] = [];
  for (let failures = 0; failures < 8 && known; failures++) {
    peers.failed(known, nowMs);
    waits.push(known.nextDialMs - nowMs);
    t.equal(peers.next(known.nextDialMs - 1, always), null);
    t.equal(peers.next(known.nextDialMs, always), known);
    nowMs = known.nextDialMs;
  }
  t.same(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
  if (known) peers.opened(known, 0);
  t.equal(known?.failures, 0);
});

t.test('a learnt address that keeps failing is forgotten, one asked for never', async (t) => {
  const peers = book({ maxFailures: 3 });
  const learnt = peers.add(at(1), 'dht', 0);
  const asked = peers.add(at(2), 'asked', 0);
  for (let n = 0; n < 10; n++) for (const known of [learnt, asked]) if (known) peers.failed(known, 0);
  t.equal(peers.size, 1);
  t.equal(peers.next(1e9, always), asked);
});

t.test('asked-for addresses are dialled first, connected ones not at all', async (t) => {
  const peers = book();
  peers.add(at(1), 'dht', 0);
  const asked = peers.add(at(2), 'asked', 5);
  t.equal(peers.next(10, always), asked);
  if (asked) asked.link = 7;
  t.same(peers.next(10, always)?.address, at(1));
  t.equal(
    peers.next(10, () => false),
    null,
  );
  if (asked) peers.closed(asked, 10);
  t.equal(
    peers.next(500, (known) => known === asked),
    null,
  );
  t.equal(
    peers.next(2000, (known) => known === asked),
    asked,
  );
});

t.test('a full book takes a new address only for one that failed', async (t) => {
  const peers = book({ maxPeers: 3 });
  const old = [1, 2, 3].map((n) => peers.add(at(n), 'dht', 0));
  t.equal(peers.add(at(4), 'dht', 0), null);
  if (old[1]) peers.failed(old[1], 0);
  t.ok(peers.add(at(4), 'dht', 0));
  t.equal(peers.size, 3);
  t.ok(peers.add(at(5), 'asked', 0), 'what the user asks for always fits');
});

t.test('the same address is one entry; being asked for makes it due', async (t) => {
  const peers = book();
  const known = peers.add(at(1), 'dht', 0);
  if (known) peers.failed(known, 0);
  t.equal(peers.next(1, always), null);
  t.equal(peers.add(at(1), 'asked', 1), known);
  t.equal(peers.next(1, always), known);
  t.equal(peers.size, 1);
});
