import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import type { NodeInfo } from '../../src/discovery/compact-nodes.js';
import {
  boundId,
  commonBits,
  compareDistance,
  isBoundId,
  randomIdSharing,
} from '../../src/discovery/node-id.js';
import { K, RoutingTable } from '../../src/discovery/routing-table.js';

const OWN = new Uint8Array(20);
const node = (host: string, id: Uint8Array = boundId(host), port = 6881): NodeInfo => ({ id, host, port });
/** Addresses of a network each, all over the world. */
const hostOf = (number: number) => `${20 + (number % 70)}.${(number >> 8) & 255}.${number & 255}.7`;

function table() {
  let nowMs = 0;
  const pass = (ms: number) => {
    nowMs += ms;
  };
  return { table: new RoutingTable(OWN, () => nowMs), pass };
}

t.test(
  'of one /24 or /64 one node is in a bucket, of a private network as many as there is room for',
  async (t) => {
    const { table: rows } = table();
    const far = (number: number) => Uint8Array.of(0x80, ...randomBytes(18), number);
    for (let host = 1; host < 100; host++) rows.answered(node(`8.8.8.${host}`, far(host)));
    t.equal(rows.size, 1, 'a /24');
    for (let host = 1; host < 100; host++) rows.answered(node(`2a00:1:2:3::${host}`, far(host)));
    t.equal(rows.size, 2, 'a /64');
    for (let host = 1; host < 100; host++) rows.answered(node(`10.0.0.${host}`, far(host)));
    t.equal(rows.size, K);
  },
);

t.test(
  'a bucket is full with eight, and an id bound to its address goes before one that is not',
  async (t) => {
    const { table: rows } = table();
    const inFarHalf = (id: Uint8Array) => ((id[0] ?? 0) & 0x80) !== 0;
    const unbound = Array.from({ length: 20 }, (_, n) =>
      node(hostOf(n), Uint8Array.of(0x80, ...randomBytes(19))),
    );
    for (const each of unbound) rows.answered(each);
    const farNodes = () => rows.nodes().filter(({ id }) => inFarHalf(id));
    t.equal(farNodes().length, K);
    let taken = 0;
    for (let n = 100; taken < K; n++) {
      const each = node(hostOf(n));
      if (!inFarHalf(each.id)) continue;
      taken++;
      rows.answered(each);
    }
    t.equal(farNodes().filter(({ id, host }) => isBoundId(id, host)).length, K);
  },
);

t.test('a node that fails gives its place to one that waits, and is gone after three times', async (t) => {
  const { table: rows } = table();
  const nodes = Array.from({ length: K + 1 }, (_, n) =>
    node(`10.0.0.${n}`, Uint8Array.of(0x80, ...randomBytes(18), n)),
  );
  // The near half has a bucket of its own, so the far one cannot be split.
  for (let n = 0; n < 12; n++) rows.answered(node(`10.1.0.${n}`, randomIdSharing(OWN, n + 1)));
  for (const each of nodes) rows.answered(each);
  const has = (each: NodeInfo | undefined) => rows.nodes().some(({ host }) => host === each?.host);
  t.notOk(has(nodes[K]), 'no room');
  rows.failed(nodes[0] as NodeInfo);
  t.ok(has(nodes[K]), 'the one that waited');
  t.notOk(has(nodes[0]));
  for (let n = 0; n < 2; n++) rows.failed(nodes[1] as NodeInfo);
  t.ok(has(nodes[1]));
  t.notOk(
    rows.closest(nodes[1]?.id as Uint8Array).some(({ host }) => host === nodes[1]?.host),
    'but not told of',
  );
  rows.failed(nodes[1] as NodeInfo);
  t.notOk(has(nodes[1]));
});

t.test('nobody takes the id of another, and a node that began anew has its new one', async (t) => {
  const { table: rows } = table();
  const id = Uint8Array.of(0x80, ...randomBytes(19));
  rows.answered(node('10.0.0.1', id));
  rows.answered(node('10.0.0.2', id));
  t.same(
    rows.nodes().map(({ host }) => host),
    ['10.0.0.1'],
  );
  const other = Uint8Array.of(0x40, ...randomBytes(19));
  rows.answered(node('10.0.0.1', other));
  t.same(
    rows.nodes().map((each) => each.id),
    [other],
  );
  rows.answered(node('10.0.0.3', OWN));
  t.equal(rows.size, 1, 'our own id is nobody else’s');
});

t.test('silent nodes are questionable after ten minutes, a bucket is stale after fifteen', async (t) => {
  const { table: rows, pass } = table();
  rows.answered(node('10.0.0.1', randomBytes(20)));
  t.same(rows.questionable(9), []);
  pass(11 * 60_000);
  t.equal(rows.questionable(9).length, 1);
  t.equal(rows.staleBucket(), null);
  pass(5 * 60_000);
  t.equal(rows.staleBucket(), 0);
  t.equal(rows.staleBucket(), null, 'once');
});

t.test(
  'the closest nodes are those that are closest, and every bucket holds what its number says',
  async (t) => {
    const id = fc.uint8Array({ minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(id, { maxLength: 200 }), id, id, (ids, own, target) => {
        const rows = new RoutingTable(own, () => 0);
        for (const [n, each] of ids.entries()) rows.answered(node(`10.0.${n >> 8}.${n & 255}`, each));
        const sorted = rows.nodes().sort((a, b) => compareDistance(target, a.id, b.id));
        const counts = new Map<number, number>();
        for (const each of rows.nodes()) {
          const bits = commonBits(each.id, own);
          counts.set(bits, (counts.get(bits) ?? 0) + 1);
        }
        const told = rows.closest(target);
        return (
          told.every((each, n) => each.host === sorted[n]?.host) &&
          told.length === Math.min(K, sorted.length) &&
          [...counts.values()].every((count) => count <= K)
        );
      }),
      { numRuns: 200 },
    );
    t.pass('in 200 tables');
  },
);

t.test('who waits for a place is not asked again whether it is there', async (t) => {
  const { table: rows } = table();
  const far = (last: number) =>
    Uint8Array.from({ length: 20 }, (_, at) => (at === 0 ? 0x80 : at === 19 ? last : 0));
  // A node nearby, so that the bucket of the others is not the one that splits.
  for (let n = 0; n < K; n++)
    rows.answered(
      node(
        `10.0.1.${n}`,
        Uint8Array.from({ length: 20 }, () => n + 1),
      ),
    );
  for (let n = 0; n < K; n++) rows.answered(node(`10.0.2.${n}`, far(n)));
  const spare = node('10.0.3.1', far(100));
  t.equal(rows.wants(spare), true, 'it would be a spare');
  rows.answered(spare);
  t.equal(rows.nodes().length, 2 * K);
  t.equal(rows.wants(spare), false, 'two that are spares of each other do not ask each other for ever');
  t.equal(rows.wants(node('10.0.3.2', far(1))), false, 'nor does one come in by the id of another');
});
