import t from 'tap';
import type { BencodeValue } from '../../src/bencode.js';
import type { PeerAddress } from '../../src/connector.js';
import { encodeReply, type KrpcMessage } from '../../src/discovery/krpc.js';
import { all, DatagramSwitch } from '../helpers/datagram-switch.js';
import { Stranger } from '../helpers/dht-stranger.js';
import { MALFORMED_DATAGRAMS } from '../vectors/malformed-datagrams.js';

const HASH = new Uint8Array(20).fill(0xab);

function addressOf(number: number): PeerAddress {
  return { host: `10.0.0.${number}`, port: 6881 };
}

t.test('a node finds what another announced at a third', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(addressOf(1));
  const seeder = net.add(addressOf(2), { bootstrap: [addressOf(1)] });
  const fetcher = net.add(addressOf(3), { bootstrap: [addressOf(1)] });
  t.ok((await seeder.announce(HASH, 7777)) >= 1, 'somebody took the announcement');
  t.same(
    await all(fetcher.lookup(HASH)),
    [{ host: '10.0.0.2', port: 7777 }],
    'host of the sender, port as said',
  );
  t.same(await all(fetcher.lookup(new Uint8Array(20))), [], 'another hash has no peers');
  t.ok(fetcher.nodes().some(({ host }) => host === '10.0.0.1'));
});

t.test('lookups at the same time do not mix', async (t) => {
  const net = new DatagramSwitch({ walks: 2 });
  t.teardown(() => net.close());
  net.add(addressOf(1));
  const seeder = net.add(addressOf(2), { bootstrap: [addressOf(1)] });
  const fetcher = net.add(addressOf(3), { bootstrap: [addressOf(1)] });
  const hashes = Array.from({ length: 6 }, (_, i) => new Uint8Array(20).fill(i + 1));
  await Promise.all(hashes.map((hash, i) => seeder.announce(hash, 1000 + i)));
  const found = await Promise.all(hashes.map((hash) => all(fetcher.lookup(hash))));
  t.same(
    found.map((peers) => peers.map((peer) => peer.port)),
    hashes.map((_, i) => [1000 + i]),
  );
});

t.test('a node added later is pinged and used', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(addressOf(1));
  const late = net.add(addressOf(2));
  t.equal(await late.announce(HASH, 1), 0, 'nobody is known yet');
  late.addNode(addressOf(1));
  while (late.nodes().length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.equal(await late.announce(HASH, 1), 1);
});

t.test('a lookup ends when nodes are silent, and a slow one is cut off', async (t) => {
  const net = new DatagramSwitch({ answerMs: 40, lookupMs: 10 });
  t.teardown(() => net.close());
  const alone = net.add(addressOf(1), { bootstrap: [addressOf(99)] });
  t.same(await all(alone.lookup(HASH)), []);
  t.equal(await alone.announce(HASH, 1), 0);
});

t.test('an answer that came while we were busy is heard', async (t) => {
  const net = new DatagramSwitch({ answerMs: 30 });
  t.teardown(() => net.close());
  net.add(addressOf(1));
  const busy = net.add(addressOf(2));
  busy.addNode(addressOf(1));
  // The question arrives, and its answer waits for us.
  await new Promise((resolve) => setImmediate(resolve));
  const untilMs = performance.now() + 60;
  while (performance.now() < untilMs);
  await net.quiet();
  t.equal(busy.nodes().length, 1);
});

t.test('a lookup gives at most so many peers, each once', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(addressOf(1));
  for (let number = 10; number < 20; number += 1) {
    await net.add(addressOf(number), { bootstrap: [addressOf(1)] }).announce(HASH, 1);
  }
  const many = await all(net.add(addressOf(2), { bootstrap: [addressOf(1)] }).lookup(HASH));
  t.equal(new Set(many.map(({ host }) => host)).size, 10);
  t.equal(many.length, 10);
  t.equal(
    (await all(net.add(addressOf(3), { bootstrap: [addressOf(1)], peersPerLookup: 4 }).lookup(HASH))).length,
    4,
  );
});

t.test('stopping to read stops the lookup', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(addressOf(1));
  await net.add(addressOf(2), { bootstrap: [addressOf(1)] }).announce(HASH, 1);
  const fetcher = net.add(addressOf(3), { bootstrap: [addressOf(1)], walks: 1 });
  for await (const peer of fetcher.lookup(HASH)) {
    t.equal(peer.port, 1);
    break;
  }
  t.equal((await all(fetcher.lookup(HASH))).length, 1, 'its turn went to the next one');
});

t.test('a signal ends a lookup, also while it waits for its turn', async (t) => {
  const net = new DatagramSwitch({ walks: 1, answerMs: 5000 });
  t.teardown(() => net.close());
  const node = net.add(addressOf(1), { bootstrap: [addressOf(99)] });
  const reason = new Error('enough');
  const [first, second] = [new AbortController(), new AbortController()];
  const running = t.rejects(all(node.lookup(HASH, { signal: first.signal })), reason);
  const waiting = t.rejects(all(node.lookup(HASH, { signal: second.signal })), reason);
  const announcing = t.rejects(node.announce(HASH, 1, { signal: second.signal }), reason);
  second.abort(reason);
  await Promise.all([waiting, announcing]);
  first.abort(reason);
  await running;
  await t.rejects(all(node.lookup(HASH, { signal: first.signal })), reason);
  await t.rejects(node.announce(HASH, 1, { signal: first.signal }), reason);
});

t.test('close ends what runs, twice is once, and nothing is sent after', async (t) => {
  const net = new DatagramSwitch({ walks: 1, answerMs: 5000 });
  const node = net.add(addressOf(1), { bootstrap: [addressOf(99)] });
  const running = all(node.lookup(HASH));
  const waiting = all(node.lookup(HASH));
  const announcing = node.announce(HASH, 1);
  await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([node.close(), node.close()]);
  t.same(await running, []);
  t.same(await waiting, []);
  t.equal(await announcing, 0);
  const { sent } = net;
  t.same(await all(node.lookup(HASH)), []);
  t.equal(await node.announce(HASH, 1), 0);
  node.addNode(addressOf(1));
  t.equal(net.sent, sent);
});

t.test('a node goes only where it may, but answers whoever asks', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const shy = net.add(addressOf(1), { mayDial: () => false });
  const other = net.add(addressOf(2), { bootstrap: [addressOf(1)] });
  t.equal(await other.announce(HASH, 5), 1, 'answered');
  const { sent } = net;
  shy.addNode(addressOf(2));
  t.equal(net.sent, sent, 'told by a stranger: not asked');
  shy.addNode(addressOf(2), { asked: true });
  t.equal(net.sent, sent + 1, 'told by the user: asked');
});

t.test('a stranger with odd datagrams gets errors at most, and changes nothing', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(addressOf(1));
  const stranger = new Stranger(net, addressOf(9), false);
  node.deliver(MALFORMED_DATAGRAMS.map(([, payload]) => ({ ...addressOf(9), payload })));
  t.equal(node.refusedDatagrams(), MALFORMED_DATAGRAMS.length);
  const ping = stranger.question('ping');
  node.deliver([{ host: '::1', port: 6881, payload: ping }]);
  node.deliver([{ ...addressOf(9), port: 0, payload: ping }]);
  node.deliver([
    { ...addressOf(9), payload: encodeReply(Buffer.from('abcd'), new Map([['id', HASH]]), HASH) },
  ]);
  t.equal(node.refusedDatagrams(), MALFORMED_DATAGRAMS.length + 3, 'IPv6, port 0, an answer to nothing');
  t.equal(net.sent, 0, 'no answer to any');
  const token = Buffer.from('no token');
  for (const [method, args] of [
    ['get_peers', { info_hash: 5 }],
    ['find_node', { target: new Uint8Array(3) }],
    ['announce_peer', { info_hash: HASH, port: 1 }],
    ['announce_peer', { info_hash: HASH, port: 1, token: 7 }],
    ['announce_peer', { info_hash: HASH, port: 1, token }],
    ['put', { v: 'x', token }],
    ['put', { v: 'x', token, k: 'short', sig: 'short', seq: 1 }],
  ] as const) {
    t.match(await stranger.ask(addressOf(1), method, args), { kind: 'error', code: 203 }, method);
  }
  t.match(await stranger.ask(addressOf(1), 'vote', {}), { kind: 'error', code: 204 });
  t.match(await stranger.ask(addressOf(1), 'ping', {}), { kind: 'reply' }, 'a sound one is answered');
  t.same(await all(node.lookup(HASH)), [], 'nothing was kept');
});

t.test('a reply is no larger than the question allows, until the address is proven', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(addressOf(1));
  const announcing = Array.from({ length: 60 }, async (_, number) => {
    const peer = new Stranger(net, { host: `10.1.0.${number}`, port: 5 }, false);
    const reply = await peer.ask(addressOf(1), 'get_peers', { info_hash: HASH });
    const token = reply?.kind === 'reply' && reply.values.get('token');
    t.ok(token);
    await peer.ask(addressOf(1), 'announce_peer', { info_hash: HASH, port: 5, token: token || '' });
  });
  await Promise.all(announcing);
  const forged = new Stranger(net, { host: '10.2.0.1', port: 1 }, false);
  const small = await forged.ask(addressOf(1), 'get_peers', { info_hash: HASH });
  const count = (reply: KrpcMessage | null) =>
    reply?.kind === 'reply' ? ((reply.values.get('values') as BencodeValue[] | undefined)?.length ?? 0) : 0;
  t.ok(count(small) > 5 && count(small) < 30, `${count(small)} peers`);
  t.ok(forged.receivedBytes <= 3 * forged.sentBytes, `${forged.receivedBytes} of ${forged.sentBytes} bytes`);
  const proven = new Stranger(net, { host: '10.1.0.7', port: 5 }, false);
  const large = await proven.ask(addressOf(1), 'get_peers', { info_hash: HASH });
  t.equal(count(large), 50, 'whoever brought its token back gets more');
  t.equal((await all(node.lookup(HASH))).length, 60);
});

t.test('a token serves for its address and infohash alone', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(addressOf(1));
  const [one, other] = [8, 9].map((number) => new Stranger(net, addressOf(number), false));
  const reply = await one?.ask(addressOf(1), 'get_peers', { info_hash: HASH });
  const token = (reply?.kind === 'reply' && reply.values.get('token')) || '';
  const announce = { info_hash: HASH, port: 5, token };
  t.match(await other?.ask(addressOf(1), 'announce_peer', announce), { kind: 'error', code: 203 });
  const another = { ...announce, info_hash: new Uint8Array(20) };
  t.match(await one?.ask(addressOf(1), 'announce_peer', another), { kind: 'error', code: 203 });
  t.match(await one?.ask(addressOf(1), 'announce_peer', announce), { kind: 'reply' });
  const implied = { ...announce, port: 0, implied_port: 1 };
  t.match(await one?.ask(addressOf(1), 'announce_peer', implied), { kind: 'reply' });
  t.same((await all(node.lookup(HASH))).map(({ port }) => port).sort(), [5, 6881]);
});

t.test('arguments are checked', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(addressOf(1));
  await t.rejects(node.announce(HASH, 0), RangeError);
  await t.rejects(node.announce(new Uint8Array(32), 1), RangeError);
  await t.rejects(all(node.lookup(new Uint8Array(32))), RangeError);
});
