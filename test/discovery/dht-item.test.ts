import fc from 'fast-check';
import t from 'tap';
import { encode } from '../../src/bencode.js';
import {
  checkItem,
  isMutable,
  isSigned,
  itemTarget,
  mutableTarget,
  publicKeyOf,
  signedBytes,
  signItem,
} from '../../src/discovery/dht-item.js';
import { toHex } from '../../src/units.js';
import { HELLO, hex, MUTABLE, SALTED } from '../vectors/bep44.js';

t.test('the vectors of BEP 44', async (t) => {
  t.equal(Buffer.from(signedBytes(MUTABLE)).toString(), '3:seqi1e1:v12:Hello World!');
  t.equal(Buffer.from(signedBytes(SALTED)).toString(), '4:salt6:foobar3:seqi1e1:v12:Hello World!');
  t.ok(isSigned(MUTABLE), 'test 1: mutable');
  t.ok(isSigned(SALTED), 'test 2: mutable with salt');
  t.equal(toHex(itemTarget(MUTABLE)), '4a533d47ec9c7d95b1ad75f576cffc641853b750');
  t.equal(toHex(itemTarget(SALTED)), '411eba73b6f087ca51a3795d9c8c938d365e32c1');
  t.equal(
    toHex(itemTarget({ value: HELLO })),
    'e5f96f6f38320f0f33959cb4d3d656452117aadb',
    'test 3: immutable',
  );
  for (const item of [MUTABLE, SALTED, { value: HELLO }]) checkItem(item);
});

t.test('the targets of BEP 46', async (t) => {
  const key = hex('8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e');
  t.equal(toHex(mutableTarget(key)), 'cc3f9d90b572172053626f9980ce261a850d050b');
  t.equal(toHex(mutableTarget(key, hex('6e'))), '59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f');
});

t.test('a signature is of its key, salt, sequence number and value alone', async (t) => {
  const wrong = {
    value: { ...MUTABLE, value: encode('Hello World?') },
    seq: { ...MUTABLE, seq: 2 },
    salt: { ...MUTABLE, salt: Buffer.from('foobar') },
    'no salt': { ...SALTED, salt: new Uint8Array() },
    key: { ...MUTABLE, publicKey: publicKeyOf(new Uint8Array(32)) },
    signature: { ...MUTABLE, signature: MUTABLE.signature.map((byte, at) => (at === 5 ? byte ^ 1 : byte)) },
    'no key at all': { ...MUTABLE, publicKey: new Uint8Array(32).fill(0xff) },
    'a short key': { ...MUTABLE, publicKey: MUTABLE.publicKey.subarray(1) },
    'a short signature': { ...MUTABLE, signature: MUTABLE.signature.subarray(1) },
  };
  for (const [what, item] of Object.entries(wrong)) {
    t.notOk(isSigned(item), what);
    t.throws(() => checkItem(item), RangeError, what);
  }
});

t.test('what is signed here is signed', async (t) => {
  // RFC 8032, test 1.
  const rfc = hex('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60');
  t.equal(toHex(publicKeyOf(rfc)), 'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a');
  const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      bytes(900),
      bytes(64),
      fc.nat(),
      (seed, text, salt, seq) => {
        const item = signItem({ value: encode(text), seq, salt }, seed);
        checkItem(item);
        return (
          isMutable(item) && Buffer.compare(itemTarget(item), mutableTarget(publicKeyOf(seed), salt)) === 0
        );
      },
    ),
    { numRuns: 50 },
  );
});

t.test('what no node would take is refused', async (t) => {
  const seed = new Uint8Array(32);
  const value = encode('x');
  t.throws(() => signItem({ value: encode('x'.repeat(1000)), seq: 1 }, seed), RangeError);
  t.throws(() => signItem({ value, seq: -1 }, seed), RangeError);
  t.throws(() => signItem({ value, seq: 1.5 }, seed), RangeError);
  t.throws(() => signItem({ value, seq: 1, salt: new Uint8Array(65) }, seed), RangeError);
  t.throws(() => signItem({ value, seq: 1 }, seed.subarray(1)), RangeError);
  t.throws(() => checkItem({ value: new Uint8Array() }), RangeError);
  t.throws(() => checkItem({ value: Buffer.from('not bencoded') }), RangeError);
  t.throws(() => checkItem({ value: Buffer.from('i1ei2e') }), RangeError);
  t.throws(() => checkItem({ value, seq: 1 }), RangeError, 'a number without a key');
  t.throws(() => checkItem({ value, publicKey: publicKeyOf(seed) }), RangeError, 'a key without a signature');
});
