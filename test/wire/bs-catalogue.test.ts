import fc from 'fast-check';
import t from 'tap';
import { encode } from '../../src/bencode.js';
import {
  type CatalogueClaim,
  encodeClaims,
  MAX_BS_CATALOGUE_BYTES,
  MAX_CLAIMS,
  parseClaims,
} from '../../src/wire/bs-catalogue.js';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const claim: fc.Arbitrary<CatalogueClaim> = fc.record({
  infoHashV1: bytes(20),
  infoHashV2: bytes(32),
  lengthBytes: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  count: fc.integer({ min: 1, max: 99_999 }),
  work: bytes(32),
});

const one: CatalogueClaim = {
  infoHashV1: new Uint8Array(20).fill(1),
  infoHashV2: new Uint8Array(32).fill(2),
  lengthBytes: 1000,
  count: 3,
  work: new Uint8Array(32).fill(4),
};

function dict(changes: Record<string, Uint8Array | number | undefined>): Map<string, Uint8Array | number> {
  const all = { ih1: one.infoHashV1, ih2: one.infoHashV2, len: 1000, n: 3, work: one.work, ...changes };
  return new Map(
    Object.entries(all).filter((entry): entry is [string, Uint8Array | number] => entry[1] !== undefined),
  );
}

t.test('claims come back as they were told', async () => {
  fc.assert(
    fc.property(fc.array(claim, { maxLength: MAX_CLAIMS }), (claims) => {
      const payload = encodeClaims(claims);
      t.same(parseClaims(payload), claims);
      return payload.length <= MAX_BS_CATALOGUE_BYTES;
    }),
  );
});

t.test('the message has the form of DESIGN §1', async (t) => {
  const work = `32:${'\x04'.repeat(32)}`;
  const expected = `ld3:ih120:${'\x01'.repeat(20)}3:ih232:${'\x02'.repeat(32)}3:leni1000e1:ni3e4:work${work}ee`;
  t.equal(Buffer.from(encodeClaims([one])).toString('latin1'), expected);
});

t.test('more than eight claims are refused, to tell and to hear', async (t) => {
  t.throws(() => encodeClaims(Array(9).fill(one)), RangeError);
  t.equal(parseClaims(encode(Array(9).fill(dict({})))), null);
  t.equal(parseClaims(encode(Array(8).fill(dict({}))))?.length, 8);
});

t.test('a claim that lacks something, has too much, or goes out of bounds is malformed', async (t) => {
  const bad: Record<string, Uint8Array | number | undefined>[] = [
    ...['ih1', 'ih2', 'len', 'n', 'work'].map((key) => ({ [key]: undefined })),
    { more: 1 },
    { ih1: new Uint8Array(19) },
    { ih1: new Uint8Array(32) },
    { ih2: new Uint8Array(20) },
    { ih2: 7 },
    { len: 0 },
    { len: -5 },
    { len: new Uint8Array(3) },
    { n: 0 },
    { n: -1 },
    { n: 100_000 },
    { work: new Uint8Array(31) },
    { work: new Uint8Array(33) },
    { work: 5 },
  ];
  for (const changes of bad) t.equal(parseClaims(encode([dict(changes)])), null, Object.keys(changes).join());
  t.equal(parseClaims(Buffer.from('ld3:leni18446744073709551615eee')), null);
  for (const text of ['', 'le ', 'd', 'de', 'i1e', '0:', 'llee', 'l'.repeat(50), 'lde', 'li1ee'])
    t.equal(parseClaims(Buffer.from(text)), null, text);
  t.same(parseClaims(Buffer.from('le')), []);
  t.equal(parseClaims(new Uint8Array(MAX_BS_CATALOGUE_BYTES + 1).fill(0x6c)), null);
});

t.test('whatever bytes come, nothing throws, and what is accepted is canonical', async () => {
  const whole = Buffer.from(encodeClaims([one, one]));
  const changed = fc.tuple(fc.nat(whole.length - 1), fc.nat(255)).map(([at, byte]) => {
    const copy = Uint8Array.from(whole);
    copy[at] = byte;
    return copy;
  });
  const cut = fc.nat(whole.length - 1).map((length) => whole.subarray(0, length));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), changed, cut), (payload) => {
      const claims = parseClaims(payload);
      return claims === null || Buffer.compare(encodeClaims(claims), payload) === 0;
    }),
    { numRuns: 2000 },
  );
});
