/** `blockswarm get` fetches from aria2 and transmission, to the last byte. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { noAria2, seedWithAria2 } from '../helpers/aria2.js';
import { cliJson, startSeed } from '../helpers/cli.js';
import { bytes, writeContent } from '../helpers/content-folder.js';
import { tempFolder } from '../helpers/temp.js';
import { noTransmission, Transmission } from '../helpers/transmission.js';

const tree = { 'a.bin': bytes(3_000_001, 3), 'sub/b.bin': bytes(70_000, 4) };

// transmission serves nobody before its first round of choking, 10 s after its start.
t.jobs = 4;

const pieceBytes = 65_536;

async function scene(t: Test, kind: 'v1' | 'hybrid' = 'v1') {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), tree);
  const torrent = join(folder, 'tree.torrent');
  const args = [join(folder, 'tree'), `--${kind}`, '--piece-length', String(pieceBytes), '--out', torrent];
  await cliJson(t, ['torrent', 'make', ...args]);
  return { folder, torrent };
}

async function checkGet(t: Test, folder: string, torrent: string, peer: string): Promise<void> {
  const out = join(folder, 'out');
  await cliJson(t, ['get', torrent, '--out', out, '--peer', peer, '--no-dht', '--listen', '127.0.0.1:0']);
  for (const [path, wanted] of Object.entries(tree)) {
    t.ok(readFileSync(join(out, 'tree', path)).equals(wanted), path);
  }
}

t.test('from aria2', { skip: noAria2 }, async (t) => {
  const { folder, torrent } = await scene(t);
  await checkGet(t, folder, torrent, await seedWithAria2(t, torrent, folder));
});

t.test('from transmission', { skip: noTransmission, buffered: true }, async (t) => {
  const { folder, torrent } = await scene(t);
  const transmission = await Transmission.start(t);
  // What is there already it takes over, and serves.
  await transmission.add(torrent, folder);
  await checkGet(t, folder, torrent, transmission.peerAddress);
});

t.test(
  'from transmission, a hybrid torrent of several files',
  { skip: noTransmission, buffered: true },
  async (t) => {
    const { folder, torrent } = await scene(t, 'hybrid');
    // It knows nothing of BEP 47: padding files are content, and a piece that ends in one is there only with it.
    const padding = Object.values(tree).map(({ length }) => pieceBytes - (length % pieceBytes));
    const zeros = padding.map((length) => [`.pad/${length}`, new Uint8Array(length)] as const);
    const bare = await Transmission.start(t);
    await bare.add(torrent, folder);
    t.equal(
      await bare.leftBytes(),
      padding.length * pieceBytes,
      'without them it lacks the last piece of each file',
    );
    writeContent(join(folder, 'tree'), Object.fromEntries(zeros));
    const transmission = await Transmission.start(t);
    await transmission.add(torrent, folder);
    t.equal(await transmission.leftBytes(), 0);
    await checkGet(t, folder, torrent, transmission.peerAddress);
  },
);

t.test(
  'from transmission that fetched a hybrid torrent from us',
  { skip: noTransmission, buffered: true },
  async (t) => {
    const { folder, torrent } = await scene(t, 'hybrid');
    const transmission = await Transmission.start(t);
    const theirs = join(folder, 'transmission');
    await transmission.add(torrent, theirs);
    // It asks for the padding, too.
    await startSeed(t, [
      `${torrent}=${join(folder, 'tree')}`,
      '--no-dht',
      '--peer',
      transmission.peerAddress,
    ]);
    await transmission.complete();
    for (const [path, wanted] of Object.entries(tree)) {
      t.ok(readFileSync(join(theirs, 'tree', path)).equals(wanted), path);
    }
    await checkGet(t, folder, torrent, transmission.peerAddress);
  },
);

t.test(
  'from transmission, a hybrid torrent of one file',
  { skip: noTransmission, buffered: true },
  async (t) => {
    const folder = tempFolder(t);
    const [path, torrent, content] = [join(folder, 'one'), join(folder, 'one.torrent'), bytes(1_000_001, 5)];
    writeContent(folder, { one: content });
    await cliJson(t, ['torrent', 'make', path, '--hybrid', '--out', torrent]);
    const transmission = await Transmission.start(t);
    await transmission.add(torrent, folder);
    t.equal(await transmission.leftBytes(), 0);
    const out = join(folder, 'out');
    const peer = ['--peer', transmission.peerAddress, '--no-dht', '--listen', '127.0.0.1:0'];
    await cliJson(t, ['get', torrent, '--out', out, ...peer]);
    t.ok(readFileSync(join(out, 'one')).equals(content));
  },
);
