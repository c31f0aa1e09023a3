import t from 'tap';
import { PeerStore } from '../../src/discovery/peer-store.js';

const hash = (number: number) => {
  const bytes = Buffer.alloc(20);
  bytes.writeUInt32BE(number);
  return bytes;
};
const host = (number: number) =>
  `${20 + (number % 70)}.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;

function store() {
  const clock = { nowMs: 0 };
  return { peers: new PeerStore(() => clock.nowMs), clock };
}

t.test('peers are forgotten after half an hour, and kept by being announced again', async (t) => {
  const { peers, clock } = store();
  peers.add(hash(1), { host: '8.8.8.8', port: 1 });
  peers.add(hash(1), { host: '9.9.9.9', port: 1 });
  clock.nowMs = 20 * 60_000;
  peers.add(hash(1), { host: '9.9.9.9', port: 1 });
  t.equal(peers.values(hash(1), 10).length, 2);
  clock.nowMs = 31 * 60_000;
  t.same(peers.values(hash(1), 10), [Uint8Array.of(9, 9, 9, 9, 0, 1)]);
  clock.nowMs = 60 * 60_000;
  t.same(peers.values(hash(1), 10), []);
  t.equal(peers.size, 0, 'and so is the infohash');
});

t.test('an infohash, a network and all together are bounded', async (t) => {
  const { peers } = store();
  for (let n = 0; n < 300; n++) peers.add(hash(1), { host: host(n), port: 1 });
  t.equal(peers.values(hash(1), 1000).length, 200, 'the newest of an infohash');
  t.same(peers.values(hash(1), 7).length, 7);
  let taken = 0;
  for (let n = 0; n < 3000; n++)
    if (peers.add(hash(1000 + n), { host: `66.1.2.${n & 255}`, port: 1 })) taken++;
  t.equal(taken, 1000, 'one network');
  for (let n = 0; n < 30_000; n++) peers.add(hash(10_000 + n), { host: host(n * 257), port: 1 });
  t.ok(peers.size <= 20_000, `${peers.size} infohashes of one peer each`);
  t.ok(peers.size > 19_000);
  const sample = peers.sample(20);
  t.equal(
    new Set(sample.map((each) => Buffer.from(each).toString('hex'))).size,
    20,
    'a sample has no doubles',
  );
});
