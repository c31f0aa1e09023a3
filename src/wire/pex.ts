/** Peer exchange, `ut_pex` of BEP 11: peers tell each other whom they are connected to. Bytes in, values out. */
import { type BencodeDict, type BencodeValue, decode, type Encodable, encode, isDict } from '../bencode.js';
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import {
  type AddressFamily,
  addressFamily,
  compactBytes,
  encodeCompactAddress,
  parseCompactAddress,
} from './compact-address.js';

export const UT_PEX = 'ut_pex';
/** Longest message read: several times what the counts of the BEP come to. */
export const MAX_PEX_BYTES = 16 * 1024;
/** Added peers in a message, and dropped ones (BEP 11). */
export const MAX_PEX_PEERS = 50;
/** Added peers in the first message. */
export const MAX_FIRST_PEX_PEERS = 100;

/** What is said of a peer (`added.f`). */
export interface PexFlags {
  readonly prefersEncryption?: boolean;
  /** It has everything, or wants nothing. */
  readonly seed?: boolean;
  readonly utp?: boolean;
  readonly holepunch?: boolean;
  /** The sender dialled it: it can be reached. */
  readonly reachable?: boolean;
}

const FLAGS: readonly [keyof PexFlags, number][] = [
  ['prefersEncryption', 0x01],
  ['seed', 0x02],
  ['utp', 0x04],
  ['holepunch', 0x08],
  ['reachable', 0x10],
];

export interface PexPeer {
  readonly address: PeerAddress;
  readonly flags: PexFlags;
}

export interface PexMessage {
  readonly added: readonly PexPeer[];
  readonly dropped: readonly PeerAddress[];
}

const KEYS: Readonly<Record<AddressFamily, { added: string; flags: string; dropped: string }>> = {
  ipv4: { added: 'added', flags: 'added.f', dropped: 'dropped' },
  ipv6: { added: 'added6', flags: 'added6.f', dropped: 'dropped6' },
};

export function encodePexMessage({ added, dropped }: PexMessage): Uint8Array {
  const dict = new Map<string, Encodable>();
  for (const family of ['ipv4', 'ipv6'] as const) {
    const keys = KEYS[family];
    const peers = added.filter(({ address }) => addressFamily(address) === family);
    const gone = dropped.filter((address) => addressFamily(address) === family);
    dict.set(keys.added, Buffer.concat(peers.map(({ address }) => encodeCompactAddress(address))));
    dict.set(
      keys.flags,
      Uint8Array.from(peers, ({ flags }) => flagBits(flags)),
    );
    dict.set(keys.dropped, Buffer.concat(gone.map(encodeCompactAddress)));
  }
  return encode(dict);
}

/**
 * Reads a message: at most `maxPeers` added and as many dropped, without doubles; what is beyond is left out. `null`
 * when it is malformed: the peer can be closed for it.
 */
export function parsePexMessage(
  bytes: Uint8Array,
  maxPeers: number = MAX_FIRST_PEX_PEERS,
): PexMessage | null {
  const dict = readDict(bytes);
  if (!dict) return null;
  const added = new Map<string, PexPeer>();
  const dropped = new Map<string, PeerAddress>();
  for (const family of ['ipv4', 'ipv6'] as const) {
    const keys = KEYS[family];
    const flags = dict.get(keys.flags);
    const peers = readAddresses(dict.get(keys.added), family, maxPeers);
    const gone = readAddresses(dict.get(keys.dropped), family, maxPeers);
    if (!peers || !gone) return null;
    for (const { address, at } of peers) {
      const bits = flags instanceof Uint8Array ? (flags[at] ?? 0) : 0;
      if (added.size < maxPeers) added.set(formatPeerAddress(address), { address, flags: readFlags(bits) });
    }
    for (const { address } of gone)
      if (dropped.size < maxPeers) dropped.set(formatPeerAddress(address), address);
  }
  return { added: [...added.values()], dropped: [...dropped.values()] };
}

function readDict(bytes: Uint8Array): BencodeDict | null {
  try {
    const value = decode(bytes, { maxBytes: MAX_PEX_BYTES, maxDepth: 3, maxTokens: 64 });
    return isDict(value) ? value : null;
  } catch {
    return null;
  }
}

/** The addresses that make sense, with their places in the list; `null` when it is no list of addresses. */
function readAddresses(
  value: BencodeValue | undefined,
  family: AddressFamily,
  most: number,
): { address: PeerAddress; at: number }[] | null {
  if (value === undefined) return [];
  const length = compactBytes(family);
  if (!(value instanceof Uint8Array) || value.length % length !== 0) return null;
  const addresses: { address: PeerAddress; at: number }[] = [];
  for (let at = 0; at < value.length / length && addresses.length < most; at++) {
    const address = parseCompactAddress(value.subarray(at * length, (at + 1) * length), family);
    if (address) addresses.push({ address, at });
  }
  return addresses;
}

function flagBits(flags: PexFlags): number {
  let bits = 0;
  for (const [name, bit] of FLAGS) if (flags[name]) bits |= bit;
  return bits;
}

function readFlags(bits: number): PexFlags {
  return Object.fromEntries(FLAGS.map(([name, bit]) => [name, (bits & bit) !== 0]));
}
