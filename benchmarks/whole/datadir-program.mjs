// Scans a folder into a new store, and again from that; then looks while nothing changes, and while blocks come. Prints
// one JSON line. What is appended is taken away again at the end.
import { appendFileSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { scanDatadir } from '../../dist/native.js';
import { nextBlock } from './mainnet-sized-folder.mjs';

const [blocksDir, store] = process.argv.slice(2);
const looks = 100;
const appended = 40;

rmSync(store, { force: true });
const first = await opened();
await first.index.close();
first.index = null;
const restart = await opened();
const { index } = restart;

const idle = await cost(looks, async () => {
  const { readBytes } = await index.rescan();
  if (readBytes !== 0) throw new Error('a look read block files');
});
const newest = join(blocksDir, readFileSync(join(blocksDir, 'newest'), 'utf8'));
const lengthBytes = statSync(newest).size;
let { height, hash } = index.tip();
const block = await cost(appended, async () => {
  const next = nextBlock(++height, hash);
  appendFileSync(newest, next.record);
  hash = next.hash;
  const changes = await index.rescan();
  if (changes.appended !== 1 || changes.readBytes > next.record.length + 256)
    throw new Error(`${changes.readBytes} bytes read for a block of ${next.record.length}`);
});
await index.close();
truncateSync(newest, lengthBytes);
const { index: _, ...begun } = first;
const { index: __, ...again } = restart;
process.stdout.write(`${JSON.stringify({ first: begun, restart: again, idle, block })}\n`);

/** An index, and what it took. */
async function opened() {
  const [reads, memory, begun] = [readsSoFar(), await memoryBytes(), performance.now()];
  const index = await scanDatadir(blocksDir, 'regtest', undefined, store);
  const seconds = (performance.now() - begun) / 1000;
  const now = readsSoFar();
  const { height, hash } = index.tip();
  return {
    index,
    seconds,
    reads: now.calls - reads.calls,
    readBytes: now.bytes - reads.bytes,
    memoryBytes: (await memoryBytes()) - memory,
    tip: { height, hash: Buffer.from(hash).toString('hex') },
  };
}

/** Of one of `count` calls. */
async function cost(count, work) {
  const [begun, cpu] = [performance.now(), process.cpuUsage()];
  for (let n = 0; n < count; n++) await work();
  const { user, system } = process.cpuUsage(cpu);
  return { ms: (performance.now() - begun) / count, cpuMs: (user + system) / 1000 / count };
}

function readsSoFar() {
  const field = (name) =>
    Number(new RegExp(`^${name}: (\\d+)$`, 'm').exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
  return { calls: field('syscr'), bytes: field('rchar') };
}

async function memoryBytes() {
  for (let n = 0; n < 4; n++) {
    global.gc();
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return process.memoryUsage().rss;
}
