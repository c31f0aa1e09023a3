import fc from 'fast-check';
import t from 'tap';
import {
  DialPolicy,
  formatPeerAddress,
  isLoopback,
  normalizeHost,
  parseHostPort,
  parsePeerAddress,
  resolvePeerAddress,
} from '../src/connector.js';

t.test('an IP literal has one spelling', async (t) => {
  const cases: [string, string | null][] = [
    ['1.2.3.4', '1.2.3.4'],
    ['::1', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::ffff:7f00:1', '127.0.0.1'],
    ['fe80::1%eth0', null],
    ['[::1]', null],
    ['1.2.3', null],
    ['01.2.3.4', null],
    ['localhost', null],
    ['', null],
  ];
  for (const [host, literal] of cases) t.equal(normalizeHost(host), literal, host);
});

t.test('reads addresses', async (t) => {
  t.same(parsePeerAddress('1.2.3.4:6881'), { host: '1.2.3.4', port: 6881 });
  t.same(parsePeerAddress('[::1]:1'), { host: '::1', port: 1 });
  t.same(parsePeerAddress('[::ffff:1.2.3.4]:1'), { host: '1.2.3.4', port: 1 });
  t.same(parseHostPort('Seed.Example:65535'), { host: 'seed.example', port: 65535 });
  t.same(parseHostPort('127.0.0.1:0', { anyPort: true }), { host: '127.0.0.1', port: 0 });
});

t.test('refuses what is no address', async (t) => {
  const texts = [
    '',
    '1.2.3.4',
    '1.2.3.4:',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '1.2.3.4:-1',
    '1.2.3.4:1e3',
    ':1',
    '::1:1',
    '[::1]',
    '[1.2.3.4]:1',
    '[name]:1',
    '[fe80::1%eth0]:1',
    '127.1:1',
    '0x7f000001:1',
    '256.1.1.1:1',
    'a..b:1',
    '-a.b:1',
    'a b:1',
    'user@host:1',
    'http://host:1',
    `${'a'.repeat(64)}:1`,
  ];
  for (const text of texts) t.throws(() => parseHostPort(text), { code: 'ERR_ADDRESS' }, text);
  t.throws(() => parsePeerAddress('name.example:1'), { code: 'ERR_ADDRESS' });
});

t.test('what is written is read back', async () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), fc.integer({ min: 1, max: 65535 }), (ip, port) => {
      const host = normalizeHost(ip);
      if (host === null) throw new Error(`not normalized: ${ip}`);
      const read = parsePeerAddress(formatPeerAddress({ host, port }));
      return read.host === host && read.port === port;
    }),
  );
});

t.test('names are resolved to all their addresses, each once', async (t) => {
  const resolve = async () => ['1.2.3.4', '::ffff:1.2.3.4', '::1', 'odd'];
  t.same(await resolvePeerAddress('seed.example:7', { resolve }), [
    { host: '1.2.3.4', port: 7 },
    { host: '::1', port: 7 },
  ]);
  const never = () => t.fail('a literal is not looked up') as never;
  t.same(await resolvePeerAddress('1.2.3.4:7', { resolve: never }), [{ host: '1.2.3.4', port: 7 }]);
});

t.test('a name that does not resolve is ERR_ADDRESS with its cause', async (t) => {
  const cause = new Error('ENOTFOUND');
  await t.rejects(resolvePeerAddress('seed.example:7', { resolve: () => Promise.reject(cause) }), {
    code: 'ERR_ADDRESS',
    cause,
  });
  await t.rejects(resolvePeerAddress('seed.example:7', { resolve: async () => [] }), { code: 'ERR_ADDRESS' });
});

t.test('resolving stops with its signal', async (t) => {
  const reason = new Error('enough');
  const controller = new AbortController();
  const resolving = resolvePeerAddress('seed.example:7', {
    signal: controller.signal,
    resolve: () => new Promise(() => {}),
  });
  controller.abort(reason);
  await t.rejects(resolving, reason);
  await t.rejects(resolvePeerAddress('1.2.3.4:7', { signal: controller.signal }), reason);
});

t.test('loopback is dialled when asked for, or when we listen there', async (t) => {
  const peer = { host: '127.0.0.1', port: 6881 };
  const away = new DialPolicy({ listening: { host: '0.0.0.0', port: 7000 } });
  t.ok(away.mayDial(peer, 'asked'));
  t.notOk(away.mayDial(peer, 'learnt'));
  t.notOk(away.mayDial({ host: '::ffff:127.0.0.1', port: 6881 }, 'learnt'), 'in any spelling');
  t.notOk(new DialPolicy().mayDial(peer, 'learnt'));
  const home = new DialPolicy({ listening: { host: '127.0.0.1', port: 7000 } });
  t.ok(home.mayDial(peer, 'learnt'));
  t.ok(home.mayDial({ host: '::1', port: 6881 }, 'learnt'));
});

t.test('some addresses are never dialled', async (t) => {
  const policy = new DialPolicy({ listening: { host: '127.0.0.1', port: 7000 } });
  const never = ['0.0.0.0:1', '0.1.2.3:1', '224.0.0.1:1', '239.1.1.1:1', '240.0.0.1:1', '255.255.255.255:1'];
  for (const text of [...never, '[::]:1', '[ff02::1]:1', '[::ffff:224.0.0.1]:1']) {
    t.notOk(policy.mayDial(parsePeerAddress(text), 'asked'), text);
  }
  t.notOk(policy.mayDial({ host: '1.2.3.4', port: 0 }, 'asked'));
  t.notOk(policy.mayDial({ host: '1.2.3.4', port: 65536 }, 'asked'));
  t.notOk(policy.mayDial({ host: '1.2.3.4', port: 1.5 }, 'asked'));
  t.notOk(policy.mayDial({ host: 'name.example', port: 1 }, 'asked'), 'names are resolved before');
  t.notOk(policy.mayDial({ host: '127.0.0.1', port: 7000 }, 'asked'), 'ourselves');
  t.ok(policy.mayDial({ host: '127.0.0.1', port: 7001 }, 'asked'));
});

t.test('link-local addresses are dialled only when asked for', async (t) => {
  const policy = new DialPolicy();
  for (const text of ['169.254.169.254:80', '[fe80::1]:80']) {
    t.notOk(policy.mayDial(parsePeerAddress(text), 'learnt'), text);
    t.ok(policy.mayDial(parsePeerAddress(text), 'asked'), text);
  }
  for (const text of ['10.0.0.1:80', '8.8.8.8:80', '[2001:db8::1]:80']) {
    t.ok(policy.mayDial(parsePeerAddress(text), 'learnt'), text);
  }
});

t.test('loopback is known in every spelling', async (t) => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:127.0.0.1']) t.ok(isLoopback(host), host);
  for (const host of ['128.0.0.1', '::2', 'localhost']) t.notOk(isLoopback(host), host);
});

t.test('names are asked of the system when no resolver is given', async (t) => {
  for (const { host, port } of await resolvePeerAddress('localhost:7')) {
    t.ok(isLoopback(host), host);
    t.equal(port, 7);
  }
});
