import fc from 'fast-check';
import t from 'tap';
import {
  displayHash,
  formatBytes,
  formatDuration,
  formatRate,
  fromBase32,
  fromHex,
  parseHash,
  sameBytes,
  toBase32,
  toHex,
} from '../src/units.js';

t.test('sizes are IEC with three digits', async (t) => {
  const cases: [number, string][] = [
    [0, '0 B'],
    [999, '999 B'],
    [1000, '0.98 KiB'],
    [1024, '1.00 KiB'],
    [1536, '1.50 KiB'],
    [10 * 1024, '10.0 KiB'],
    [100 * 1024, '100 KiB'],
    [4 * 1024 ** 2, '4.00 MiB'],
    [1023.9 * 1024, '1.00 MiB'],
    [700 * 1024 ** 3, '700 GiB'],
    [2 ** 70, '1024 EiB'],
  ];
  for (const [bytes, text] of cases) t.equal(formatBytes(bytes), text);
  t.equal(formatRate(2 * 1024 ** 2), '2.00 MiB/s');
  t.throws(() => formatBytes(-1), RangeError);
  t.throws(() => formatBytes(Number.NaN), RangeError);
});

t.test('a size never shows four digits below the largest unit', async () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1e17, noNaN: true }), (bytes) => {
      const [value = ''] = formatBytes(bytes).split(' ');
      return Number(value) < 1000;
    }),
  );
});

t.test('durations show their two largest units', async (t) => {
  const cases: [number, string][] = [
    [0, '0 ms'],
    [450, '450 ms'],
    [999.9, '1.0 s'],
    [12_340, '12.3 s'],
    [59_949, '59.9 s'],
    [59_960, '1 min 00 s'],
    [90_000, '1 min 30 s'],
    [3_599_700, '1 h 00 min'],
    [7_500_000, '2 h 05 min'],
    [90_000_000, '1 d 01 h'],
    [Number.POSITIVE_INFINITY, '-'],
  ];
  for (const [durationMs, text] of cases) t.equal(formatDuration(durationMs), text);
  t.throws(() => formatDuration(-1), RangeError);
});

t.test('hex goes there and back, and only hex does', async (t) => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      t.same(fromHex(toHex(bytes)), bytes);
      t.same(fromHex(toHex(bytes).toUpperCase(), bytes.length), bytes);
    }),
    { numRuns: 30 },
  );
  for (const text of ['0', 'zz', '0x00', ' 00', '00 ', '0g']) t.equal(fromHex(text), null, text);
  t.equal(fromHex('0011', 1), null);
});

t.test('base32 is that of RFC 4648 without padding', async (t) => {
  const vectors = ['', 'my', 'mzxq', 'mzxw6', 'mzxw6yq', 'mzxw6ytb', 'mzxw6ytboi'];
  for (const [length, text] of vectors.entries()) {
    const bytes = Buffer.from('foobar').subarray(0, length);
    t.equal(toBase32(bytes), text);
    t.same(fromBase32(text.toUpperCase(), length), new Uint8Array(bytes));
  }
  for (const [text, lengthBytes] of [
    ['mzxw6', 2],
    ['mzxw', 3],
    ['mzxw0', 3],
    ['mzxw\n', 3],
  ] as const)
    t.equal(fromBase32(text, lengthBytes), null, text);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const back = fromBase32(toBase32(bytes), bytes.length);
      return back !== null && sameBytes(back, bytes);
    }),
  );
});

t.test('a view into a larger buffer is shown as the view alone', async (t) => {
  t.equal(toHex(Uint8Array.of(1, 2, 3, 4).subarray(1, 3)), '0203');
});

t.test('block hashes are text reversed', async (t) => {
  const text = '000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f';
  const hash = parseHash(text);
  t.equal(hash?.[0], 0x6f);
  t.equal(hash && displayHash(hash), text);
  t.equal(hash?.[0], 0x6f, 'showing leaves the bytes as they are');
  t.equal(parseHash(text.slice(2)), null);
  t.equal(parseHash(`${text}00`), null);
});

t.test('bytes are compared by content', async (t) => {
  t.ok(sameBytes(Uint8Array.of(1, 2), Buffer.from([1, 2])));
  t.notOk(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2, 3)));
  t.notOk(sameBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3)));
});
