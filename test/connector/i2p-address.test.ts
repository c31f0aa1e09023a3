import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import {
  I2P_PORT,
  i2pAddress,
  i2pHashName,
  isI2pHash,
  isI2pName,
  parseI2pAddress,
} from '../../src/connector/i2p-address.js';
import { shownAddress } from '../../src/connector/shown-address.js';

/** 387 bytes and a certificate. */
function destination(certificateBytes: number): Buffer {
  const bytes = Buffer.alloc(387 + certificateBytes, 7);
  bytes[384] = 5;
  bytes.writeUInt16BE(certificateBytes, 385);
  return bytes;
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/\+/g, '-').replace(/\//g, '~');
}

t.test('a destination is known by its hash', async (t) => {
  // By hashlib and base64 of Python.
  const host = 'tub24hdz7erh2yv7e32hg72bskyqj2vymvtcl3y33xczi4wfez6q.b32.i2p';
  t.equal(i2pHashName(createHash('sha256').update(destination(4)).digest()), host);
  const address = { host, port: I2P_PORT };
  const text = base64(destination(4));
  for (const spelling of [text, `${text}.i2p`, text.replace(/=+$/, ''), `${text}:1`])
    t.same(i2pAddress(spelling), address, spelling.slice(-12));
  t.same(i2pAddress(base64(destination(0)))?.port, I2P_PORT);
  t.equal(i2pAddress(base64(Buffer.concat([destination(4), Buffer.of(1)]))), null, 'bytes behind it');
  t.equal(i2pAddress(base64(destination(4)).slice(4)), null);
});

t.test('names of I2P are told from others', async (t) => {
  const hash = `${'a'.repeat(52)}.b32.i2p`;
  t.same(i2pAddress('Tracker.I2P:80'), { host: 'tracker.i2p', port: I2P_PORT }, 'ports mean nothing');
  t.same(i2pAddress(hash), { host: hash, port: I2P_PORT });
  const none = [
    '',
    'i2p',
    '.i2p',
    'a..i2p',
    'tracker.example',
    '1.2.3.4:6881',
    'x.onion:1',
    '[::1]:1',
    'a b.i2p',
  ];
  for (const text of [...none, 'a.i2p.example', `${'a'.repeat(51)}.b32.i2p`, `${'1'.repeat(52)}.b32.i2p`])
    t.equal(i2pAddress(text), null, text);
  t.throws(() => parseI2pAddress('1.2.3.4:6881'), { code: 'ERR_ADDRESS' });
  t.ok(isI2pName('tracker.i2p') && isI2pName(hash) && isI2pHash(hash));
  t.notOk(isI2pHash('tracker.i2p') || isI2pName('tracker.i2p:80') || isI2pName(`${'a.'.repeat(130)}i2p`));
});

t.test('any text is an address or none, and any hash has a name of its own', async () => {
  fc.assert(fc.property(fc.string({ maxLength: 700 }), (text) => void i2pAddress(text)));
  const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
  fc.assert(
    fc.property(hash, hash, (one, other) => {
      const isSame = Buffer.compare(one, other) === 0;
      return isI2pHash(i2pHashName(one)) && (i2pHashName(one) === i2pHashName(other)) === isSame;
    }),
  );
});

t.test('a name is whole, or not shown', async (t) => {
  const name = `${'a'.repeat(52)}.b32.i2p`;
  t.equal(shownAddress(name, 'full'), name);
  for (const display of ['prefix', 'none'] as const) t.equal(shownAddress(name, display), 'a peer');
});
