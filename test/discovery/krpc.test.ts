import fc from 'fast-check';
import t from 'tap';
import { decode, type Encodable, encode, isDict } from '../../src/bencode.js';
import { boundReply, isSoundKrpc, MAX_REPLY_PEERS } from '../../src/discovery/krpc.js';

const ID = new Uint8Array(20);
const map = (fields: Record<string, Encodable>) => new Map(Object.entries(fields));
const query = (q: Encodable, a: Record<string, Encodable> = {}, t: Encodable = 'aa') =>
  encode(map({ a: map({ id: ID, ...a }), q, t, y: 'q' }));
const reply = (r: Record<string, Encodable> = {}, t: Encodable = 'aa') =>
  encode(map({ r: map({ id: ID, ...r }), t, y: 'r' }));

t.test('the messages of BEP 5 are sound', async (t) => {
  const sound = {
    ping: query('ping'),
    'a query with a long transaction id': query('ping', {}, 'x'.repeat(16)),
    find_node: query('find_node', { target: ID }),
    get_peers: query('get_peers', { info_hash: ID }),
    announce_peer: query('announce_peer', { info_hash: ID, port: 6881, token: 'aoeusnth', implied_port: 1 }),
    pong: reply(),
    nodes: reply({ nodes: new Uint8Array(26 * 8), token: 'x' }),
    values: reply({ values: [new Uint8Array(6), new Uint8Array(6)], token: 'x' }),
    'an error': encode(map({ e: [201, 'A Generic Error'], t: 'aa', y: 'e' })),
    'the example of BEP 5': Buffer.from('d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe'),
  };
  for (const [what, payload] of Object.entries(sound)) t.ok(isSoundKrpc(payload), what);
});

t.test('a field of the wrong kind or size is not', async (t) => {
  const unsound = {
    'no dictionary': encode([]),
    'no kind': encode(map({ t: 'aa' })),
    'another kind': encode(map({ t: 'aa', y: 'x' })),
    'a kind that is a number': encode(map({ t: 'aa', y: 1 })),
    'a query without arguments': encode(map({ q: 'ping', t: 'aa', y: 'q' })),
    'an id of 19 bytes': query('ping', { id: new Uint8Array(19) }),
    'a number as id': query('ping', { id: 5 }),
    'no transaction id': query('ping', {}, ''),
    'a transaction id to reflect': query('ping', {}, 'x'.repeat(17)),
    'a number as transaction id': query('ping', {}, 1),
    'find_node without target': query('find_node'),
    'a number as target': query('find_node', { target: 1 }),
    'get_peers for 32 bytes': query('get_peers', { info_hash: new Uint8Array(32) }),
    'an announcement without token': query('announce_peer', { info_hash: ID, port: 1 }),
    'a port as text': query('announce_peer', { info_hash: ID, port: '1', token: 'x' }),
    'get, which we do not serve': query('get', { target: ID }),
    'put, which we do not serve': query('put', { token: 'x', v: 'x' }),
    'an unknown query': query('vote'),
    'a query named by a list': query([]),
    'a reply of another transaction length': reply({}, 'a'),
    'a reply without r': encode(map({ t: 'aa', y: 'r' })),
    'nodes cut short': reply({ nodes: new Uint8Array(25) }),
    'too many nodes': reply({ nodes: new Uint8Array(26 * 33) }),
    'nodes as a list': reply({ nodes: [] }),
    'values that are no list': reply({ values: new Uint8Array(6) }),
    'an IPv6 value': reply({ values: [new Uint8Array(18)] }),
    'a long token': reply({ token: new Uint8Array(65) }),
    'an error that is no list': encode(map({ e: 1, t: 'aa', y: 'e' })),
    'too long': reply({ x: new Uint8Array(3000) }),
    'trailing bytes': Buffer.concat([reply(), Buffer.from('x')]),
  };
  for (const [what, payload] of Object.entries(unsound)) t.notOk(isSoundKrpc(payload), what);
});

t.test('any bytes are judged without a throw', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => typeof isSoundKrpc(bytes) === 'boolean'),
    { numRuns: 500 },
  );
});

t.test('our replies are cut to what may leave', async (t) => {
  const values = Array.from({ length: 400 }, (_, i) => Uint8Array.of(10, 0, i >> 8, i & 255, 0, 1));
  const cut = boundReply(reply({ values, token: 'x' }));
  const message = cut && decode(cut);
  const r = isDict(message ?? undefined)
    ? (message as Map<string, Map<string, unknown>>).get('r')
    : undefined;
  t.same(r?.get('values'), values.slice(0, MAX_REPLY_PEERS));
  t.same(r?.get('token'), new Uint8Array(Buffer.from('x')), 'the rest stays');
  const whole = reply({ nodes: new Uint8Array(26 * 20) });
  t.equal(boundReply(whole), whole);
  t.equal(boundReply(query('ping', { x: new Uint8Array(3000) })), null, 'no datagram');
  t.equal(boundReply(new Uint8Array(500)), null, 'no message of ours');
});
