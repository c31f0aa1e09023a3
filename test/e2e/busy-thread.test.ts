/** Peers that are being served do not wait for JavaScript. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { formatPeerAddress } from '../../src/connector.js';
import { TorrentSeeder } from '../../src/node/torrent-seed.js';
import { cliJson, programPath } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { Program } from '../helpers/program.js';
import { tempFolder } from '../helpers/temp.js';

const lengthBytes = 96 * 2 ** 20;
const patienceMs = 40_000;

t.test('a leecher comes to the last byte while the thread is blocked', async (t) => {
  const folder = tempFolder(t);
  const [content, torrent, done] = ['content', 'content.torrent', 'done'].map((name) => join(folder, name));
  if (!content || !torrent || !done) throw new Error('three paths');
  const block = bytes(2 ** 20);
  const whole = Buffer.alloc(lengthBytes);
  for (let at = 0; at < lengthBytes; at += block.length) whole.set(block.fill(at / block.length, 0, 64), at);
  writeFileSync(content, whole);
  await cliJson(t, ['torrent', 'make', content, '--v1', '--piece-length', '256KiB', '--out', torrent]);
  const stop = new AbortController();
  const seeder = await TorrentSeeder.start(
    { torrents: [{ torrent, content }], stateDir: tempFolder(t), listen: '127.0.0.1:0', dht: false },
    stop.signal,
    { progress: () => {}, warn: (text) => t.comment(text), event: () => {} },
  );
  t.teardown(() => seeder.close());
  while (seeder.library.uncheckedCount > 0) await sleep(20);
  const peer = formatPeerAddress(seeder.peerNode.address);
  const out = join(folder, 'out');
  const get = `'${process.execPath}' '${programPath}' get '${torrent}' --out '${out}' --peer ${peer}`;
  const leecher = new Program(t, 'sh', [
    '-c',
    `${get} --no-dht --listen 127.0.0.1:0 --state-dir '${folder}/state' && touch '${done}'`,
  ]);
  while (seeder.peerNode.stats().uploadedBytes === 0) await sleep(1);
  const before = seeder.peerNode.stats().uploadedBytes;
  // From here to the end of the download no callback, timer or promise runs in this thread.
  const endMs = performance.now() + patienceMs;
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  while (!existsSync(done) && performance.now() < endMs) Atomics.wait(nothing, 0, 0, 20);
  t.ok(existsSync(done), 'the leecher is complete');
  t.ok(before < lengthBytes, 'the thread was blocked before the end');
  t.equal((await leecher.finished).code, 0);
  t.ok(readFileSync(join(out, 'content')).equals(whole), 'every byte is the same');
});
