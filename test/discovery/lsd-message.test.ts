import fc from 'fast-check';
import t from 'tap';
import {
  encodeLsdAnnouncement,
  MAX_INFO_HASHES,
  parseLsdAnnouncement,
} from '../../src/discovery/lsd-message.js';

const GROUP = { host: '239.192.152.143', port: 6771 };
const hash = (byte: number) => new Uint8Array(20).fill(byte);
const text = (...lines: string[]) => Buffer.from(`${lines.join('\r\n')}\r\n\r\n\r\n`);
const HASH = 'aB'.repeat(20);

t.test('BEP 14: an announcement has the form of the specification', async (t) => {
  const bytes = encodeLsdAnnouncement(GROUP, { infoHashes: [hash(0xab), hash(1)], port: 6881, cookie: 'me' });
  t.equal(
    Buffer.from(bytes).toString(),
    'BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\nPort: 6881\r\n' +
      `Infohash: ${'ab'.repeat(20)}\r\nInfohash: ${'01'.repeat(20)}\r\ncookie: me\r\n\r\n\r\n`,
  );
});

t.test('one of the full size, in the longer group, stays under 1400 bytes', async (t) => {
  const infoHashes = Array.from({ length: 99 }, (_, at) => hash(at));
  const group = { host: 'ff15::efc0:988f', port: 6771 };
  const bytes = encodeLsdAnnouncement(group, { infoHashes, port: 65535, cookie: 'f'.repeat(16) });
  t.ok(bytes.length < 1400, `${bytes.length}`);
  t.equal(parseLsdAnnouncement(bytes)?.infoHashes.length, MAX_INFO_HASHES);
});

t.test('names of fields in any case, unknown ones and bare line feeds are read', async (t) => {
  const bytes = Buffer.from(`BT-SEARCH * HTTP/1.1\nHOST: x\nX-New: 1\nPORT:6881\ninfoHash:  ${HASH} \n\n`);
  t.strictSame(parseLsdAnnouncement(bytes), { infoHashes: [hash(0xab)], port: 6881, cookie: null });
});

t.test('the same name twice counts once', async (t) => {
  const bytes = text(
    'BT-SEARCH * HTTP/1.1',
    'Port: 1',
    `Infohash: ${HASH}`,
    `Infohash: ${HASH.toLowerCase()}`,
  );
  t.equal(parseLsdAnnouncement(bytes)?.infoHashes.length, 1);
});

t.test('what is no announcement is nothing', async (t) => {
  const ok = ['BT-SEARCH * HTTP/1.1', 'Port: 6881', `Infohash: ${HASH}`];
  t.ok(parseLsdAnnouncement(text(...ok)));
  const wrong: Record<string, string[]> = {
    'another request': ['M-SEARCH * HTTP/1.1', ...ok.slice(1)],
    'no port': [ok[0] ?? '', ok[2] ?? ''],
    'port 0': [ok[0] ?? '', 'Port: 0', ok[2] ?? ''],
    'port 65536': [ok[0] ?? '', 'Port: 65536', ok[2] ?? ''],
    'a negative port': [ok[0] ?? '', 'Port: -1', ok[2] ?? ''],
    'no name': ok.slice(0, 2),
    'a short name': [...ok, 'Infohash: abcd'],
    'a name that is no hex': [...ok, `Infohash: ${'zz'.repeat(20)}`],
    'a line that is no field': [...ok, 'nonsense'],
    'a long cookie': [...ok, `cookie: ${'c'.repeat(65)}`],
    'too many names': [
      ...ok,
      ...Array.from({ length: 40 }, (_, at) => `Infohash: ${String(at).padStart(40, '0')}`),
    ],
  };
  for (const [what, lines] of Object.entries(wrong))
    t.equal(parseLsdAnnouncement(text(...lines)), null, what);
  t.equal(parseLsdAnnouncement(Buffer.alloc(9000, 'a')), null, 'too long');
  t.equal(parseLsdAnnouncement(new Uint8Array()), null, 'nothing');
});

t.test('whatever is announced is read again, and no bytes make it throw', async () => {
  const hashes = fc.uniqueArray(fc.uint8Array({ minLength: 20, maxLength: 20 }), {
    minLength: 1,
    maxLength: MAX_INFO_HASHES,
    selector: (bytes) => Buffer.from(bytes).toString('hex'),
  });
  const cookie = fc.option(fc.stringMatching(/^[0-9a-f]{1,16}$/));
  fc.assert(
    fc.property(hashes, fc.integer({ min: 1, max: 65535 }), cookie, (infoHashes, port, cookie) => {
      const parsed = parseLsdAnnouncement(encodeLsdAnnouncement(GROUP, { infoHashes, port, cookie }));
      return (
        parsed !== null &&
        parsed.port === port &&
        parsed.cookie === cookie &&
        Buffer.concat(parsed.infoHashes).equals(Buffer.concat(infoHashes))
      );
    }),
  );
  const valid = text('BT-SEARCH * HTTP/1.1', 'Port: 6881', `Infohash: ${HASH}`);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1600 }), fc.nat(valid.length), (noise, at) => {
      const parsed = parseLsdAnnouncement(Buffer.concat([valid.subarray(0, at), noise]));
      return parsed === null || (parsed.infoHashes.length <= 32 && parsed.port > 0);
    }),
  );
});
