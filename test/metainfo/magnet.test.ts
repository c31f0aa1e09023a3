import fc from 'fast-check';
import t from 'tap';
import { BlockswarmError } from '../../src/errors.js';
import { formatMagnet, isMagnet, parseMagnet } from '../../src/metainfo/magnet.js';
import { toHex } from '../../src/units.js';

const V1 = '500f29c0c537f5e41c6af676b7633de9d080d237';
const V2 = '4c322e9c7741a0fc546ca6137a67e6c832ee2b6faa0bc111e5e45de5bc8b6eed';

t.test('reads the fields of a link', async (t) => {
  const link = `magnet:?xt=urn:btih:${V1}&xt=urn:btmh:1220${V2}&dn=a%20b+c&tr=udp%3A%2F%2Fa.example%3A80&x.pe=1.2.3.4:5`;
  const magnet = parseMagnet(link);
  t.equal(magnet.infoHashV1 && toHex(magnet.infoHashV1), V1);
  t.equal(magnet.infoHashV2 && toHex(magnet.infoHashV2), V2);
  t.match(magnet, { name: 'a b c', trackers: ['udp://a.example:80'], peers: ['1.2.3.4:5'] });
});

t.test('the files that are wanted come as ranges, in order and joined (BEP 53)', async (t) => {
  const select = (so: string) => parseMagnet(`magnet:?xt=urn:btih:${V1}&so=${so}`).selectedFiles;
  t.same(select('4-7,2,0,3,9-9'), [
    { first: 0, end: 1 },
    { first: 2, end: 8 },
    { first: 9, end: 10 },
  ]);
  for (const so of ['', 'a', '1-', '-1', '1,,2', '3-1', '12345678', '1 ']) t.equal(select(so), null, so);
});

t.test('reads numbered topics, upper case and base32', async (t) => {
  const base32 = 'KAHSTQGFG726IHDK6Z3LOYZ55HIIBURX';
  const read = (link: string) => {
    const { infoHashV1 } = parseMagnet(link);
    return infoHashV1 && toHex(infoHashV1);
  };
  t.equal(read(`magnet:?xt.1=urn:btih:${V1}`), V1);
  t.equal(read(`MAGNET:?xt=URN:BTIH:${V1.toUpperCase()}`), V1);
  t.equal(read(`magnet:?xt=urn:btih:${base32}`), V1);
  t.equal(read(`magnet:?xt=urn:btih:${base32.toLowerCase()}`), V1);
});

t.test('passes over what it does not need', async (t) => {
  const magnet = parseMagnet(
    `magnet:?xt=urn:sha1:ABC&xt=urn:btih:${V1}&tr=file%3A%2F%2F%2Fx&dn=..%2Fetc&xl=7&ws=ftp%3A%2F%2Fa&so=7-3`,
  );
  t.match(magnet, { name: '.._etc', trackers: [], infoHashV2: null, selectedFiles: null });
});

t.test('refuses links without one clear infohash', async (t) => {
  const links = [
    '',
    'http://a.example',
    'magnet:?',
    'magnet:?dn=x',
    'magnet:?xt=urn:btih:00',
    `magnet:?xt=urn:btih:${V1}00`,
    `magnet:?xt=urn:btmh:1120${V2}`,
    `magnet:?xt=urn:btmh:1220${V2.slice(2)}`,
    `magnet:?xt=urn:btih:${V1}&xt=urn:btih:${'0'.repeat(40)}`,
    `magnet:?xt=urn:btmh:1220${V2}&xt=urn:btmh:1220${V2}`,
    `magnet:?xt=urn:btih:${V1}&dn=${'x'.repeat(20_000)}`,
  ];
  for (const link of links) t.throws(() => parseMagnet(link), { code: 'ERR_METAINFO' }, link.slice(0, 100));
  t.notOk(isMagnet('x'));
  t.throws(() => formatMagnet({ infoHashV1: null, infoHashV2: null }), TypeError);
});

t.test('what is written is read back', async () => {
  const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
  const hash = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  const name = fc
    .stringMatching(/^[a-z0-9 &=+%#ä₿-]{0,19}[a-z0-9]$/)
    .filter((text) => !/^(con|prn|aux|nul)$/.test(text));
  fc.assert(
    fc.property(hash(20), maybe(hash(32)), maybe(name), (infoHashV1, infoHashV2, name) => {
      const magnet = {
        infoHashV1,
        infoHashV2,
        name,
        trackers: ['udp://a:1'],
        webSeeds: ['https://a/b?c=d&e'],
        peers: ['[::1]:2'],
        selectedFiles: [
          { first: 0, end: 1 },
          { first: 4, end: 8 },
        ],
      };
      const read = parseMagnet(formatMagnet(magnet));
      return JSON.stringify(read) === JSON.stringify(magnet);
    }),
  );
});

t.test('any text is a magnet or ERR_METAINFO', async () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      try {
        parseMagnet(`magnet:?${text}`);
        return true;
      } catch (error) {
        return error instanceof BlockswarmError && error.code === 'ERR_METAINFO';
      }
    }),
  );
});
