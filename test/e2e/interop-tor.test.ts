/** The control port of a real Tor, which is kept off every network: an onion service is made, and made again. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { Reactor } from '../../src/native.js';
import { freePort } from '../helpers/free-port.js';
import { outputOf, Program } from '../helpers/program.js';
import { tempFolder } from '../helpers/temp.js';

/** `npm test` sets it. */
const command = process.env['BLOCKSWARM_TOR'] ?? '';
const skip: string | false = command === '' && 'no Tor: run the tests by `npm test` on Debian';

/** Runs Tor with a control port, without any other socket. */
async function startTor(t: Test, folder: string, port: number, more: readonly string[]): Promise<Program> {
  const settings = [
    'DisableNetwork 1',
    'SocksPort 0',
    `ControlPort 127.0.0.1:${port}`,
    `DataDirectory ${folder}`,
  ];
  const torrc = join(folder, 'torrc');
  writeFileSync(torrc, [...settings, 'Log notice stdout', ...more, ''].join('\n'));
  const tor = new Program(t, command, ['-f', torrc, '--defaults-torrc', '/dev/null']);
  await tor.printed(/Opened Control listener/);
  return tor;
}

/** Resolves when it is something, looked at ten times a second until the test's time is over. */
async function until<T>(look: () => T | null): Promise<T> {
  for (;;) {
    const found = look();
    if (found !== null) return found;
    await delay(100);
  }
}

function startReactor(t: Test): Reactor {
  const sizes = { networkThreads: 1, workerThreads: 1, assemblyBytes: 2 ** 20, links: 8, halfOpenLinks: 8 };
  const reactor: Reactor = new Reactor({ connector: { kind: 'direct' }, ...sizes }, () => reactor.drain());
  t.teardown(() => reactor.shutdown());
  return reactor;
}

/** As rend-spec-v3 has it: base32 of key, checksum and version. */
function isOnion(host: string): boolean {
  const alphabet = 'abcdefghijklmnopqrstuvwxyz234567';
  const bits = [...host.replace(/\.onion$/, '')].map((each) =>
    alphabet.indexOf(each).toString(2).padStart(5, '0'),
  );
  const bytes = Buffer.from((bits.join('').match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)));
  const [key, checksum, version] = [bytes.subarray(0, 32), bytes.subarray(32, 34), bytes.subarray(34)];
  const hash = createHash('sha3-256').update('.onion checksum').update(key).update(version).digest();
  return bytes.length === 35 && version[0] === 3 && hash.subarray(0, 2).equals(checksum);
}

t.test(
  'a service is made by the cookie, and under the same name when Tor comes back',
  { skip },
  async (t) => {
    const [folder, port] = [tempFolder(t), await freePort()];
    const reactor = startReactor(t);
    const control = { host: '127.0.0.1', port };
    const cookie = ['CookieAuthentication 1'];
    const tor = await startTor(t, folder, port, cookie);
    reactor.keepOnion(control, null, 6881, 7000);
    const host = await until(() => reactor.onion().host);
    t.ok(isOnion(host), host);
    tor.kill('SIGKILL');
    await tor.finished;
    t.match(await until(() => reactor.onion().fault), /does not answer/);
    t.equal(reactor.onion().host, null);
    await startTor(t, folder, port, cookie);
    t.equal(await until(() => reactor.onion().host), host);
    t.equal(reactor.onion().fault, null);
  },
);

t.test('a password is needed where Tor says so, and the right one', { skip }, async (t) => {
  const [folder, port] = [tempFolder(t), await freePort()];
  const hashed = (await outputOf(t, command, ['--quiet', '--hash-password', 'right "one"'])).trim();
  await startTor(t, folder, port, [`HashedControlPassword ${hashed.split('\n').at(-1)}`]);
  for (const password of [null, Buffer.from('wrong')]) {
    const reactor = startReactor(t);
    reactor.keepOnion({ host: '127.0.0.1', port }, password, 6881, 7000);
    t.match(await until(() => reactor.onion().fault), /wants a password/);
  }
  const reactor = startReactor(t);
  reactor.keepOnion({ host: '127.0.0.1', port }, Buffer.from('right "one"'), 6881, 7000);
  t.ok(isOnion(await until(() => reactor.onion().host)));
});
