import fc from 'fast-check';
import t from 'tap';
import { encode } from '../../src/bencode.js';
import { encodeCatalogueItem, parseCatalogueItem } from '../../src/wire/catalogue-item.js';

const one = {
  infoHashV1: new Uint8Array(20).fill(1),
  infoHashV2: new Uint8Array(32).fill(2),
  count: 3,
  work: new Uint8Array(32).fill(4),
};

t.test('the value has the form of DESIGN §1, and comes back', async (t) => {
  const value = encodeCatalogueItem(one);
  const [ih, ih2, work] = ['\x01'.repeat(20), '\x02'.repeat(32), '\x04'.repeat(32)];
  t.equal(Buffer.from(value).toString('latin1'), `d2:ih20:${ih}3:ih232:${ih2}1:ni3e4:work32:${work}e`);
  t.same(parseCatalogueItem(value), one);
});

t.test('anything else is refused', async (t) => {
  const dict = (changes: Record<string, Uint8Array | number>) =>
    encode(
      new Map<string, Uint8Array | number>(
        Object.entries({ ih: one.infoHashV1, ih2: one.infoHashV2, n: 3, work: one.work, ...changes }),
      ),
    );
  const bad = [
    { more: 1 },
    { n: 0 },
    { n: 100_000 },
    { n: one.work },
    { ih: one.work },
    { work: one.infoHashV1 },
  ];
  for (const changes of bad) t.equal(parseCatalogueItem(dict(changes)), null, Object.keys(changes).join());
  t.equal(parseCatalogueItem(Buffer.from('d2:ih20:aaaaaaaaaaaaaaaaaaaae')), null);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => parseCatalogueItem(bytes) === null));
});
