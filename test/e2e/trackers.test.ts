/** Whoever fetches finds whoever seeds by a tracker and by nothing else. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cli, cliJson, startCli, startSeed } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { noLibtorrent, seedWithLibtorrent } from '../helpers/libtorrent.js';
import { noOpentracker, startOpentracker } from '../helpers/opentracker.js';
import { tempFolder } from '../helpers/temp.js';
import { Tracker } from '../helpers/tracker.js';

interface Made {
  readonly infoHashV1: string;
  readonly infoHashV2: string;
  readonly magnet: string;
}

const content = bytes(1_000_000, 3);

/** A hybrid torrent of one file. */
async function make(t: Test, ...more: string[]) {
  const folder = tempFolder(t);
  const file = join(folder, 'file');
  writeFileSync(file, content);
  const torrent = join(folder, 'file.torrent');
  const made = await cliJson<Made>(t, ['torrent', 'make', file, '--hybrid', '--out', torrent, ...more]);
  return { ...made, folder, file, torrent, out: join(folder, 'out') };
}

t.test('an HTTP tracker of the torrent leads to the seed, also from the magnet link alone', async (t) => {
  const tracker = await Tracker.start(t);
  const { file, torrent, magnet, out } = await make(t, '--tracker', tracker.url);
  await startSeed(t, ['--no-dht', `${torrent}=${file}`]);
  for (const source of [torrent, magnet]) {
    const folder = join(out, source === torrent ? 'torrent' : 'magnet');
    const got = await cliJson(t, ['get', source, '--out', folder, '--no-dht', '--listen', '127.0.0.1:0']);
    t.match(got, { peers: 1 });
    t.ok(readFileSync(join(folder, 'file')).equals(content));
  }
  const events = tracker.announces.map(({ event, left }) => `${event} ${left}`);
  t.ok(events.includes('started 0'), 'the seed');
  t.ok(events.includes('started 1000000'), 'of the torrent file the length is known');
  t.ok(events.includes('completed 0') && events.includes('stopped 0'));
  const names = new Set(tracker.announces.map(({ infoHash }) => infoHash));
  t.equal(names.size, 2, 'both infohashes of a hybrid');
});

for (const host of ['127.0.0.1', '::1'] as const) {
  const listen = host === '::1' ? '[::1]:0' : '127.0.0.1:0';
  t.test(`opentracker on ${host} leads to the seed`, { skip: noOpentracker }, async (t) => {
    for (const way of ['http', 'udp'] as const) {
      const { file, torrent, out, infoHashV1, infoHashV2 } = await make(t);
      const tracker = await startOpentracker(t, [infoHashV1, infoHashV2], host);
      const meet = ['--no-dht', '--listen', listen, '--tracker', tracker[way]];
      const program = startCli(t, ['seed', '--json', ...meet, `${torrent}=${file}`]);
      await program.printed(/"event":"ready"/);
      const got = await cliJson(t, ['get', infoHashV1, '--out', out, ...meet]);
      t.match(got, { peers: 1 }, way);
      t.ok(readFileSync(join(out, 'file')).equals(content));
    }
  });
}

t.test('libtorrent, which knows nothing but the tracker, is found', { skip: noLibtorrent }, async (t) => {
  const tracker = await Tracker.start(t);
  const { folder, torrent, out, infoHashV1 } = await make(t, '--tracker', tracker.url);
  const address = await seedWithLibtorrent(t, folder, [torrent]);
  tracker.add(Buffer.from(infoHashV1, 'hex'), '127.0.0.1', Number(address.split(':')[1]));
  const got = await cliJson(t, ['get', torrent, '--out', out, '--no-dht', '--listen', '127.0.0.1:0']);
  t.match(got, { peers: 1 });
});

t.test('no tracker is asked when none shall be, and a wrong URL is refused', async (t) => {
  const tracker = await Tracker.start(t);
  const { torrent, out } = await make(t, '--tracker', tracker.url);
  mkdirSync(out);
  const alone = ['--no-dht', '--listen', '127.0.0.1:0', '--timeout', '1'];
  const none = await cli(t, ['get', torrent, '--out', out, '--no-trackers', ...alone]);
  t.equal(none.code, 4);
  t.equal(tracker.announces.length, 0);
  mkdirSync(`${out}2`);
  const nobody = ['--tracker', 'http://127.0.0.1:1/announce'];
  const failing = await cli(t, ['get', torrent, '--out', `${out}2`, ...nobody, ...alone]);
  t.match(failing.stderr, 'Tracker http://127.0.0.1:1: refused.');
  const wrong = await cli(t, ['get', torrent, '--out', out, '--tracker', 'wss://tracker.example', ...alone]);
  t.equal(wrong.code, 2);
});
