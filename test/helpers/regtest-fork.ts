/** Headers of regtest that nobody's node has: mined here, which takes two tries each. */
import { createHash } from 'node:crypto';
import type { Network } from '../../src/native.js';

const sha256d = (bytes: Uint8Array) =>
  createHash('sha256').update(createHash('sha256').update(bytes).digest()).digest();

/** `count` headers of 80 bytes from genesis on, each a minute after the one before. */
export function regtestFork(network: Network, count: number): Uint8Array {
  const headers = [Buffer.from(network.genesisHeader)];
  let time = network.genesisHeader.readUInt32LE(68);
  for (let height = 1; height < count; height++) {
    const header = Buffer.from(network.genesisHeader);
    header.writeInt32LE(0x20000000, 0);
    sha256d(headers[height - 1] ?? Buffer.alloc(80)).copy(header, 4);
    header.fill(height & 0xff, 36, 68);
    time += 60;
    header.writeUInt32LE(time, 68);
    for (let nonce = 0; (sha256d(header)[31] ?? 255) > 0x7e; ) header.writeUInt32LE(++nonce, 76);
    headers.push(header);
  }
  return Buffer.concat(headers);
}
