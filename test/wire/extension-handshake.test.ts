import fc from 'fast-check';
import t from 'tap';
import { type Encodable, encode } from '../../src/bencode.js';
import { encodeExtensionHandshake, parseExtensionHandshake } from '../../src/wire/extension-handshake.js';

const NOTHING = {
  extensions: new Map(),
  client: null,
  listenPort: null,
  yourIp: null,
  requestQueue: null,
  metadataBytes: null,
  uploadOnly: null,
  prefersEncryption: null,
};
const parse = (fields: [string, Encodable][]) => parseExtensionHandshake(encode(new Map(fields)));

t.test('what is written is read back', async (t) => {
  const handshake = {
    extensions: new Map([
      ['ut_metadata', 1],
      ['bs_catalogue', 200],
    ]),
    client: 'blockswarm 0.1.0',
    listenPort: 6881,
    yourIp: Uint8Array.of(127, 0, 0, 1),
    requestQueue: 500,
    metadataBytes: 31_235,
    uploadOnly: true,
    prefersEncryption: true,
  };
  t.same(parseExtensionHandshake(encodeExtensionHandshake(handshake)), handshake);
  t.same(parseExtensionHandshake(encodeExtensionHandshake({})), NOTHING);
  t.same(encodeExtensionHandshake({}), new Uint8Array(Buffer.from('d1:mdee')));
});

t.test('the example of BEP 10 is read', async (t) => {
  const payload = Buffer.from(
    'd1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e',
    'latin1',
  );
  const handshake = parseExtensionHandshake(payload);
  t.match(handshake, { listenPort: 6881, client: 'µTorrent 1.2' });
  t.equal(handshake?.extensions.get('LT_metadata'), 1);
});

t.test('a field that makes no sense is as if absent', async (t) => {
  const odd: [string, Encodable][] = [
    [
      'm',
      new Map<string, Encodable>([
        ['a', 256],
        ['b', -1],
        ['c', 'x'],
        ['', 1],
      ]),
    ],
    ['metadata_size', 4 * 1024 * 1024 + 1],
    ['p', 65_536],
    ['reqq', 0],
    ['upload_only', 2],
    ['v', new Uint8Array([0xff])],
    ['yourip', new Uint8Array(5)],
  ];
  t.same(parse(odd), NOTHING);
  t.same(
    parse([
      ['metadata_size', -1],
      ['p', 'x'],
      ['reqq', 1e9],
      ['v', 'x'.repeat(129)],
      ['yourip', 1],
    ]),
    NOTHING,
  );
});

t.test('id 0 turns an extension off and is told', async (t) => {
  t.equal(parse([['m', new Map([['ut_pex', 0]])]])?.extensions.get('ut_pex'), 0);
});

t.test('a client name cannot upset a terminal', async (t) => {
  t.equal(parse([['v', '\u001b[2Jevil\u202e\n']])?.client, '[2Jevil');
});

t.test('what is no handshake is null', async (t) => {
  const many = new Map(Array.from({ length: 65 }, (_, i): [string, number] => [`x${i}`, 1]));
  t.equal(parse([['m', many]]), null, 'more than 64 extensions');
  t.equal(parse([['m', 1]]), null);
  t.equal(parseExtensionHandshake(encode([])), null);
  t.equal(parseExtensionHandshake(Buffer.from('d1:ml-3:ee')), null);
  t.equal(parseExtensionHandshake(new Uint8Array(0)), null);
  t.equal(parse([['x', new Uint8Array(20_000)]]), null, 'too long');
});

t.test('any bytes are read or null', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      parseExtensionHandshake(bytes);
    }),
    { numRuns: 500 },
  );
});
