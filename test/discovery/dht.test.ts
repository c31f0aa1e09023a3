import t from 'tap';
import { type BencodeDict, decode, encode, isDict } from '../../src/bencode.js';
import type { PeerAddress } from '../../src/connector.js';
import { Dht, type DhtOptions } from '../../src/discovery/dht.js';

const HASH = new Uint8Array(20).fill(0xab);

/** Datagrams between nodes in memory: what a switch does, without sockets and without loss unless asked for. */
class DatagramSwitch {
  readonly nodes = new Map<string, Dht>();
  sent = 0;
  private readonly options: Partial<DhtOptions>;

  constructor(options: Partial<DhtOptions> = {}) {
    this.options = options;
  }

  add(number: number, options: Partial<DhtOptions> = {}): Dht {
    const address = addressOf(number);
    const node = new Dht({
      send: (payload, host, port) => this.send(address, payload, { host, port }),
      address,
      mayDial: () => true,
      answerMs: 200,
      ...this.options,
      ...options,
    });
    this.nodes.set(`${address.host}:${address.port}`, node);
    return node;
  }

  send(from: PeerAddress, payload: Uint8Array, to: PeerAddress): boolean {
    this.sent += 1;
    const copy = Uint8Array.from(payload);
    setImmediate(() => this.nodes.get(`${to.host}:${to.port}`)?.deliver([{ ...from, payload: copy }]));
    return true;
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.close()));
  }
}

function addressOf(number: number): PeerAddress {
  return { host: `10.0.0.${number}`, port: 6881 };
}

async function all(peers: AsyncIterable<PeerAddress>): Promise<PeerAddress[]> {
  const found: PeerAddress[] = [];
  for await (const peer of peers) found.push(peer);
  return found;
}

t.test('a node finds what another announced at a third', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(1);
  const seeder = net.add(2, { bootstrap: [addressOf(1)] });
  const fetcher = net.add(3, { bootstrap: [addressOf(1)] });
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
  net.add(1);
  const seeder = net.add(2, { bootstrap: [addressOf(1)] });
  const fetcher = net.add(3, { bootstrap: [addressOf(1)] });
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
  net.add(1);
  const late = net.add(2);
  t.equal(await late.announce(HASH, 1), 0, 'nobody is known yet');
  late.addNode(addressOf(1));
  while (late.nodes().length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.equal(await late.announce(HASH, 1), 1);
});

t.test('a lookup ends when nodes are silent, and a slow one is cut off', async (t) => {
  const net = new DatagramSwitch({ answerMs: 40, lookupMs: 10 });
  t.teardown(() => net.close());
  const alone = net.add(1, { bootstrap: [addressOf(99)] });
  t.same(await all(alone.lookup(HASH)), []);
  t.equal(await alone.announce(HASH, 1), 0);
});

t.test('a lookup gives at most so many peers, each once', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(1);
  for (let number = 10; number < 20; number += 1) {
    await net.add(number, { bootstrap: [addressOf(1)] }).announce(HASH, 1);
  }
  const many = await all(net.add(2, { bootstrap: [addressOf(1)] }).lookup(HASH));
  t.equal(new Set(many.map(({ host }) => host)).size, 10);
  t.equal(many.length, 10);
  t.equal((await all(net.add(3, { bootstrap: [addressOf(1)], peersPerLookup: 4 }).lookup(HASH))).length, 4);
});

t.test('stopping to read stops the lookup', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  net.add(1);
  await net.add(2, { bootstrap: [addressOf(1)] }).announce(HASH, 1);
  const fetcher = net.add(3, { bootstrap: [addressOf(1)], walks: 1 });
  for await (const peer of fetcher.lookup(HASH)) {
    t.equal(peer.port, 1);
    break;
  }
  t.equal((await all(fetcher.lookup(HASH))).length, 1, 'its turn went to the next one');
});

t.test('a signal ends a lookup, also while it waits for its turn', async (t) => {
  const net = new DatagramSwitch({ walks: 1, answerMs: 5000 });
  t.teardown(() => net.close());
  const node = net.add(1, { bootstrap: [addressOf(99)] });
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
  const node = net.add(1, { bootstrap: [addressOf(99)] });
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
  const shy = net.add(1, { mayDial: () => false });
  const other = net.add(2, { bootstrap: [addressOf(1)] });
  t.equal(await other.announce(HASH, 5), 1, 'answered');
  const { sent } = net;
  shy.addNode(addressOf(2));
  t.equal(net.sent, sent, 'told by a stranger: not asked');
  shy.addNode(addressOf(2), { asked: true });
  t.equal(net.sent, sent + 1, 'told by the user: asked');
});

t.test('a stranger with odd datagrams changes nothing', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(1);
  const id = new Uint8Array(20).fill(1);
  const query = (q: string, a: BencodeDict) =>
    encode(
      new Map<string, BencodeDict | string>([
        ['a', a.set('id', id)],
        ['q', q],
        ['t', 'aa'],
        ['y', 'q'],
      ]),
    );
  const odd = [
    Buffer.from('l-3:e'),
    Buffer.from('d1:rl-3:e1:t2:aa1:y1:re'),
    query('get_peers', new Map([['info_hash', 5]])),
    query('find_node', new Map([['target', new Uint8Array(3)]])),
    query(
      'announce_peer',
      new Map<string, number | Uint8Array>([
        ['info_hash', HASH],
        ['port', 1],
      ]),
    ),
    query(
      'announce_peer',
      new Map<string, number | Uint8Array>([
        ['info_hash', HASH],
        ['port', 1],
        ['token', 7],
      ]),
    ),
    query('put', new Map([['v', new Uint8Array(900)]])),
  ];
  const { sent } = net;
  node.deliver(odd.map((payload) => ({ ...addressOf(9), payload })));
  t.equal(node.refusedDatagrams(), odd.length);
  node.deliver([{ host: '::1', port: 6881, payload: query('ping', new Map()) }]);
  node.deliver([{ ...addressOf(9), port: 0, payload: query('ping', new Map()) }]);
  t.equal(node.refusedDatagrams(), odd.length + 2, 'IPv6 and port 0 are no addresses of this DHT');
  t.equal(net.sent, sent, 'no answer to any');
  node.deliver([{ ...addressOf(9), payload: query('ping', new Map()) }]);
  t.equal(net.sent, sent + 1, 'a sound one is answered');
});

t.test('a popular hash makes no large answer', async (t) => {
  const answers: Uint8Array[] = [];
  const node = new Dht({
    send: (payload) => answers.push(Uint8Array.from(payload)) > 0,
    address: addressOf(1),
    mayDial: () => true,
  });
  t.teardown(() => node.close());
  const id = new Uint8Array(20).fill(1);
  const ask = (host: string, q: string, fields: [string, number | Uint8Array][]) => {
    const a = new Map<string, number | Uint8Array>([['id', id], ['info_hash', HASH], ...fields]);
    const payload = encode(
      new Map<string, string | typeof a>([
        ['a', a],
        ['q', q],
        ['t', 'aa'],
        ['y', 'q'],
      ]),
    );
    node.deliver([{ host, port: 1, payload }]);
    const reply = decode(answers.at(-1) ?? new Uint8Array(0), { maxTokens: 1e5 });
    const r = isDict(reply) ? reply.get('r') : undefined;
    return isDict(r) ? r : new Map<string, never>();
  };
  for (let i = 0; i < 300; i += 1) {
    const host = `10.1.${i >> 8}.${i & 255}`;
    const token = ask(host, 'get_peers', []).get('token');
    ask(host, 'announce_peer', [
      ['port', 5],
      ['token', token as Uint8Array],
    ]);
  }
  const values = ask('10.2.0.1', 'get_peers', []).get('values');
  t.equal(Array.isArray(values) && values.length, 50);
  t.ok((answers.at(-1)?.length ?? 9999) < 600);
});

t.test('arguments are checked', async (t) => {
  const net = new DatagramSwitch();
  t.teardown(() => net.close());
  const node = net.add(1);
  await t.rejects(node.announce(HASH, 0), RangeError);
  await t.rejects(node.announce(new Uint8Array(32), 1), RangeError);
  await t.rejects(all(node.lookup(new Uint8Array(32))), RangeError);
});
