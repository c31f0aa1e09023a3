/**
 * Addresses in I2P: names that end with `.i2p`. A destination, some keys in I2P's base64, has the SHA-256 hash of its
 * bytes in base32 for a name, which is what peers are known by here (I2P's "Naming", "Bittorrent over I2P").
 */
import { createHash } from 'node:crypto';
import type { PeerAddress } from '../connector.js';
import { BlockswarmError } from '../errors.js';
import { toBase32 } from '../units.js';

/** I2P has no ports that matter: where one must stand, it is this. */
export const I2P_PORT = 6881;
export const I2P_HASH_BYTES = 32;

const NAME = /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}i2p$/;
const HASH_NAME = /^[a-z2-7]{52}\.b32\.i2p$/;
/** Two keys and a certificate: 387 bytes, and less than a hundred more. */
const DESTINATION = /^[A-Za-z0-9~-]{516,1000}={0,2}$/;
const LEAST_BYTES = 387;

/** Whether a host is a name of I2P's. */
export function isI2pName(host: string): boolean {
  return host.length <= 253 && NAME.test(host);
}

/** Whether a host is the hash of a destination: it leads there and nowhere else. */
export function isI2pHash(host: string): boolean {
  return HASH_NAME.test(host);
}

/** The name of 32 bytes of hash. */
export function i2pHashName(hash: Uint8Array): string {
  return `${toBase32(hash)}.b32.i2p`;
}

/** The address that a name or a destination stands for, with a port or without; `null` for what is neither. */
export function i2pAddress(text: string): PeerAddress | null {
  const host = text.replace(/:\d{1,5}$/, '');
  const destination = host.replace(/\.i2p$/i, '');
  if (DESTINATION.test(destination)) return addressOfDestination(destination);
  const name = host.toLowerCase();
  // What looks like a hash and is none leads nowhere.
  if (!isI2pName(name) || (name.endsWith('.b32.i2p') && !isI2pHash(name))) return null;
  return { host: name, port: I2P_PORT };
}

/** @throws BlockswarmError ERR_ADDRESS for what is no address in I2P */
export function parseI2pAddress(text: string): PeerAddress {
  const address = i2pAddress(text);
  if (address) return address;
  throw new BlockswarmError(
    'ERR_ADDRESS',
    `--privacy i2p leads to names that end with .i2p, and destinations, only; got \`${text.slice(0, 100)}\``,
  );
}

function addressOfDestination(text: string): PeerAddress | null {
  const bytes = Buffer.from(text.replace(/-/g, '+').replace(/~/g, '/'), 'base64');
  if (bytes.length < LEAST_BYTES || bytes.length !== LEAST_BYTES + bytes.readUInt16BE(LEAST_BYTES - 2))
    return null;
  return { host: i2pHashName(createHash('sha256').update(bytes).digest()), port: I2P_PORT };
}
