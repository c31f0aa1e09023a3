/** A seed behind an onion service, met through Tor: a control port and a proxy of the test's stand for Tor's. */
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { cliJson, startSeed } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { SocksServer } from '../helpers/socks-server.js';
import { tempFolder } from '../helpers/temp.js';

const service = `${'b'.repeat(55)}d`;

/** Answers as Tor does, and hands on each service that is made: its port and where it leads. */
async function controlPort(t: Test) {
  const made: { port: number; target: number; control: Socket }[] = [];
  const server = createServer((control) => {
    t.teardown(() => control.destroy());
    control.on('error', () => {});
    createInterface(control).on('line', (line) => {
      const [, port, target] = /^ADD_ONION NEW:ED25519-V3 Port=(\d+),127\.0\.0\.1:(\d+)$/.exec(line) ?? [];
      if (port !== undefined) made.push({ port: Number(port), target: Number(target), control });
      control.write(port === undefined ? '250 OK\r\n' : `250-ServiceID=${service}\r\n250 OK\r\n`);
      server.emit('made');
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  return { server, made, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

t.test('a torrent comes from an onion service, which ends with its seed', async (t) => {
  const folder = tempFolder(t);
  const torrent = join(folder, 'content.torrent');
  const content = join(folder, 'seed', 'content.bin');
  mkdirSync(join(folder, 'seed'));
  writeFileSync(content, bytes(300_000, 4));
  await cliJson(t, ['torrent', 'make', content, '--out', torrent]);

  const control = await controlPort(t);
  const proxy = new SocksServer(t, {
    route: (host, port) => {
      const one = control.made[0];
      return one && host === `${service}.onion` && port === one.port ? one.target : null;
    },
  });
  await proxy.start();
  const tor = ['--privacy', 'tor', '--proxy', proxy.url];
  const password = join(folder, 'password');
  writeFileSync(password, 'secret\n');
  const onion = ['--tor-control', control.address, '--tor-password-file', password];
  const seed = await startSeed(t, [`${torrent}=${content}`, ...tor, ...onion]);
  while (control.made.length === 0) await once(control.server, 'made');
  const peer = `${service}.onion:${control.made[0]?.port}`;
  const out = join(folder, 'out');
  await cliJson(t, ['get', torrent, '--out', out, ...tor, '--peer', peer]);
  t.ok(readFileSync(join(out, 'content.bin')).equals(readFileSync(content)));
  t.ok(new Set(proxy.logins).size > 0, 'streams are told apart by their user');
  const ended = once(control.made[0]?.control ?? control.server, 'close');
  seed.program.kill('SIGTERM');
  await ended;
  t.pass('Tor removes the service with the connection that made it');
});
