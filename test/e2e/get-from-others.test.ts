/** `blockswarm get` fetches from aria2 and transmission, to the last byte. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { noAria2, seedWithAria2 } from '../helpers/aria2.js';
import { cliJson } from '../helpers/cli.js';
import { bytes, writeContent } from '../helpers/content-folder.js';
import { tempFolder } from '../helpers/temp.js';
import { noTransmission, Transmission } from '../helpers/transmission.js';

const tree = { 'a.bin': bytes(3_000_001, 3), 'sub/b.bin': bytes(70_000, 4) };

async function scene(t: Test) {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), tree);
  const torrent = join(folder, 'tree.torrent');
  const args = [join(folder, 'tree'), '--v1', '--piece-length', '64KiB', '--out', torrent];
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

t.test('from transmission', { skip: noTransmission }, async (t) => {
  const { folder, torrent } = await scene(t);
  const transmission = await Transmission.start(t);
  // What is there already it takes over, and serves.
  await transmission.add(torrent, folder);
  await checkGet(t, folder, torrent, transmission.peerAddress);
});
