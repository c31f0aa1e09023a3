import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { type AddressList, joinRanges, parseAddressList } from '../../src/connector/address-list.js';

const list = (text: string): AddressList => parseAddressList(Buffer.from(text, 'latin1'));

/** `1.2.3.4-1.2.3.5` of each range. */
function shown(text: string): string[] {
  const { v4, v6 } = joinRanges([list(text), list('')]);
  const dotted = (value = 0) => [24, 16, 8, 0].map((bits) => (value >>> bits) & 255).join('.');
  const ranges: string[] = [];
  for (let at = 0; at < v4.length; at += 2) ranges.push(`${dotted(v4[at])}-${dotted(v4[at + 1])}`);
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  for (let at = 0; at < v6.length; at += 32)
    ranges.push(`${hex(v6.subarray(at, at + 16))}-${hex(v6.subarray(at + 16, at + 32))}`);
  return ranges;
}

t.test('every kind of list is read', async (t) => {
  t.same(shown('# a list\n\nSome: odd (name):1.2.4.0-1.2.4.255\r\nother:10.0.0.1-10.0.0.1\n'), [
    '1.2.4.0-1.2.4.255',
    '10.0.0.1-10.0.0.1',
  ]);
  t.same(
    shown(
      '001.009.096.105 - 001.009.096.106 , 000 , Some, org\n9.0.0.0 - 9.0.0.9 , 127 , x\n8.0.0.0 - 8.0.0.9 , 128 , free\n',
    ),
    ['1.9.96.105-1.9.96.106', '9.0.0.0-9.0.0.9'],
  );
  t.same(shown('203.0.113.1-203.0.113.2\n0.0.0.0/0'), ['203.0.113.1-203.0.113.2', '0.0.0.0-255.255.255.255']);
  t.same(shown('192.0.2.77/31\n198.51.100.1'), ['192.0.2.76-192.0.2.77', '198.51.100.1-198.51.100.1']);
  t.same(shown('2001:db8::/32'), [`20010db8${'0'.repeat(24)}-20010db8${'f'.repeat(24)}`]);
  t.same(shown('::ffff:1.2.3.4'), [`${'0'.repeat(20)}ffff01020304-${'0'.repeat(20)}ffff01020304`]);
  t.same(shown('name:2001:db8::1-2001:db8::2'), [`20010db8${'0'.repeat(23)}1-20010db8${'0'.repeat(23)}2`]);
  const packed = gzipSync('a:1.0.0.0-1.0.0.255');
  t.same([...parseAddressList(packed).v4], [0x0100_0000, 0x0100_00ff]);
});

t.test('bad lines are counted and passed over; a damaged file is an error', async (t) => {
  const bad = [
    'x',
    '1.2.3',
    '1.2.3.256',
    'a:1.2.3.5-1.2.3.4',
    '1.2.3.4/33',
    '2001:db8::/129',
    'a:1.2.3.4-',
    '1.2.3.4.5',
  ];
  t.match(list([...bad, '1.2.3.4'].join('\n')), { badLines: bad.length, ranges: 1 });
  t.throws(() => parseAddressList(gzipSync('1.2.3.4').subarray(0, 12)), { code: 'ERR_CONFIG' });
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (line) => {
      const { ranges, badLines } = list(line);
      return ranges + badLines <= line.split('\n').length;
    }),
  );
});

t.test('300,000 ranges cost a second or so', async (t) => {
  const lines: string[] = [];
  for (let n = 0; n < 300_000; n++) {
    const value = (n * 2_654_435_761) >>> 0;
    const address = [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255].join('.');
    lines.push(`Organization ${n}:${address}-${address}`);
  }
  const bytes = Buffer.from(lines.join('\n'));
  const before = process.cpuUsage();
  const { ranges } = parseAddressList(bytes);
  const { user, system } = process.cpuUsage(before);
  const seconds = (user + system) / 1e6;
  t.equal(ranges, 300_000);
  t.comment(`${seconds.toFixed(2)} s of CPU`);
  t.ok(seconds < 5);
});
