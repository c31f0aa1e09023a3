/** The datagrams between us and a UDP tracker (BEP 15, 41). Bytes in, values out. */
import type { Announce, AnnounceEvent, ScrapeCounts } from './announce.js';
import { compactPeers, intervals, shownText } from './announce-reply.js';

const PROTOCOL_ID = 0x41727101980n;
const CONNECT = 0;
const ANNOUNCE = 1;
const SCRAPE = 2;
const ERROR = 3;
const EVENTS = { completed: 1, started: 2, stopped: 3 } as const;
const ANNOUNCE_BYTES = 98;
/** BEP 41: options behind an announcement; 255 bytes of path and query in each. */
const URL_DATA = 2;
const URL_DATA_BYTES = 255;
/** More hashes do not fit an answer's datagram. */
export const UDP_SCRAPE_HASHES = 74;

/** What a datagram says; `null` for one that is too short or of another kind than was asked for. */
export type UdpAnswer<T> =
  | { readonly failure: null; readonly value: T }
  | { readonly failure: string }
  | null;

export function encodeConnect(transaction: number): Uint8Array {
  const bytes = head(16, CONNECT, transaction);
  bytes.writeBigUInt64BE(PROTOCOL_ID, 0);
  return bytes;
}

/** `target` is path and query of the tracker's URL. */
export function encodeAnnounce(
  connection: Uint8Array,
  transaction: number,
  announce: Announce,
  target: string,
): Uint8Array {
  const bytes = head(ANNOUNCE_BYTES, ANNOUNCE, transaction);
  bytes.set(connection, 0);
  bytes.write(announce.name, 16, 20, 'latin1');
  bytes.set(announce.peerId.subarray(0, 20), 36);
  bytes.writeBigUInt64BE(BigInt(announce.downloadedBytes), 56);
  bytes.writeBigUInt64BE(BigInt(announce.leftBytes), 64);
  bytes.writeBigUInt64BE(BigInt(announce.uploadedBytes), 72);
  bytes.writeUInt32BE(eventCode(announce.event), 80);
  bytes.writeUInt32BE(announce.key >>> 0, 88);
  bytes.writeInt32BE(announce.numWant, 92);
  bytes.writeUInt16BE(announce.port, 96);
  return Buffer.concat([bytes, ...urlData(target)]);
}

export function encodeScrape(
  connection: Uint8Array,
  transaction: number,
  names: readonly string[],
): Uint8Array {
  const bytes = head(16, SCRAPE, transaction);
  bytes.set(connection, 0);
  return Buffer.concat([bytes, ...names.map((name) => Buffer.from(name, 'latin1'))]);
}

/** The 8 bytes that later requests begin with. */
export function readConnect(payload: Uint8Array): UdpAnswer<Uint8Array> {
  return read(payload, CONNECT, 16, (bytes) => Buffer.from(bytes.subarray(8, 16)));
}

/** Peers are of the family that was asked over. */
export function readAnnounce(payload: Uint8Array, ipVersion: 4 | 6) {
  return read(payload, ANNOUNCE, 20, (bytes) => ({
    ...intervals(bytes.readUInt32BE(8) * 1000),
    leechers: bytes.readUInt32BE(12),
    seeds: bytes.readUInt32BE(16),
    peers: compactPeers(bytes.subarray(20), ipVersion === 4 ? 'ipv4' : 'ipv6'),
  }));
}

/** Counts in the order of the names. */
export function readScrape(payload: Uint8Array, names: readonly string[]) {
  return read(payload, SCRAPE, 8 + 12 * names.length, (bytes) => {
    const counts = names.map((name, at): [string, ScrapeCounts] => {
      const [seeds, completed, leechers] = [0, 4, 8].map((field) => bytes.readUInt32BE(8 + 12 * at + field));
      return [name, { seeds: seeds ?? 0, completed: completed ?? 0, leechers: leechers ?? 0 }];
    });
    return new Map(counts);
  });
}

function read<T>(
  payload: Uint8Array,
  action: number,
  minBytes: number,
  parse: (bytes: Buffer) => T,
): UdpAnswer<T> {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
  if (bytes.length < 8) return null;
  const said = bytes.readUInt32BE(0);
  if (said === ERROR) return { failure: shownText(bytes.subarray(8)) };
  return said === action && bytes.length >= minBytes ? { failure: null, value: parse(bytes) } : null;
}

function head(lengthBytes: number, action: number, transaction: number): Buffer {
  const bytes = Buffer.alloc(lengthBytes);
  bytes.writeUInt32BE(action, 8);
  bytes.writeUInt32BE(transaction, 12);
  return bytes;
}

function eventCode(event: AnnounceEvent): number {
  // BEP 15 has no code for `paused`.
  return event === null || event === 'paused' ? 0 : EVENTS[event];
}

function urlData(target: string): Uint8Array[] {
  const bytes = Buffer.from(target, 'utf8');
  const options: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += URL_DATA_BYTES) {
    const part = bytes.subarray(at, at + URL_DATA_BYTES);
    options.push(Uint8Array.of(URL_DATA, part.length), part);
  }
  return options;
}
