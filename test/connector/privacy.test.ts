import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { I2P_PORT } from '../../src/connector/i2p-address.js';
import { type PrivacyOptions, parseProxyUrl, privacyOf } from '../../src/connector/privacy.js';
import { DialPolicy } from '../../src/connector.js';

const of = (options: PrivacyOptions) => privacyOf(options, randomBytes);
const usage = { code: 'ERR_USAGE' };

t.test('open is as it ever was', async (t) => {
  t.match(of({}), {
    connector: { kind: 'direct' },
    listen: { host: '0.0.0.0', port: 0 },
    udp: true,
    names: 'dns',
    direct: true,
    anonymous: false,
  });
  t.equal(of({ anonymous: true }).anonymous, true);
  t.throws(() => of({ proxy: 'socks5://127.0.0.1:1' }), usage, 'a proxy that would not be used');
});

t.test('a proxy carries all, and nobody is heard unless that is wished for', async (t) => {
  t.throws(() => of({ privacy: 'proxy' }), usage);
  const quiet = of({ privacy: 'proxy', proxy: 'socks5://u%3A:p@127.0.0.1:1080' });
  t.match(quiet, { listen: null, udp: true, names: 'proxy', direct: false, anonymous: true });
  t.match(quiet.connector, { proxy: { port: 1080, listen: 'nowhere', username: Buffer.from('u:') } });
  const heard = of({ privacy: 'proxy', proxy: 'socks5://[::1]:1080', listen: '0.0.0.0:6881' });
  t.match(heard, { listen: { port: 6881 }, connector: { proxy: { host: '::1', listen: 'anywhere' } } });
});

t.test('Tor has no datagrams, and a user of its own for what shall not be told together', async (t) => {
  const tor = of({ privacy: 'tor' });
  t.match(tor, { listen: null, udp: false, names: 'proxy', direct: false, anonymous: true });
  t.match(tor.connector, { proxy: { host: '127.0.0.1', port: 9050, udp: false, listen: 'nowhere' } });
  const secret = ({ connector }: typeof tor) => connector.kind === 'socks5' && connector.proxy.isolation;
  t.notSame(secret(tor), secret(of({ privacy: 'tor' })));
  t.throws(() => of({ privacy: 'tor', proxy: 'socks5://u:p@127.0.0.1:9050' }), usage);
  t.throws(() => of({ privacy: 'tor', listen: '0.0.0.0:1' }), usage);
  t.match(of({ privacy: 'tor', listen: '127.0.0.1:0' }).connector, { proxy: { listen: 'loopback' } });
});

t.test('I2P is a SAM bridge and nothing beside it', async (t) => {
  const i2p = of({ privacy: 'i2p' });
  t.match(i2p, { listen: null, udp: false, names: 'i2p', direct: false, anonymous: true });
  t.same(i2p.connector, { kind: 'i2p', bridge: { host: '127.0.0.1', port: 7656 } });
  t.match(of({ privacy: 'i2p', sam: 'localhost:1' }).connector, { bridge: { host: '127.0.0.1', port: 1 } });
  t.match(of({ privacy: 'i2p', sam: '[::1]:1' }).connector, { bridge: { host: '::1' } });
  for (const more of [
    { sam: 'router.example:7656' },
    { listen: '127.0.0.1:0' },
    { proxy: 'socks5://127.0.0.1:1' },
    { proxyLogin: { username: 'u', password: 'p' } },
    { torControl: '127.0.0.1:9051' },
  ])
    t.throws(() => of({ privacy: 'i2p', ...more }), usage, JSON.stringify(more));
  t.throws(() => of({ privacy: 'i2p', sam: '127.0.0.1' }), { code: 'ERR_ADDRESS' });
  t.throws(() => of({ sam: '127.0.0.1:7656' }), usage, 'a bridge that would not be used');
  t.throws(() => of({ privacy: 'tor', i2pKeys: 'keys' }), usage);
});

t.test('through I2P nobody is dialled but names of I2P, and of strangers but hashes', async (t) => {
  const policy = new DialPolicy({ i2p: true });
  const hash = `${'a'.repeat(52)}.b32.i2p`;
  const may = (host: string, origin: 'asked' | 'learnt', port = I2P_PORT) =>
    policy.mayDial({ host, port }, origin);
  t.ok(may(hash, 'asked') && may(hash, 'learnt') && may('peer.i2p', 'asked'));
  t.notOk(may('peer.i2p', 'learnt') || may(hash, 'learnt', 1));
  for (const host of ['203.0.113.5', '127.0.0.1', '::1', 'peer.example', 'x.onion']) {
    t.notOk(may(host, 'asked'), host);
    t.notOk(may(host, 'learnt'), host);
  }
});

t.test('a proxy is an address, and no error tells its password', async (t) => {
  const wrong = [
    '127.0.0.1:1080',
    'http://127.0.0.1:1080',
    'socks5://127.0.0.1',
    'socks5://127.0.0.1:0',
    'socks5://127.0.0.1:65536',
    'socks5://proxy.example:1080',
    'socks5://127.1:1080',
    'socks5://[127.0.0.1]:1080',
    'socks5://u:secret@proxy.example:1080',
    'socks5://:secret@127.0.0.1:1080',
    'socks5://secret%:x@127.0.0.1:1080',
    `socks5://u:${'secret'.repeat(50)}@127.0.0.1:1080`,
    'socks5://127.0.0.1:1080/secret',
  ];
  for (const text of wrong) {
    try {
      t.fail(`took ${text}: ${JSON.stringify(parseProxyUrl(text))}`);
    } catch (error) {
      t.match(error, usage, text);
      t.notMatch(String(error), /secret/);
    }
  }
  t.match(parseProxyUrl('socks5://localhost:1'), { address: { host: '127.0.0.1', port: 1 }, login: null });
  fc.assert(
    fc.property(
      fc.string({ minLength: 1, maxLength: 60 }),
      fc.string({ minLength: 1, maxLength: 60 }),
      (u, p) => {
        const url = `socks5://${encodeURIComponent(u)}:${encodeURIComponent(p)}@127.0.0.1:1`;
        t.same(parseProxyUrl(url).login, { username: u, password: p });
      },
    ),
    { numRuns: 50 },
  );
});

t.test(
  'through a proxy names may be dialled that the user gave, and strangers lead into no network',
  async (t) => {
    const policy = new DialPolicy({ proxied: true });
    const name = { host: 'peer.example', port: 1 };
    t.equal(policy.mayDial(name, 'asked'), true);
    t.equal(policy.mayDial(name, 'learnt'), false);
    t.equal(new DialPolicy().mayDial(name, 'asked'), false);
    for (const host of ['192.168.1.1', '10.0.0.1', 'fd00::1', '127.0.0.1', '169.254.1.1'])
      t.equal(policy.mayDial({ host, port: 1 }, 'learnt'), false, host);
    t.equal(policy.mayDial({ host: '192.168.1.1', port: 1 }, 'asked'), true);
    t.equal(policy.mayDial({ host: '198.51.100.1', port: 1 }, 'learnt'), true);
  },
);
