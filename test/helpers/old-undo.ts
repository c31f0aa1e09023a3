/** Undo files of mainnet's sample as Core before 0.15 would have left them. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();

/** A blocks folder's files with the XOR undone. */
export function plainFile(blocksDir: string, name: string): Buffer {
  const bytes = readFileSync(join(blocksDir, name));
  if (!readdirSync(blocksDir).includes('xor.dat')) return bytes;
  const key = readFileSync(join(blocksDir, 'xor.dat'));
  return bytes.map((byte, at) => byte ^ (key[at % 8] ?? 0)) as Buffer;
}

/** Reads Core's VARINT and CompactSize; the sample has none of more than two bytes. */
class Reader {
  at = 0;
  readonly bytes: Buffer;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
  byte(): number {
    return this.bytes[this.at++] ?? 0;
  }
  compactSize(): number {
    const first = this.byte();
    if (first < 0xfd) return first;
    this.at += 2;
    return this.bytes.readUInt16LE(this.at - 2);
  }
  varint(): bigint {
    for (let value = 0n; ; value++) {
      const byte = this.byte();
      value = (value << 7n) | BigInt(byte & 0x7f);
      if (byte < 0x80) return value;
    }
  }
}

/** Makes a CBlockUndo old: of three coins one keeps its height, and has the version of its transaction behind it. */
function oldUndo(undo: Buffer, coins: { count: number }): Buffer {
  const reader = new Reader(undo);
  const parts: Uint8Array[] = [];
  const copy = (from: number) => parts.push(undo.subarray(from, reader.at));
  const transactions = reader.compactSize();
  copy(0);
  for (let n = 0; n < transactions; n++) {
    const start = reader.at;
    const count = reader.compactSize();
    copy(start);
    for (let coin = 0; coin < count; coin++) {
      const code = reader.at;
      reader.varint();
      const keepsHeight = coins.count++ % 3 === 2;
      if (keepsHeight) copy(code);
      parts.push(Uint8Array.of(keepsHeight ? 1 : 0));
      reader.byte();
      const output = reader.at;
      reader.varint();
      const form = Number(reader.varint());
      reader.at += form < 2 ? 20 : form < 6 ? 32 : form - 6;
      copy(output);
    }
  }
  return Buffer.concat(parts);
}

/** The first block file of mainnet's sample and its undo file, both plain and the latter old, into a folder. */
export function writeOldPair(blocksDir: string, into: string): { coins: number } {
  const padded = plainFile(blocksDir, 'blk00000.dat');
  let end = 0;
  while (padded.readUInt32LE(end) === padded.readUInt32LE(0)) end += 8 + padded.readUInt32LE(end + 4);
  const blk = padded.subarray(0, end);
  const rev = plainFile(blocksDir, 'rev00000.dat');
  const coins = { count: 0 };
  const parts: Uint8Array[] = [];
  // The sample is in the order of heights: record n is of block n + 1.
  let block = 8 + blk.readUInt32LE(4);
  for (let at = 0; rev.readUInt32LE(at) === blk.readUInt32LE(0); ) {
    const size = rev.readUInt32LE(at + 4);
    const undo = oldUndo(rev.subarray(at + 8, at + 8 + size), coins);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(undo.length);
    const previous = blk.subarray(block + 12, block + 44);
    const checksum = sha256(sha256(Buffer.concat([previous, undo])));
    parts.push(rev.subarray(at, at + 4), length, undo, checksum);
    at += 8 + size + 32;
    block += 8 + blk.readUInt32LE(block + 4);
    if (at + 8 > rev.length) break;
  }
  writeFileSync(join(into, 'blk00000.dat'), blk);
  writeFileSync(join(into, 'rev00000.dat'), Buffer.concat(parts));
  return { coins: coins.count };
}
