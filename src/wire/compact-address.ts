/** Addresses in the compact form of BEP 5, 7, 11 and 23: 4 or 16 bytes of IP address, 2 of port, big-endian. */
import { isIPv4 } from 'node:net';
import { normalizeHost, type PeerAddress } from '../connector.js';

export type AddressFamily = 'ipv4' | 'ipv6';

const IP_BYTES = { ipv4: 4, ipv6: 16 } as const;

export function addressFamily({ host }: Pick<PeerAddress, 'host'>): AddressFamily {
  return isIPv4(host) ? 'ipv4' : 'ipv6';
}

/** Bytes of one address. */
export function compactBytes(family: AddressFamily): number {
  return IP_BYTES[family] + 2;
}

/** @throws TypeError when the host is no IP literal */
export function encodeCompactAddress(address: PeerAddress): Uint8Array {
  const family = addressFamily(address);
  const bytes = Buffer.alloc(compactBytes(family));
  if (family === 'ipv4') bytes.set(address.host.split('.').map(Number));
  else bytes.set(ipv6Bytes(address.host));
  bytes.writeUInt16BE(address.port, IP_BYTES[family]);
  return bytes;
}

/** Reads one address; `null` for a wrong length or port 0. Whether it may be dialled is not asked here. */
export function parseCompactAddress(bytes: Uint8Array, family: AddressFamily): PeerAddress | null {
  if (bytes.length !== compactBytes(family)) return null;
  const host = parseIp(bytes.subarray(0, IP_BYTES[family]));
  const port = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt16BE(IP_BYTES[family]);
  return host === null || port === 0 ? null : { host, port };
}

/** The one spelling of 4 or 16 bytes of IP address; `null` for another length. */
export function parseIp(bytes: Uint8Array): string | null {
  if (bytes.length === IP_BYTES.ipv4) return normalizeHost(bytes.join('.'));
  if (bytes.length !== IP_BYTES.ipv6) return null;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const groups = Array.from({ length: 8 }, (_, group) => view.readUInt16BE(2 * group).toString(16));
  return normalizeHost(groups.join(':'));
}

function ipv6Bytes(host: string): Uint8Array {
  const literal = normalizeHost(host);
  if (literal === null || isIPv4(literal)) throw new TypeError(`"host" expected an IP literal, got ${host}`);
  const [head = '', tail] = literal.split('::');
  const groups = (text: string) =>
    text === '' ? [] : text.split(':').map((group) => Number.parseInt(group, 16));
  const first = groups(head);
  const last = groups(tail ?? '');
  const bytes = Buffer.alloc(16);
  for (const [at, group] of first.entries()) bytes.writeUInt16BE(group, 2 * at);
  for (const [at, group] of last.entries()) bytes.writeUInt16BE(group, 2 * (8 - last.length + at));
  return bytes;
}
