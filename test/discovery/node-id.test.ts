import fc from 'fast-check';
import t from 'tap';
import {
  boundId,
  commonBits,
  compareDistance,
  distance,
  isBoundId,
  randomIdSharing,
} from '../../src/discovery/node-id.js';
import { fromHex, toHex } from '../../src/units.js';
import { crc32c } from '../../src/wire/crc32c.js';

const id = () => fc.uint8Array({ minLength: 20, maxLength: 20 });

/** The table of BEP 42. */
const VECTORS: readonly [string, number, string][] = [
  ['124.31.75.21', 1, '5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401'],
  ['21.75.31.124', 86, '5a3ce9c14e7a08645677bbd1cfe7d8f956d53256'],
  ['65.23.51.170', 22, 'a5d43220bc8f112a3d426c84764f8c2a1150e616'],
  ['84.124.73.14', 65, '1b0321dd1bb1fe518101ceef99462b947a01ff41'],
  ['43.213.53.83', 90, 'e56f6cbf5b7c4be0237986d5243b87aa6d51305a'],
];

t.test('the ids of BEP 42 are bound to their addresses, and to no other', async (t) => {
  for (const [host, seed, hex] of VECTORS) {
    const bytes = fromHex(hex, 20) ?? new Uint8Array();
    t.ok(isBoundId(bytes, host), host);
    t.notOk(isBoundId(bytes, '8.8.8.8'), `${host}'s elsewhere`);
    const made = boundId(host, seed);
    t.equal(toHex(made).slice(0, 5), hex.slice(0, 5), 'the first 20 bits are the same');
    t.equal((made[2] ?? 0) >> 3, (bytes[2] ?? 0) >> 3, 'and the 21st');
    t.equal(made[19], seed);
  }
});

t.test(
  'an id made for an address is bound to it, in both families; private addresses may have any',
  async (t) => {
    for (const host of ['8.8.4.4', '2001:4860:4860::8888', '2a00::1']) {
      for (let seed = 0; seed < 256; seed += 5) t.ok(isBoundId(boundId(host, seed), host));
    }
    t.notOk(isBoundId(boundId('2a00::1', 1), '2a01::1'));
    for (const host of ['10.0.0.1', '127.0.0.1', '192.168.7.7', '::1', 'fe80::1', 'fd00::1']) {
      t.ok(isBoundId(new Uint8Array(20), host), host);
    }
  },
);

t.test('CRC-32C is the one of RFC 3720', async (t) => {
  t.equal(crc32c(Buffer.from('123456789')), 0xe306_9283);
  t.equal(crc32c(new Uint8Array(32)), 0x8a91_36aa);
  t.equal(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8_ab43);
});

t.test('distance is XOR', async () => {
  fc.assert(
    fc.property(id(), id(), id(), (target, a, b) => {
      const order = Math.sign(Buffer.compare(distance(target, a), distance(target, b)));
      return Math.sign(compareDistance(target, a, b)) === order;
    }),
  );
});

t.test('a random id of a bucket shares as many bits as it says', async () => {
  fc.assert(
    fc.property(id(), fc.nat(159), (own, bits) => commonBits(own, randomIdSharing(own, bits)) === bits),
  );
  fc.assert(fc.property(id(), (own) => commonBits(own, own) === 160));
});
