/**
 * Lists of addresses, as others publish them, one range a line: P2P (`name:1.2.3.4-1.2.3.9`, PeerGuardian), DAT
 * (`001.002.003.004 - 001.002.003.009 , 100 , name`, eMule; levels over 127 are no block), CIDR (`1.2.3.0/24`,
 * `2001:db8::/32`) and single addresses. Compressed by gzip or not. A bad line is counted and passed over.
 */
import { isIPv6 } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { BlockswarmError } from '../errors.js';

/** Of a file, compressed or not: the largest lists there are have 20 MiB. */
export const MAX_LIST_BYTES = 256 * 2 ** 20;

/** As the native core takes them; both ends of a range are in it. */
export interface AddressRanges {
  /** First and last of each range. */
  readonly v4: Uint32Array;
  /** Likewise, of 16 bytes each. */
  readonly v6: Uint8Array;
}

export interface AddressList extends AddressRanges {
  readonly ranges: number;
  readonly badLines: number;
}

/** @throws BlockswarmError ERR_CONFIG for what cannot be unpacked, or is too long */
export function parseAddressList(bytes: Uint8Array): AddressList {
  const text = Buffer.from(unpacked(bytes)).toString('latin1');
  let v4 = new Uint32Array(1024);
  let count = 0;
  const v6: Buffer[] = [];
  let badLines = 0;
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(at, end).trim();
    at = end + 1;
    if (line === '' || line.startsWith('#') || line.startsWith('//')) continue;
    const range = parseLine(line);
    if (range === 'bad') badLines++;
    else if (range !== null && typeof range[0] === 'number') {
      if (count === v4.length) {
        const longer = new Uint32Array(count * 2);
        longer.set(v4);
        v4 = longer;
      }
      v4[count++] = range[0];
      v4[count++] = Number(range[1]);
    } else if (range !== null) v6.push(...range.map(bytesOf));
  }
  return { v4: v4.slice(0, count), v6: Buffer.concat(v6), ranges: count / 2 + v6.length / 2, badLines };
}

/** All of them together. */
export function joinRanges(lists: readonly AddressRanges[]): AddressRanges {
  const v4 = new Uint32Array(lists.reduce((sum, list) => sum + list.v4.length, 0));
  let at = 0;
  for (const list of lists) {
    v4.set(list.v4, at);
    at += list.v4.length;
  }
  return { v4, v6: Buffer.concat(lists.map((list) => list.v6)) };
}

function bytesOf(address: number | bigint): Buffer {
  return Buffer.from(address.toString(16).padStart(32, '0'), 'hex');
}

function unpacked(bytes: Uint8Array): Uint8Array {
  try {
    if (bytes.length > MAX_LIST_BYTES) throw new RangeError('too long');
    if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
    return gunzipSync(bytes, { maxOutputLength: MAX_LIST_BYTES });
  } catch (cause) {
    throw new BlockswarmError('ERR_CONFIG', 'a list of addresses is longer than 256 MiB, or damaged', {
      cause,
    });
  }
}

type Range<T> = readonly [first: T, last: T];

const dat = /^([\d.]+)\s*-\s*([\d.]+)\s*,\s*(\d{1,4})\s*(?:,|$)/;
/** A name may hold colons, and so do IPv6 addresses: the range is behind the last colon that leaves one. */
const p2p = /:\s*([\d.]+)\s*-\s*([\d.]+)$/;
const p2pV6 = /^(?:.*?:)??([\da-f:.]*::?[\da-f:.]*)\s*-\s*([\da-f:.]*::?[\da-f:.]*)$/i;
const plain = /^([\d.]+)(?:\s*-\s*([\d.]+)|\/(\d{1,2}))?$/;
const plainV6 = /^([\da-f:.]+)(?:\/(\d{1,3}))?$/i;

/** `null`: a range that is not blocked. */
function parseLine(line: string): Range<number> | Range<bigint> | null | 'bad' {
  const level = dat.exec(line);
  if (level) {
    const range = rangeOf(parseV4(level[1] ?? ''), parseV4(level[2] ?? ''));
    return range === 'bad' || Number(level[3]) <= 127 ? range : null;
  }
  const named = plain.exec(line) ?? p2p.exec(line);
  if (named) {
    const [, text = '', lastText, prefix] = named;
    const first = parseV4(text);
    if (first === null || prefix === undefined)
      return rangeOf(first, lastText === undefined ? first : parseV4(lastText));
    const bits = 32 - Number(prefix);
    if (bits < 0) return 'bad';
    const size = 2 ** bits;
    const start = Math.floor(first / size) * size;
    return [start, start + size - 1];
  }
  const single = plainV6.exec(line);
  if (single) {
    const first = parseV6(single[1] ?? '');
    const bits = 128 - Number(single[2] ?? 128);
    if (first === null || bits < 0) return 'bad';
    const mask = (1n << BigInt(bits)) - 1n;
    return [first & ~mask, first | mask];
  }
  const range = p2pV6.exec(line);
  return range ? rangeOf(parseV6(range[1] ?? ''), parseV6(range[2] ?? '')) : 'bad';
}

function rangeOf<T extends number | bigint>(first: T | null, last: T | null): Range<T> | 'bad' {
  return first === null || last === null || first > last ? 'bad' : [first, last];
}

/** Zeros in front mean nothing in these lists. */
function parseV4(text: string): number | null {
  let value = 0;
  let octet = -1;
  let octets = 0;
  for (let at = 0; at <= text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit >= 0 && digit <= 9) {
      octet = Math.max(octet, 0) * 10 + digit;
      if (octet > 255) return null;
    } else {
      if (octet < 0 || ++octets > 4) return null;
      value = value * 256 + octet;
      octet = -1;
    }
  }
  return octets === 4 ? value : null;
}

function parseV6(text: string): bigint | null {
  if (!isIPv6(text)) return null;
  // An IPv4 address at its end is written as two groups.
  const groupsOnly = text.replace(/[\d.]+$/, (tail) => {
    const v4 = tail.includes('.') ? parseV4(tail) : null;
    return v4 === null ? tail : `${(v4 >>> 16).toString(16)}:${(v4 & 0xffff).toString(16)}`;
  });
  const [left = '', right] = groupsOnly.split('::');
  const groups = (part: string) => (part === '' ? [] : part.split(':'));
  const [head, tail] = [groups(left), groups(right ?? '')];
  const zeros = Array<string>(Math.max(0, 8 - head.length - tail.length)).fill('0');
  return [...head, ...zeros, ...tail].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
