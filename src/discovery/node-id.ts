/** Ids of DHT nodes: their distance (BEP 5), and how one is bound to its node's address (BEP 42). */
import { randomBytes } from 'node:crypto';
import { addressScope } from '../connector.js';
import { addressFamily, encodeCompactAddress } from '../wire/compact-address.js';
import { crc32c } from '../wire/crc32c.js';

export const ID_BYTES = 20;
export const ID_BITS = 8 * ID_BYTES;

/** Which bits of an address count: a network of n bits of freedom is no more than 8n ids. */
const MASKS = {
  ipv4: [0x03, 0x0f, 0x3f, 0xff],
  ipv6: [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff],
} as const;

export function randomId(): Uint8Array {
  return randomBytes(ID_BYTES);
}

/** `a XOR b`: a big-endian number, for `Buffer.compare`. */
export function distance(a: Uint8Array, b: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(ID_BYTES);
  for (let at = 0; at < ID_BYTES; at++) bytes[at] = (a[at] ?? 0) ^ (b[at] ?? 0);
  return bytes;
}

/** Below 0 when `a` is nearer to `target` than `b`, above 0 when it is farther. */
export function compareDistance(target: Uint8Array, a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < ID_BYTES; at++) {
    const wanted = target[at] ?? 0;
    const difference = ((a[at] ?? 0) ^ wanted) - ((b[at] ?? 0) ^ wanted);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Leading bits that two ids share: 0 to 160. */
export function commonBits(a: Uint8Array, b: Uint8Array): number {
  for (let at = 0; at < ID_BYTES; at++) {
    const difference = (a[at] ?? 0) ^ (b[at] ?? 0);
    if (difference !== 0) return 8 * at + Math.clz32(difference) - 24;
  }
  return ID_BITS;
}

/** A random id that shares exactly `bits` leading bits with `id`: in that bucket of its table. */
export function randomIdSharing(id: Uint8Array, bits: number): Uint8Array {
  const random = randomId();
  for (let bit = 0; bit <= bits && bit < ID_BITS; bit++) {
    const [at, mask] = [bit >> 3, 0x80 >> (bit & 7)];
    const wanted = ((id[at] ?? 0) & mask) ^ (bit === bits ? mask : 0);
    random[at] = ((random[at] ?? 0) & ~mask) | wanted;
  }
  return random;
}

/** An id for a node at an address (BEP 42); random but for what the address decides, and `seed` (a byte). */
export function boundId(host: string, seed: number = randomBytes(1)[0] ?? 0): Uint8Array {
  const id = randomId();
  const sum = addressSum(host, seed);
  id[0] = sum >>> 24;
  id[1] = sum >>> 16;
  id[2] = ((sum >>> 8) & 0xf8) | ((id[2] ?? 0) & 0x07);
  id[19] = seed;
  return id;
}

/** Whether a node may have its id at its address (BEP 42). Addresses that are not global may have any. */
export function isBoundId(id: Uint8Array, host: string): boolean {
  if (addressScope(host) !== 'global') return true;
  const sum = addressSum(host, id[19] ?? 0);
  return (
    id[0] === sum >>> 24 && id[1] === ((sum >>> 16) & 0xff) && (((id[2] ?? 0) ^ (sum >>> 8)) & 0xf8) === 0
  );
}

function addressSum(host: string, seed: number): number {
  const address = encodeCompactAddress({ host, port: 0 });
  const masked = Uint8Array.from(MASKS[addressFamily({ host })], (mask, at) => mask & (address[at] ?? 0));
  masked[0] = (masked[0] ?? 0) | ((seed & 0x07) << 5);
  return crc32c(masked);
}
