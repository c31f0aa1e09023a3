/** What strangers can do to a node: its id, its table, its walks and its stores; read-only nodes, samples, both families. */
import t from 'tap';
import type { PeerAddress } from '../../src/connector.js';
import { encodeCompactNodes, type NodeInfo } from '../../src/discovery/compact-nodes.js';
import type { Dht } from '../../src/discovery/dht.js';
import { isBoundId, randomId } from '../../src/discovery/node-id.js';
import { all, DatagramSwitch } from '../helpers/datagram-switch.js';
import { Stranger } from '../helpers/dht-stranger.js';

const HASH = new Uint8Array(20).fill(0xab);
/** Of another network each, all over the world. */
const at = (number: number): PeerAddress => ({
  host: `${20 + (number % 70)}.${number >> 8}.${number & 255}.1`,
  port: 6881,
});
const turn = () => new Promise((resolve) => setImmediate(resolve));

t.test('an id is bound to where four networks see us (BEP 42), and not to what fewer say', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(at(1));
  const here = { host: '93.184.216.34', port: 9 };
  const strangers = [2, 3, 4, 5].map((number) => new Stranger(net, at(number)));
  for (const stranger of strangers) stranger.sees = here;
  const first = node.state().ipv4.id as Uint8Array;
  for (const number of [2, 3, 4]) node.addNode(at(number));
  while (node.nodes().length < 3) await turn();
  t.same(node.state().ipv4.id, first, 'three say so');
  node.addNode(at(5));
  while (node.nodes().length < 4) await turn();
  const id = node.state().ipv4.id as Uint8Array;
  t.notSame(id, first);
  t.ok(isBoundId(id, here.host));
  t.equal(node.externalAddress.current('ipv4'), here.host);
  const restarted = net.add(at(1), { state: node.state() });
  t.same(restarted.state().ipv4.id, id, 'it is kept over a restart');
});

t.test('a walk through poisoned lists ends, asks few, and finds what is there', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(at(1));
  const seeder = net.add(at(2), { bootstrap: [at(1)] });
  t.ok((await seeder.announce(HASH, 7777)) >= 1);
  const fetcher = net.add(at(3), { bootstrap: [at(1)] });
  // Each names eight more of one network, ever nearer to the target, and hosts of ours.
  const near = (host: string, at: number): NodeInfo => ({
    id: Buffer.concat([HASH.subarray(0, 18), Uint8Array.of(at >> 8, at & 255)]),
    host,
    port: 6881,
  });
  let named = 0;
  for (let number = 0; number < 40; number++) {
    const liar = new Stranger(net, at(100 + number), true, near('', number).id);
    liar.answer = () => {
      const nodes = Array.from({ length: 8 }, () => near(`66.1.2.${named++ & 255}`, named));
      const local = ['127.0.0.1', '10.0.0.1', '192.168.0.1', '0.0.0.0', '255.255.255.255'].map((host) =>
        near(host, 7),
      );
      return {
        nodes: encodeCompactNodes([...nodes, ...local, near(at(100 + ((number + 1) % 40)).host, number + 1)]),
        token: 'x',
      };
    };
    fetcher.addNode(at(100 + number));
  }
  const asked = new Set<string>();
  for (const host of ['127.0.0.1', '10.0.0.1', '192.168.0.1'])
    net.listen({ host, port: 6881 }, () => asked.add(host));
  const before = net.sent;
  t.same(await all(fetcher.lookup(HASH)), [{ host: at(2).host, port: 7777 }]);
  t.ok(net.sent - before < 2 * 160, `${net.sent - before} datagrams`);
  t.same([...asked], [], 'nobody out there points us at our own network');
});

t.test('peers that a stranger names in our own network are not given to anybody', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(at(1), { bootstrap: [at(2)] });
  const liar = new Stranger(net, at(2));
  const values = [
    [127, 0, 0, 1, 0, 22],
    [192, 168, 1, 1, 0, 80],
    [8, 8, 8, 8, 0, 0],
    [8, 8, 4, 4, 0, 5],
    [1, 2],
  ].map((bytes) => Uint8Array.from(bytes));
  liar.answer = () => ({ values, token: 'x' });
  t.same(await all(node.lookup(HASH)), [{ host: '8.8.4.4', port: 5 }]);
});

t.test('an answer from another address, or with a wrong transaction, is nobody’s', async (t) => {
  const net = new DatagramSwitch({ answerMs: 50 });
  t.teardown(() => net.close());
  const node = net.add(at(1));
  net.listen(at(2), (from, payload) => {
    const text = Buffer.from(payload).toString('latin1');
    const transaction = /1:t4:(.{4})1:y/s.exec(text)?.[1] ?? '';
    const reply = (t: string) => Buffer.from(`d1:rd2:id20:abcdefghij0123456789e1:t4:${t}1:y1:re`, 'latin1');
    net.send(at(3), reply(transaction), from);
    net.send(at(2), reply('none'), from);
  });
  node.addNode(at(2));
  while (node.refusedDatagrams() < 2) await turn();
  t.same(node.nodes(), []);
});

t.test(
  'whoever asks us is known only once it has answered, and a read-only node never (BEP 43)',
  async (t) => {
    const net = new DatagramSwitch({ answerMs: 50 });
    t.teardown(() => net.close());
    const node = net.add(at(1));
    const [forged, there, readOnly] = [
      new Stranger(net, at(2), false),
      new Stranger(net, at(3)),
      new Stranger(net, at(4)),
    ];
    await forged.ask(at(1), 'ping', {});
    await readOnly.ask(at(1), 'ping', {}, true);
    await there.ask(at(1), 'ping', {});
    while (node.nodes().length === 0) await turn();
    t.same(node.nodes(), [at(3)]);
    t.same(readOnly.heard, []);
  },
);

t.test('a read-only node asks, says so, and answers nobody', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const hub = net.add(at(1));
  const seeder = net.add(at(2), { bootstrap: [at(1)] });
  await seeder.announce(HASH, 7777);
  const node = net.add(at(3), { bootstrap: [at(1)], readOnly: true });
  t.equal((await all(node.lookup(HASH))).length, 1);
  t.notOk(hub.nodes().some(({ host }) => host === at(3).host));
  const stranger = new Stranger(net, at(4));
  net.send(at(4), stranger.question('ping'), at(3));
  for (let n = 0; n < 5; n++) await turn();
  t.equal(stranger.receivedBytes, 0);
});

t.test('samples of what nodes keep are given and asked for (BEP 51)', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(at(1));
  const seeder = net.add(at(2), { bootstrap: [at(1)] });
  const hashes = Array.from({ length: 5 }, () => randomId());
  for (const hash of hashes) await seeder.announce(hash, 7777);
  const node = net.add(at(3), { bootstrap: [at(1)] });
  const samples = await all(node.sampleInfohashes(randomId()));
  const found = new Set(
    samples.flatMap(({ infoHashes }) => infoHashes.map((hash) => Buffer.from(hash).toString('hex'))),
  );
  t.same([...found].sort(), hashes.map((hash) => Buffer.from(hash).toString('hex')).sort());
  t.match(samples[0], { total: 5, intervalMs: 600_000 });
});

t.test('samples that are no infohashes are left out', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(at(1), { bootstrap: [at(2)] });
  const liar = new Stranger(net, at(2));
  liar.answer = () => ({ samples: new Uint8Array(21), num: -5, interval: 1e12 });
  t.same(await all(node.sampleInfohashes(HASH)), []);
  liar.answer = () => ({ samples: new Uint8Array(20), num: -5, interval: 1e12 });
  t.match(await all(node.sampleInfohashes(HASH)), [{ total: 1, intervalMs: 21_600_000 }]);
});

t.test('IPv6 is a DHT of its own, and the way into it is found over IPv4 (BEP 32)', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const v6 = (number: number) => `2a0${number}:1::1`;
  const both = (number: number, bootstrap: PeerAddress[]) =>
    net.add({ host: '::', port: 6881 }, { bootstrap }, [at(number).host, v6(number)]);
  const hub = both(1, []);
  const only6 = net.add({ host: v6(2), port: 6881 }, { bootstrap: [{ host: v6(1), port: 6881 }] });
  t.ok((await only6.announce(HASH, 6666)) >= 1);
  const knows6 = async (node: Dht) => {
    await all(node.lookup(HASH));
    while (!node.nodes().some(({ host }) => host.includes(':'))) await turn();
  };
  const seeder = both(3, [at(1)]);
  await knows6(seeder);
  t.ok((await seeder.announce(HASH, 7777)) >= 2, 'in both families');
  const fetcher = both(4, [at(1)]);
  await knows6(fetcher);
  const found = (await all(fetcher.lookup(HASH))).map(({ host, port }) => `${host} ${port}`).sort();
  t.same(found, [`${at(3).host} 7777`, `${v6(2)} 6666`, `${v6(3)} 7777`].sort());
  t.ok(hub.state().ipv6.nodes.length >= 1);
  t.notSame(hub.state().ipv6.id, hub.state().ipv4.id);
});
