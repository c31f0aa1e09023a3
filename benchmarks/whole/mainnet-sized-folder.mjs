// Block files as large as mainnet's in number and length, of which only heads and headers are written: the rest is holes.
// The chain is regtest's, so that a header takes two tries.
import { createHash } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const magic = Buffer.from('fabfb5da', 'hex');
const bits = 0x207fffff;
/** About mainnet's at the time of writing. */
const wanted = { files: 6400, blocksPerFile: 148, blockBytes: 895_000 };

const sha256d = (bytes) => createHash('sha256').update(createHash('sha256').update(bytes).digest()).digest();

/** A coinbase that no other height has. */
function coinbase(height) {
  const bytes = Buffer.from(
    '01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0500000000' +
      '00ffffffff0100000000000000000151' +
      '00000000',
    'hex',
  );
  bytes[42] = 4;
  bytes.writeUInt32LE(height, 43);
  return bytes;
}

/** The block of a height on a hash: its record with nothing but a coinbase, and its hash. */
export function nextBlock(height, prev) {
  const transaction = coinbase(height);
  const header = Buffer.alloc(80);
  header.writeInt32LE(4, 0);
  header.set(prev, 4);
  header.set(sha256d(transaction), 36);
  header.writeUInt32LE(1_300_000_000 + height, 68);
  header.writeUInt32LE(bits, 72);
  let hash = sha256d(header);
  for (let nonce = 1; (hash[31] ?? 255) > 0x7e; nonce++) {
    header.writeUInt32LE(nonce, 76);
    hash = sha256d(header);
  }
  return { hash, record: record(Buffer.concat([header, Buffer.of(1), transaction])) };
}

function record(block) {
  const head = Buffer.alloc(8);
  head.set(magic);
  head.writeUInt32LE(block.length, 4);
  return Buffer.concat([head, block]);
}

/** Makes the folder; `newest` in it names the file that grows. */
export function mainnetSizedFolder(blocksDir, { files, blocksPerFile, blockBytes } = wanted) {
  mkdirSync(blocksDir);
  let prev = null;
  let height = 0;
  let lengthBytes = 0;
  let name = '';
  for (let number = 0; number < files; number++) {
    name = `blk${String(number).padStart(5, '0')}.dat`;
    const file = openSync(join(blocksDir, name), 'w');
    let offset = 0;
    for (let n = 0; n < blocksPerFile; n++) {
      const made = prev === null ? genesis() : nextBlock(height, prev);
      const isLast = number === files - 1 && n === blocksPerFile - 1;
      // The last block of all is looked at as a whole.
      const length = isLast || prev === null ? made.record.length : 8 + blockBytes;
      made.record.writeUInt32LE(length - 8, 4);
      writeSync(file, made.record, 0, made.record.length, offset);
      offset += length;
      prev = made.hash;
      height++;
    }
    ftruncateSync(file, offset);
    closeSync(file);
    lengthBytes += offset;
  }
  writeFileSync(join(blocksDir, 'newest'), name);
  return { blocksDir, blocks: height, files, lengthBytes, tipHash: prev.toString('hex') };
}

/** Regtest's. */
function genesis() {
  const header = Buffer.from(
    '0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b27ac72c3e' +
      '67768f617fc81bc3888a51323a9fb8aa4b1e5e4adae5494dffff7f2002000000',
    'hex',
  );
  const transaction = Buffer.from(
    '01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04ffff001d01' +
      '04455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e206272696e6b206f6620' +
      '7365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01000000434104678afdb0fe5548' +
      '271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f35504e51ec112de5c384df7ba0b' +
      '8d578a4c702b6bf11d5fac00000000',
    'hex',
  );
  return { hash: sha256d(header), record: record(Buffer.concat([header, Buffer.of(1), transaction])) };
}
