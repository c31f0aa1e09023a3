// What the machine itself allows: our hash functions over memory on all cores, copying memory on one, and reading files
// from its disk.
import { execFileSync } from 'node:child_process';
import { open } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { cargoProgram } from './cargo.mjs';
import { dropFromPageCache } from './cold.mjs';

let measured;

function limits() {
  const args = ['limits', String(availableParallelism())];
  measured ??= JSON.parse(execFileSync(cargoProgram('storeloop'), args, { encoding: 'utf8' }));
  return measured;
}

/** The bare hash loop of one kind of torrent. */
export function hashLimit(kind) {
  return { name: 'bare hash loop', gibPerSecond: limits()[kind] };
}

/** Copying memory that is in no cache, with one core. */
export function copyLimit() {
  return { name: 'memory copy', gibPerSecond: limits().copy };
}

/** Reading files that are not in memory, in large portions and one file for each core at a time. */
export async function diskLimit(paths) {
  dropFromPageCache(paths);
  const rest = [...paths];
  let readBytes = 0;
  const reader = async () => {
    const buffer = Buffer.alloc(4 << 20);
    for (let path = rest.shift(); path; path = rest.shift()) {
      const file = await open(path);
      for (let bytes = -1; bytes !== 0; readBytes += bytes)
        bytes = (await file.read(buffer, 0, buffer.length)).bytesRead;
      await file.close();
    }
  };
  const begun = performance.now();
  await Promise.all(Array.from({ length: availableParallelism() }, reader));
  return { name: 'bare read', gibPerSecond: readBytes / 2 ** 30 / ((performance.now() - begun) / 1000) };
}
