// What benchmarks hash and serve: a regtest chain of full blocks, as one file of records, as the flat file of its
// first segment, and as a data directory without undo data (seeding blocks needs none).
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cachedRecords } from './chains.mjs';

const segmentBlocks = 144;
/** Core's limit for a block file. */
const fileBytesLimit = 128 * 2 ** 20;

/** Makes the chain in a folder; returns where things lie. */
export function makePayload(folder) {
  const recordsPath = cachedRecords(['--blocks=600', '--bytes-per-block=900000']);
  const bytes = readFileSync(recordsPath);
  const offsets = [0];
  for (let at = 0; at < bytes.length; offsets.push(at)) at += 8 + bytes.readUInt32LE(at + 4);
  const segmentPath = join(folder, 'bitcoin-regtest-blocks-00000.dat');
  writeFileSync(segmentPath, bytes.subarray(0, offsets[segmentBlocks]));
  return {
    segmentPath,
    lengthBytes: offsets[segmentBlocks],
    plain: datadir(join(folder, 'plain'), bytes, offsets, new Uint8Array(8)),
    xored: datadir(
      join(folder, 'xored'),
      bytes,
      offsets,
      Uint8Array.of(0x02, 0xd8, 0x04, 0x98, 0x9a, 0x27, 0x1d, 0xb7),
    ),
  };
}

function datadir(path, bytes, offsets, key) {
  const blocks = join(path, 'regtest', 'blocks');
  mkdirSync(blocks, { recursive: true });
  writeFileSync(join(blocks, 'xor.dat'), key);
  let number = 0;
  for (let first = 0; first < offsets.length - 1; number++) {
    let end = first + 1;
    while (end < offsets.length - 1 && offsets[end + 1] - offsets[first] <= fileBytesLimit) end++;
    const file = Uint8Array.prototype.slice.call(bytes, offsets[first], offsets[end]);
    for (let i = 0; i < file.length; i++) file[i] ^= key[i & 7];
    writeFileSync(join(blocks, `blk${String(number).padStart(5, '0')}.dat`), file);
    first = end;
  }
  return path;
}
