// What the first hashing of a regtest data directory takes (`hash BLOCKSDIR BLOCKS`), or reading its files in large portions,
// one for each core at a time (`read BLOCKSDIR`). Prints one JSON object: bytes, seconds, cpuSeconds.
import { readdirSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { PIECE_LENGTH_BYTES } from '../../dist/metainfo/hybrid.js';
import { scanDatadir } from '../../dist/native.js';

const interval = 144;
const [what, blocksDir, blocks] = process.argv.slice(2);
const work = what === 'hash' ? hashAll(await scanDatadir(blocksDir, 'regtest')) : readAll();
const [begun, cpu] = [performance.now(), process.cpuUsage()];
const bytes = await work();
const seconds = (performance.now() - begun) / 1000;
const { user, system } = process.cpuUsage(cpu);
process.stdout.write(`${JSON.stringify({ bytes, seconds, cpuSeconds: (user + system) / 1e6 })}\n`);

function hashAll(index) {
  return async () => {
    let bytes = 0;
    for (let segment = 0; (segment + 2) * interval <= Number(blocks); segment++) {
      for (const kind of ['blocks', 'spent'])
        bytes += (await index.hashed(segment, kind, PIECE_LENGTH_BYTES, null)).extents.lengthBytes;
    }
    return bytes;
  };
}

function readAll() {
  const rest = readdirSync(blocksDir).filter((name) => /^(blk|rev)\d+\.dat$/.test(name));
  return async () => {
    let bytes = 0;
    const reader = async () => {
      const buffer = Buffer.alloc(4 << 20);
      for (let name = rest.shift(); name; name = rest.shift()) {
        const file = await open(join(blocksDir, name));
        for (let read = -1; read !== 0; bytes += read)
          read = (await file.read(buffer, 0, buffer.length)).bytesRead;
        await file.close();
      }
    };
    await Promise.all(Array.from({ length: availableParallelism() }, reader));
    return bytes;
  };
}
