// Seeds a folder of torrents, and prints one line when peers may come: how long that took since the process was started,
// and what memory is used once the garbage is gone. Ends with its stdin.
import { TorrentSeeder } from '../../dist/node/torrent-seed.js';

const [folder, stateDir] = process.argv.slice(2);
const stop = new AbortController();
const report = { progress: () => {}, warn: (text) => process.stderr.write(`${text}\n`), event: () => {} };
const options = { torrents: { folder }, stateDir, listen: '127.0.0.1:0', dht: true };
const seeder = await TorrentSeeder.start(options, stop.signal, report);
const startMs = performance.now();
while (seeder.library.uncheckedCount > 0) await new Promise((resolve) => setTimeout(resolve, 100));
const checkedMs = performance.now();
for (let n = 0; n < 4; n++) {
  global.gc();
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const { heapUsed, heapTotal, external, rss } = process.memoryUsage();
const { size: torrents, openCount } = seeder.library;
const { port } = seeder.peerNode.address;
process.stdout.write(
  `${JSON.stringify({ torrents, openCount, startMs, checkedMs, heapUsed, heapTotal, external, rss, port })}\n`,
);
process.stdin.resume();
process.stdin.once('end', async () => {
  stop.abort();
  await seeder.close();
});
