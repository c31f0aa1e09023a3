import fc from 'fast-check';
import t from 'tap';
import { encode } from '../../src/bencode.js';
import { encodeDhtState, NO_DHT_STATE, parseDhtState } from '../../src/discovery/dht-state.js';

const id = () => fc.uint8Array({ minLength: 20, maxLength: 20 });
const port = fc.integer({ min: 1, max: 65535 });
const nodes = (host: fc.Arbitrary<string>) =>
  fc.array(fc.record({ id: id(), host, port }), { maxLength: 20 });
const ipv4 = fc.tuple(fc.nat(255), fc.nat(255)).map(([a, b]) => `8.9.${a}.${b}`);
const ipv6 = fc.integer({ min: 1, max: 65535 }).map((group) => `2001:db8::${group.toString(16)}`);

t.test('what is written is read', async (t) => {
  const state = fc.record({
    ipv4: fc.record({ id: fc.option(id()), nodes: nodes(ipv4) }),
    ipv6: fc.record({ id: fc.option(id()), nodes: nodes(ipv6) }),
  });
  fc.assert(
    fc.property(state, (kept) => {
      const bytes = encodeDhtState(kept);
      return Buffer.compare(encodeDhtState(parseDhtState(bytes)), bytes) === 0;
    }),
  );
  t.same(parseDhtState(encodeDhtState(NO_DHT_STATE)), NO_DHT_STATE);
});

t.test('a damaged file is refused, or what is wrong in it left out', async (t) => {
  t.throws(() => parseDhtState(Buffer.from('rubbish')), { code: 'ERR_BENCODE' });
  t.throws(() => parseDhtState(new Uint8Array(100_000)), { code: 'ERR_BENCODE' });
  t.same(parseDhtState(encode([])), NO_DHT_STATE);
  const odd = new Map<string, Uint8Array | number>([
    ['id', new Uint8Array(3)],
    ['id6', 7],
    ['nodes', new Uint8Array(30)],
    ['nodes6', new Uint8Array(38)],
  ]);
  t.same(
    parseDhtState(encode(odd)),
    NO_DHT_STATE,
    'short id, id of the wrong kind, nodes without an address',
  );
});
