/** BEP 44 between nodes: `get`, `put`, `seq`, `cas`, `salt`, and what liars answer. */
import t, { type Test } from 'tap';
import { encode } from '../../src/bencode.js';
import type { PeerAddress } from '../../src/connector.js';
import type { Dht } from '../../src/discovery/dht.js';
import { itemTarget, mutableTarget, publicKeyOf, signItem } from '../../src/discovery/dht-item.js';
import { all, DatagramSwitch } from '../helpers/datagram-switch.js';
import { Stranger } from '../helpers/dht-stranger.js';
import { HELLO, MUTABLE, SALTED } from '../vectors/bep44.js';

const SEED = new Uint8Array(32).fill(7);
const at = (number: number): PeerAddress => ({ host: `10.0.0.${number}`, port: 6881 });

function network(t: Test, count = 6): { net: DatagramSwitch; nodes: Dht[] } {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const nodes = Array.from({ length: count }, (_, number) =>
    net.add(at(number + 1), number === 0 ? {} : { bootstrap: [at(1)] }),
  );
  return { net, nodes };
}

t.test('an immutable item is found by its hash, from every node', async (t) => {
  const { nodes } = network(t);
  const item = { value: encode(new Map([['n', 5]])) };
  t.ok(((await nodes[1]?.putItem(item)) ?? 0) >= 1);
  for (const node of nodes) t.same(await node.getItem(itemTarget(item)), item);
  t.equal(await nodes[2]?.getItem(new Uint8Array(20)), null, 'none under another');
});

t.test('the latest mutable item is found, by key and salt', async (t) => {
  const { nodes } = network(t);
  const [one, two, three] = nodes;
  const salt = Buffer.from('mainnet');
  const publicKey = publicKeyOf(SEED);
  const first = signItem({ value: encode('first'), seq: 1, salt }, SEED);
  const second = signItem({ value: encode('second'), seq: 2, salt }, SEED);
  const target = mutableTarget(publicKey, salt);
  await one?.putItem(first);
  t.same(await three?.getItem(target, { publicKey, salt }), first);
  t.ok(((await two?.putItem(second)) ?? 0) >= 1);
  t.same(await three?.getItem(target, { publicKey, salt }), second);
  t.equal(await one?.putItem(first), 0, 'an older one is taken by nobody');
  t.equal(await three?.getItem(mutableTarget(publicKey), { publicKey }), null, 'none without the salt');
});

t.test('cas: an item replaces only the one it was made from', async (t) => {
  const { nodes } = network(t);
  const [one, two] = nodes;
  const item = (seq: number) => signItem({ value: encode(`at ${seq}`), seq }, SEED);
  await one?.putItem(item(5));
  t.equal(await two?.putItem(item(7), { cas: 4 }), 0, 'another was there before');
  t.ok(((await two?.putItem(item(7), { cas: 5 })) ?? 0) >= 1);
  t.match(await one?.getItem(mutableTarget(publicKeyOf(SEED))), { seq: 7 });
});

t.test('the items of BEP 44 are taken and given as their bytes are', async (t) => {
  const { nodes } = network(t);
  for (const item of [MUTABLE, SALTED, { value: HELLO }]) {
    t.ok(((await nodes[1]?.putItem(item)) ?? 0) >= 1);
    const { publicKey, salt } = { publicKey: undefined, salt: undefined, ...item };
    const found = await nodes[3]?.getItem(itemTarget(item), {
      ...(publicKey && { publicKey }),
      ...(salt && { salt }),
    });
    t.same({ ...found }, { ...item });
  }
});

t.test('a node refuses what is forged, old, or too large, each with its code', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(at(1));
  const stranger = new Stranger(net, at(9), false);
  const put = async (
    item: Parameters<typeof itemTarget>[0] & { seq?: number; signature?: Uint8Array },
    more = {},
  ) => {
    const got = await stranger.ask(at(1), 'get', { target: itemTarget(item) });
    const token = (got?.kind === 'reply' && got.values.get('token')) || '';
    const { value, publicKey: k, salt, seq, signature: sig } = item;
    const v = Buffer.from(value).toString('latin1').replace(/^\d+:/, '');
    const own = {
      token,
      v,
      ...(k && { k }),
      ...(salt && { salt }),
      ...(seq !== undefined && { seq }),
      ...(sig && { sig }),
    };
    const answer = await stranger.ask(at(1), 'put', { ...own, ...more });
    return answer?.kind === 'error' ? answer.code : answer?.kind;
  };
  const of = (value: string, seq: number) => signItem({ value: encode(value), seq }, SEED);
  t.equal(await put(of('a', 3)), 'reply');
  t.equal(await put(of('a', 3)), 'reply', 'the same again keeps it alive');
  t.equal(await put(of('b', 3)), 302, 'another value under the same number');
  t.equal(await put(of('b', 2)), 302, 'an older one');
  t.equal(await put(of('b', 4), { cas: 2 }), 301);
  t.equal(await put(of('b', 4), { sig: new Uint8Array(64) }), 206, 'a wrong signature');
  t.equal(await put({ ...of('b', 4), seq: 5 }), 206, 'a signature over another number');
  t.equal(await put({ value: encode('x'.repeat(1200)) }), 205);
  t.equal(await put({ ...of('b', 4), salt: new Uint8Array(65).fill(97) }), 207);
  t.equal(await put(of('b', 4), { token: 'forged' }), 203);
  t.equal(await put(of('b', 4), { cas: 3 }), 'reply');
});

t.test(
  'liars do not make a wrong item: neither by signature, nor by hash, nor by an old number',
  async (t) => {
    const { net, nodes } = network(t, 3);
    const [one, two] = nodes;
    const publicKey = publicKeyOf(SEED);
    const target = mutableTarget(publicKey);
    // The honest ones know each other before the liars come: a node that knows liars only has nobody to put to.
    for (const node of nodes) await all(node.lookup(target));
    await net.quiet();
    const real = signItem({ value: encode('real'), seq: 10 }, SEED);
    const lies = [
      { v: 'lie', k: publicKey, seq: 99, sig: new Uint8Array(64) },
      { v: 'real', k: publicKey, seq: 99, sig: real.signature },
      {
        v: 'lie',
        k: publicKeyOf(new Uint8Array(32)),
        seq: 99,
        sig: signItem({ value: encode('lie'), seq: 99 }, new Uint8Array(32)).signature,
      },
      { v: 'lie' },
      { v: 'lie', k: publicKey, seq: -1, sig: real.signature },
      { v: 'x'.repeat(1500), k: publicKey, seq: 99, sig: real.signature },
      { v: 'old', k: publicKey, seq: 2, sig: signItem({ value: encode('old'), seq: 2 }, SEED).signature },
    ];
    for (const [number, lie] of lies.entries()) {
      const liar = new Stranger(
        net,
        at(50 + number),
        true,
        Buffer.concat([target.subarray(0, 19), Uint8Array.of(number)]),
      );
      liar.answer = (method) => (method === 'get' ? { ...lie, token: 'token' } : {});
      one?.addNode(at(50 + number));
      two?.addNode(at(50 + number));
    }
    if (two) await all(two.lookup(target));
    t.ok(((await one?.putItem(real)) ?? 0) >= 1);
    t.same(await two?.getItem(target, { publicKey }), real);
  },
);

t.test('a large item goes to whoever is there, and not to an address that was made up', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const item = { value: encode('x'.repeat(900)) };
  const target = itemTarget(item);
  net.add(at(1));
  await net.add(at(2), { bootstrap: [at(1)] }).putItem(item);
  const there = new Stranger(net, at(8));
  const answer = await there.ask(at(1), 'get', { target });
  t.ok(answer?.kind === 'reply' && answer.values.has('v'));
  t.same(there.heard, ['ping'], 'it was asked first');
  const forged = new Stranger(net, at(9), false);
  const small = await forged.ask(at(1), 'get', { target });
  t.ok(small?.kind === 'reply' && !small.values.has('v') && small.values.has('token'));
  const readOnly = new Stranger(net, at(10), false);
  await readOnly.ask(at(1), 'get', { target }, true);
  t.same(readOnly.heard, [], 'who answers nobody is not asked (BEP 43)');
  t.ok(readOnly.receivedBytes <= 3 * readOnly.sentBytes);
});
