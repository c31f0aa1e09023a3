import t from 'tap';
import type { Extension, Partner } from '../../src/swarm/extensions.js';
import { UploadOnly } from '../../src/swarm/upload-only.js';
import { parseExtensionHandshake } from '../../src/wire/extension-handshake.js';
import { Partners } from '../helpers/partners.js';

const ADDRESS = { host: '10.0.0.9', port: 6881 };

/** Repeats what it hears. */
class Echo implements Extension {
  readonly name = 'ut_pex';
  readonly maxBytes = 10;
  readonly heard: Uint8Array[] = [];

  onMessage(partner: Partner, payload: Uint8Array): null {
    this.heard.push(payload);
    partner.send(this.name, payload);
    return null;
  }
}

t.test('our handshake names what we speak, and what each extension adds', async (t) => {
  const more: Extension = {
    name: 'x',
    maxBytes: 1,
    onMessage: () => null,
    handshake: () => ({ metadataBytes: 7 }),
  };
  const { extensions } = new Partners(() => [new Echo(), more]);
  const bytes = extensions.handshake({ remote: ADDRESS, uploadOnly: true });
  t.match(parseExtensionHandshake(bytes), {
    extensions: new Map([
      ['ut_pex', 1],
      ['x', 2],
    ]),
    listenPort: 6881,
    metadataBytes: 7,
    uploadOnly: true,
    yourIp: Uint8Array.of(10, 0, 0, 9),
  });
});

t.test('messages go to their extension, and answers under the id that the peer gave', async (t) => {
  const echo = new Echo();
  const partners = new Partners(() => [new UploadOnly(), echo]);
  const partner = partners.meet(ADDRESS);
  partners.sent.length = 0;
  t.equal(partners.say(partner.peer, 2, Uint8Array.of(1, 2)), null);
  t.same(echo.heard, [Uint8Array.of(1, 2)]);
  t.match(partners.sent, [{ link: partner.link, id: 12, payload: Uint8Array.of(1, 2) }]);
});

t.test('a second handshake changes only what it mentions', async (t) => {
  const partners = new Partners(() => [new Echo(), new UploadOnly()]);
  const peer = partners.connect(ADDRESS);
  const m = new Map([
    ['ut_pex', 5],
    ['upload_only', 6],
  ]);
  partners.handshake(peer, [
    ['m', m],
    ['metadata_size', 99],
    ['reqq', 77],
    ['upload_only', 1],
  ]);
  partners.handshake(peer, [['m', new Map([['ut_pex', 0]])]]);
  const partner = partners.extensions.partner(peer.link);
  t.notOk(partner?.speaks('ut_pex'), 'id 0 turns it off');
  t.ok(partner?.speaks('upload_only'));
  t.equal(partner?.metadataBytes, 99);
  t.equal(peer.requestQueue, 77);
  t.ok(peer.uploadOnly);
  partners.handshake(peer, [['upload_only', 0]]);
  t.notOk(peer.uploadOnly);
});

t.test('what is too long for its extension is not read, and closes the link', async (t) => {
  const echo = new Echo();
  const partners = new Partners(() => [echo]);
  const partner = partners.meet(ADDRESS);
  t.match(partners.say(partner.peer, 1, new Uint8Array(11)), { reason: 'bad-message' });
  t.same(echo.heard, []);
});

t.test('ids that we gave to nothing are passed over, but not for ever', async (t) => {
  const partners = new Partners(() => [new Echo()]);
  const { peer } = partners.meet(ADDRESS);
  const said = Array.from({ length: 101 }, (_, at) => partners.say(peer, 2 + at, new Uint8Array(9)));
  t.ok(said.slice(0, 100).every((offence) => offence === null));
  t.match(said[100], { reason: 'flood' });
});

t.test('nobody is heard before its handshake', async (t) => {
  const echo = new Echo();
  const partners = new Partners(() => [echo]);
  t.equal(partners.say(partners.connect(ADDRESS), 1, new Uint8Array(1)), null);
  t.same(echo.heard, []);
});

t.test('handshakes without end, or that are none, close the link', async (t) => {
  const partners = new Partners(() => [new Echo()]);
  const { peer } = partners.meet(ADDRESS);
  const said = Array.from({ length: 16 }, () => partners.handshake(peer, []));
  t.match(said.at(-1), { reason: 'flood' });
  t.equal(said.at(-2), null);
  const bomb = Buffer.from(`d1:m${'d1:m'.repeat(1000)}`);
  t.match(partners.say(partners.connect(ADDRESS), 0, bomb), { reason: 'bad-message' });
});

t.test('an extension that is withdrawn is turned off with everybody, and not offered again', async (t) => {
  const echo = new Echo();
  const partners = new Partners(() => [echo, new UploadOnly()]);
  const partner = partners.meet(ADDRESS);
  partners.sent.length = 0;
  partners.extensions.withdraw(['ut_pex']);
  const off = new Map([
    ['ut_pex', 0],
    ['upload_only', 2],
  ]);
  t.match(
    partners.sent.map(({ id, payload }) => ({ id, read: parseExtensionHandshake(payload) })),
    [{ id: 0, read: { extensions: off } }],
  );
  partners.handshake(partner.peer, [['m', new Map([['ut_pex', 5]])]]);
  t.notOk(partner.speaks('ut_pex'));
  t.equal(partners.say(partner.peer, 1, new Uint8Array(1)), null);
  t.same(echo.heard, []);
  const ours = parseExtensionHandshake(partners.extensions.handshake({ remote: ADDRESS, uploadOnly: false }));
  t.same([...(ours?.extensions.keys() ?? [])], ['upload_only']);
});
