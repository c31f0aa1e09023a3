// Seeds a folder of torrents, and prints one line when peers may come: how long that took since the process was started,
// and what memory is used once the garbage is gone; then, for each line on stdin, the processor time so far. Ends with its
// stdin. A third argument has more options, as JSON.
import { createInterface } from 'node:readline';
import { TorrentSeeder } from '../../dist/node/torrent-seed.js';

const [folder, stateDir, more = '{}'] = process.argv.slice(2);
const stop = new AbortController();
const report = { progress: () => {}, warn: (text) => process.stderr.write(`${text}\n`), event: () => {} };
const options = { torrents: { folder }, stateDir, listen: '127.0.0.1:0', dht: true, ...JSON.parse(more) };
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
const lines = createInterface(process.stdin);
lines.on('line', () => {
  const { user, system } = process.cpuUsage();
  process.stdout.write(`${JSON.stringify({ cpuMs: (user + system) / 1000 })}\n`);
});
lines.once('close', async () => {
  stop.abort();
  await seeder.close();
});
