/** What peers, trackers and web seeds are told by somebody who does not want to be known: every byte of it. */
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { decode, isDict } from '../../src/bencode.js';
import { cliJson, startCli } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { CuriousPeer, type Greeting } from '../helpers/curious-peer.js';
import { SocksServer } from '../helpers/socks-server.js';
import { tempFolder } from '../helpers/temp.js';

/** As libtorrent says when it is anonymous; order and spelling, too. */
const trackerHead = (target: string, host: string) =>
  `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: curl/7.81.0\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n`;
const revealing = /blockswarm|BS00|0\.1\.0/i;
const answer = 'd8:intervali1800e5:peers0:e';

/** An HTTP server that keeps the heads of all requests as they came. */
async function curiousServer(t: Test) {
  const heads: string[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', (head) => {
      heads.push(head.toString('latin1'));
      server.emit('asked');
      const status = head.includes('/announce') ? '200 OK' : '404 Not Found';
      socket.end(`HTTP/1.1 ${status}\r\nContent-Length: ${answer.length}\r\n\r\n${answer}`);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  const until = async (condition: () => boolean) => {
    while (!condition()) await once(server, 'asked');
  };
  return { heads, port: (server.address() as AddressInfo).port, until };
}

/** Two hybrid torrents, seeded by one process that tells a peer and two trackers of them. */
async function seedTwo(t: Test, args: (ports: { peer: number; http: number }) => string[]) {
  const folder = tempFolder(t);
  const [peer, http] = [await CuriousPeer.start(t), await curiousServer(t)];
  const seeded: string[] = [];
  for (const name of ['one', 'two']) {
    const content = join(folder, name, 'content.bin');
    mkdirSync(join(folder, name));
    writeFileSync(content, bytes(100_000, name.length + seeded.length));
    const torrent = join(folder, `${name}.torrent`);
    await cliJson(t, ['torrent', 'make', content, '--out', torrent]);
    seeded.push(`${torrent}=${content}`);
  }
  const program = startCli(t, [
    'seed',
    ...seeded,
    ...args({ peer: peer.port, http: http.port }),
    '--json-lines',
  ]);
  await peer.until(() => peer.greetings.length >= 2);
  await http.until(() => http.heads.length >= 4);
  return { torrent: join(folder, 'one.torrent'), folder, peer, http, program };
}

function saysNothing(t: Test, greetings: readonly Greeting[]): void {
  const peerIds = new Set<string>();
  for (const { handshake, extensionHandshake } of greetings) {
    t.notMatch(handshake.toString('latin1'), revealing);
    t.notMatch(extensionHandshake.toString('latin1'), revealing);
    peerIds.add(handshake.subarray(48, 68).toString('hex'));
    const fields = decode(extensionHandshake);
    if (!isDict(fields)) throw new Error('no dictionary');
    t.strictSame(
      [...fields.keys()].sort(),
      ['m', 'metadata_size', 'reqq', 'upload_only'],
      'no v, p or yourip',
    );
  }
  const torrents = new Set(greetings.map(({ handshake }) => handshake.subarray(28, 48).toString('hex')));
  t.equal(peerIds.size, torrents.size, 'each torrent has a peer id of its own');
}

t.test("through Tor nothing tells who it is, nor that two torrents are one user's", async (t) => {
  const tracker = 'tracker.example';
  const proxy = new SocksServer(t, {
    route: (host, port) => (host === 'peer.example' ? ports.peer : port === 80 ? ports.http : null),
  });
  await proxy.start();
  let ports = { peer: 0, http: 0 };
  const tor = ['--privacy', 'tor', '--proxy', proxy.url];
  const { torrent, folder, peer, http } = await seedTwo(t, (given) => {
    ports = given;
    return [...tor, '--peer', 'peer.example:6881', '--tracker', `http://${tracker}/announce`];
  });
  saysNothing(t, peer.greetings);
  const announces = http.heads.map((head) => {
    const target = head.split(' ')[1] ?? '';
    t.equal(head, trackerHead(target, tracker));
    t.notMatch(head, revealing);
    return new Map(
      target
        .slice(target.indexOf('?') + 1)
        .split('&')
        .map((pair) => pair.split('=') as [string, string]),
    );
  });
  for (const query of announces) t.equal(query.get('port'), '1', 'nobody is met at our address');
  for (const field of ['info_hash', 'peer_id', 'key'])
    t.equal(
      new Set(announces.map((query) => query.get(field))).size,
      4,
      `${field} tells no two of them to be one`,
    );
  const logins = proxy.streams.filter(({ target }) => target === `${tracker}:80`).map(({ login }) => login);
  t.equal(new Set(logins).size, 2, 'a circuit for each torrent at the tracker, and not for each request');

  const before = http.heads.length;
  const get = startCli(t, [
    ...['get', torrent, '--out', join(folder, 'out'), ...tor, '--no-trackers'],
    ...['--web-seed', 'http://web.example/content.bin', '--timeout', '30'],
  ]);
  await http.until(() => http.heads.length > before);
  const said = http.heads.at(-1)?.replace(/bytes=\d+-\d+/, 'bytes=some');
  const common =
    'Host: web.example\r\nUser-Agent: curl/7.81.0\r\nAccept: */*\r\nAccept-Encoding: identity\r\n';
  t.equal(said, `GET /content.bin HTTP/1.1\r\n${common}Range: bytes=some\r\n\r\n`);
  get.kill('SIGTERM');
  await get.finished;
});

t.test(
  '--anonymous says no name either; trackers are told a port, as peers could not come else',
  async (t) => {
    const { peer, http, program } = await seedTwo(t, ({ peer, http }) => [
      ...['--anonymous', '--listen', '127.0.0.1:0', '--no-dht', '--peer', `127.0.0.1:${peer}`],
      ...['--tracker', `http://127.0.0.1:${http}/announce`],
    ]);
    saysNothing(t, peer.greetings);
    const [, port] = await program.printed(/"event":"ready".*"listen":"127\.0\.0\.1:(\d+)"/);
    for (const head of http.heads) {
      t.equal(head, trackerHead(head.split(' ')[1] ?? '', `127.0.0.1:${http.port}`));
      t.match(head, `&port=${port}&`);
      t.notMatch(head, revealing);
    }
  },
);
