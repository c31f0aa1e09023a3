import fc from 'fast-check';
import t from 'tap';
import { type Encodable, encode } from '../../src/bencode.js';
import { encodePexMessage, MAX_PEX_BYTES, parsePexMessage } from '../../src/wire/pex.js';

const NO_FLAGS = { prefersEncryption: false, seed: false, utp: false, holepunch: false, reachable: false };
const parse = (fields: [string, Encodable][], most?: number) =>
  parsePexMessage(encode(new Map(fields)), most);
const latin1 = (text: string) => Buffer.from(text, 'latin1');

t.test('a message has the form of BEP 11', async (t) => {
  const bytes = encodePexMessage({
    added: [
      { address: { host: '1.2.3.4', port: 258 }, flags: { seed: true, reachable: true } },
      { address: { host: '2001:db8::1', port: 1 }, flags: {} },
    ],
    dropped: [{ host: '4.3.2.1', port: 6881 }],
  });
  t.same(
    Buffer.from(bytes),
    latin1(
      'd5:added6:\x01\x02\x03\x04\x01\x027:added.f1:\x126:added618:\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x018:added6.f1:\0' +
        '7:dropped6:\x04\x03\x02\x01\x1a\xe18:dropped60:e',
    ),
  );
});

t.test('what is written is read back', async () => {
  const ipv4 = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((bytes) => bytes.join('.'));
  const host = fc.oneof(ipv4, fc.constantFrom('2001:db8::1', '::1', '1:2:3:4:5:6:7:8', 'fe80::ff', '1::'));
  const address = fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) });
  const addresses = fc.uniqueArray(address, {
    maxLength: 20,
    selector: ({ host, port }) => `${host} ${port}`,
  });
  const flags = fc.record({
    prefersEncryption: fc.boolean(),
    seed: fc.boolean(),
    utp: fc.boolean(),
    holepunch: fc.boolean(),
    reachable: fc.boolean(),
  });
  fc.assert(
    fc.property(
      addresses,
      addresses,
      fc.array(flags, { minLength: 20, maxLength: 20 }),
      (added, dropped, marks) => {
        const message = {
          added: added.map((each, at) => ({ address: each, flags: marks[at] ?? NO_FLAGS })),
          dropped,
        };
        const read = parsePexMessage(encodePexMessage(message));
        const sort = (list: readonly unknown[]) => list.map((each) => JSON.stringify(each)).sort();
        return (
          read !== null &&
          sort(read.added).join() === sort(message.added).join() &&
          sort(read.dropped).join() === sort(message.dropped).join()
        );
      },
    ),
    { numRuns: 200 },
  );
});

t.test('more peers than may be told are left out, doubles count once', async (t) => {
  const added = Buffer.concat(Array.from({ length: 200 }, (_, at) => Uint8Array.of(1, 2, 3, at, 0, 1)));
  t.equal(parse([['added', added]])?.added.length, 100);
  t.equal(parse([['added', added]], 50)?.added.length, 50);
  const six = Buffer.concat(Array.from({ length: 90 }, (_, at) => Buffer.alloc(18, at + 1)));
  const both = parse([
    ['added', added],
    ['added6', six],
  ]);
  t.equal(both?.added.length, 100, 'of both families together');
  t.equal(parse([['added', Buffer.alloc(60, 7)]])?.added.length, 1);
  t.equal(parse([['dropped', added]])?.dropped.length, 100);
});

t.test('an address that makes no sense keeps its place among the flags', async (t) => {
  const message = parse([
    ['added', latin1('\x01\x02\x03\x04\0\0\x01\x02\x03\x05\0\x01')],
    ['added.f', latin1('\x02\x10')],
  ]);
  t.same(message?.added, [
    { address: { host: '1.2.3.5', port: 1 }, flags: { ...NO_FLAGS, reachable: true } },
  ]);
});

t.test('an IPv4 address in IPv6 clothes is an IPv4 address', async (t) => {
  const mapped = latin1('\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01\x1a\xe1');
  t.same(parse([['added6', mapped]])?.added[0]?.address, { host: '127.0.0.1', port: 6881 });
});

t.test('what is no peer exchange is null', async (t) => {
  t.equal(parse([['added', new Uint8Array(7)]]), null);
  t.equal(parse([['added6', new Uint8Array(6)]]), null);
  t.equal(parse([['dropped', 1]]), null);
  t.equal(parsePexMessage(encode([])), null);
  t.equal(parse([['added', new Uint8Array(6 * 3000)]]), null, `longer than ${MAX_PEX_BYTES} bytes`);
  t.equal(parsePexMessage(latin1(`d5:added${'l'.repeat(50)}${'e'.repeat(50)}e`)), null, 'a bencode bomb');
  t.same(parse([]), { added: [], dropped: [] });
});

t.test('any bytes are a message or null', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      parsePexMessage(bytes);
      parsePexMessage(encode(new Map([['added', bytes]])));
      parsePexMessage(encode(new Map([['added6.f', bytes]])));
    }),
    { numRuns: 500 },
  );
});
