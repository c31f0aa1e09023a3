/**
 * Holepunch, `ut_holepunch` of BEP 55: a peer connected to two others tells each of them to dial the other one at the
 * same time, which opens the way through their NATs. Bytes in, values out.
 */
import type { PeerAddress } from '../connector.js';
import { addressFamily, compactBytes, encodeCompactAddress, parseCompactAddress } from './compact-address.js';

export const UT_HOLEPUNCH = 'ut_holepunch';
/** Longest message: type, family, an IPv6 address with its port, error. */
export const MAX_HOLEPUNCH_BYTES = 2 + 18 + 4;

const TYPES = ['rendezvous', 'connect', 'error'] as const;
const ERRORS = ['no-such-peer', 'not-connected', 'no-support', 'no-self'] as const;

/**
 * `no-such-peer`: no address of a peer. `not-connected`: the relay is not connected to it. `no-support`: it does not speak
 * holepunch. `no-self`: it is the one that asked, or the relay.
 */
export type HolepunchError = (typeof ERRORS)[number];

export type HolepunchMessage =
  /** To the relay: make this peer dial me. */
  | { readonly type: 'rendezvous'; readonly address: PeerAddress }
  /** From the relay: dial this peer now. */
  | { readonly type: 'connect'; readonly address: PeerAddress }
  /** From the relay: it will not. `null` for an error that the BEP does not define. */
  | { readonly type: 'error'; readonly address: PeerAddress; readonly error: HolepunchError | null };

export function encodeHolepunchMessage(message: HolepunchMessage): Uint8Array {
  const { type, address } = message;
  const tail = Buffer.alloc(4);
  if (type === 'error' && message.error) tail.writeUInt32BE(ERRORS.indexOf(message.error) + 1);
  const head = Uint8Array.of(TYPES.indexOf(type), addressFamily(address) === 'ipv4' ? 0 : 1);
  return Buffer.concat([head, encodeCompactAddress(address), tail]);
}

/** Reads a message, or gives `null` when it is malformed. The error field may be left out where there is none. */
export function parseHolepunchMessage(bytes: Uint8Array): HolepunchMessage | null {
  const type = TYPES[bytes[0] ?? TYPES.length];
  const family = (['ipv4', 'ipv6'] as const)[bytes[1] ?? 2];
  if (type === undefined || family === undefined) return null;
  const end = 2 + compactBytes(family);
  const address = parseCompactAddress(bytes.subarray(2, end), family);
  const tail = bytes.length - end;
  if (address === null || (tail !== 4 && (tail !== 0 || type === 'error'))) return null;
  if (type !== 'error') return { type, address };
  const code = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).readUInt32BE(end);
  return { type, address, error: ERRORS[code - 1] ?? null };
}
