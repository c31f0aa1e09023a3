/** With others over what is not plain TCP: encrypted (MSE), over uTP (BEP 29), both at once, and over IPv6. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parsePeerAddress } from '../../src/connector.js';
import { downloadWithAria2, noAria2 } from '../helpers/aria2.js';
import { cliJson, startSeed } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import {
  type Carriage,
  downloadWithLibtorrent,
  noLibtorrent,
  seedWithLibtorrent,
} from '../helpers/libtorrent.js';
import { tempFolder } from '../helpers/temp.js';
import { Tracker } from '../helpers/tracker.js';
import { noTransmission, Transmission } from '../helpers/transmission.js';

const content = bytes(5_000_001, 3);

/** libtorrent meets its peer in one way only; `flags` are ours. */
const cases: Readonly<Record<string, { carriage: Carriage; flags: readonly string[] }>> = {
  'encrypted, which we try when plain fails': { carriage: { encrypted: true }, flags: [] },
  'encrypted, which both insist on': { carriage: { encrypted: true }, flags: ['--encryption', 'required'] },
  'over uTP': { carriage: { utp: true }, flags: ['--utp'] },
  'encrypted over uTP': {
    carriage: { encrypted: true, utp: true },
    flags: ['--utp', '--encryption', 'preferred'],
  },
};

async function scene(t: Test) {
  const folder = tempFolder(t);
  const path = join(folder, 'content');
  const torrent = join(folder, 'content.torrent');
  writeFileSync(path, content);
  const args = [path, '--hybrid', '--piece-length', '64KiB', '--out', torrent];
  const { infoHashV1 } = await cliJson<{ infoHashV1: string }>(t, ['torrent', 'make', ...args]);
  return { folder, path, torrent, infoHashV1 };
}

function get(t: Test, torrent: string, out: string, peers: readonly string[], flags: readonly string[]) {
  const named = peers.flatMap((peer) => ['--peer', peer]);
  const network = ['--no-dht', '--listen', '127.0.0.1:0'];
  return cliJson(t, ['get', torrent, '--out', out, ...named, ...network, ...flags]);
}

t.test('libtorrent seeds for `blockswarm get`', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent } = await scene(t);
  for (const [name, { carriage, flags }] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const peer = await seedWithLibtorrent(t, folder, [torrent], carriage);
      const out = tempFolder(t);
      await get(t, torrent, out, [peer], flags);
      t.ok(readFileSync(join(out, 'content')).equals(content), 'every byte is the same');
    });
  }
});

t.test('`blockswarm seed` seeds for libtorrent', { skip: noLibtorrent }, async (t) => {
  const { folder, path, torrent } = await scene(t);
  for (const [name, { carriage, flags }] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const { listen } = await startSeed(t, [`${torrent}=${path}`, '--no-dht', ...flags]);
      const outFolder = join(folder, name);
      mkdirSync(outFolder);
      await downloadWithLibtorrent(t, { source: torrent, outFolder, peers: [listen], ...carriage });
      t.ok(readFileSync(join(outFolder, 'content')).equals(content), 'every byte is the same');
    });
  }
});

t.test('aria2 that takes nothing but RC4 fetches from us', { skip: noAria2 }, async (t) => {
  const { folder, path, torrent, infoHashV1 } = await scene(t);
  const { listen } = await startSeed(t, [`${torrent}=${path}`, '--no-dht', '--encryption', 'required']);
  const { host, port } = parsePeerAddress(listen);
  const tracker = await Tracker.start(t);
  tracker.add(Buffer.from(infoHashV1, 'hex'), host, port);
  const outFolder = join(folder, 'aria2');
  await downloadWithAria2(t, { torrent, outFolder, trackerUrl: tracker.url, encrypted: true });
  t.ok(readFileSync(join(outFolder, 'content')).equals(content));
});

t.test('transmission that takes nothing plain fetches from us', { skip: noTransmission }, async (t) => {
  const { folder, path, torrent } = await scene(t);
  const transmission = await Transmission.start(t, { encrypted: true });
  const outFolder = join(folder, 'transmission');
  await transmission.add(torrent, outFolder);
  await startSeed(t, [`${torrent}=${path}`, '--no-dht', '--peer', transmission.peerAddress]);
  await transmission.finish();
  t.ok(readFileSync(join(outFolder, 'content')).equals(content));
});

t.test('one port serves both families', async (t) => {
  const { folder, path, torrent } = await scene(t);
  // Of both families, but nothing leaves this machine.
  const alone = ['--no-dht', '--no-lsd', '--no-port-mapping'];
  const { listen } = await startSeed(t, [`${torrent}=${path}`, ...alone, '--utp', '--listen', '[::]:0']);
  const { port } = parsePeerAddress(listen);
  for (const [name, peer] of [
    ['v4', `127.0.0.1:${port}`],
    ['v6', `[::1]:${port}`],
  ] as const) {
    const out = join(folder, name);
    await get(t, torrent, out, [peer], []);
    t.ok(readFileSync(join(out, 'content')).equals(content), name);
  }
});
