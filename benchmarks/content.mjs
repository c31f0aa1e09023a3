// What torrents are made of: bytes that look random and are the same on every run.
import { createCipheriv } from 'node:crypto';
import { closeSync, fdatasyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const zeros = Buffer.alloc(1 << 20);

/** Writes a file. */
export function makeFile(path, lengthBytes, seed = 0) {
  const stream = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16, String(seed)));
  const file = openSync(path, 'w');
  for (let at = 0; at < lengthBytes; at += zeros.length) {
    writeSync(file, stream.update(zeros.subarray(0, lengthBytes - at)));
  }
  // Nothing is left to be written while others are measured.
  fdatasyncSync(file);
  closeSync(file);
}

/** Makes a folder of 2,000 files of 1 KiB to 4 MiB; returns their bytes together, 518 MiB. */
export function makeTree(folder) {
  let sumBytes = 0;
  for (let n = 0; n < 2000; n++) {
    // Steps of the golden ratio fill 0 to 1 evenly; small files are the most, as in real trees.
    const share = (n * 0.618_033_988_75) % 1;
    const lengthBytes = Math.round(1024 * 4096 ** (share ** 2));
    const inner = join(folder, `part-${String(n % 20).padStart(2, '0')}`);
    mkdirSync(inner, { recursive: true });
    makeFile(join(inner, `file-${String(n).padStart(4, '0')}.bin`), lengthBytes, n);
    sumBytes += lengthBytes;
  }
  return sumBytes;
}
