/**
 * Canonical peer priority (BEP 40): both ends of a possible connection compute the same number from their two
 * addresses. Whoever has to choose prefers the higher one, so that the choices of all together make a well-connected
 * swarm that an attacker with many addresses of one network cannot steer.
 */
import type { PeerAddress } from '../connector.js';
import { addressFamily, encodeCompactAddress } from '../wire/compact-address.js';
import { crc32c } from '../wire/crc32c.js';

/** By how many leading bytes of IP two addresses agree, which bits of the rest count. */
const MASKS = {
  ipv4: [
    { same: 3, mask: [0xff, 0xff, 0xff, 0xff] },
    { same: 2, mask: [0xff, 0xff, 0xff, 0x55] },
    { same: 0, mask: [0xff, 0xff, 0x55, 0x55] },
  ],
  // As for IPv4, with the /48 and /56 in the place of the /16 and /24 (libtorrent).
  ipv6: [
    { same: 7, mask: [255, 255, 255, 255, 255, 255, 255, 255, ...Array<number>(8).fill(0x55)] },
    { same: 6, mask: [255, 255, 255, 255, 255, 255, 255, 0x55, ...Array<number>(8).fill(0x55)] },
    { same: 0, mask: [255, 255, 255, 255, 255, 255, ...Array<number>(10).fill(0x55)] },
  ],
} as const;

/**
 * 0 to 2³² − 1, the same whoever of the two asks. Of two ports on one host the ports decide. Addresses of different
 * families have no priority by the BEP: 0.
 */
export function peerPriority(one: PeerAddress, other: PeerAddress): number {
  const family = addressFamily(one);
  if (family !== addressFamily(other)) return 0;
  const [a, b] = [encodeCompactAddress(one), encodeCompactAddress(other)];
  const ipBytes = a.length - 2;
  if (one.host === other.host) return crc32c(ordered(a.subarray(ipBytes), b.subarray(ipBytes)));
  let same = 0;
  while (a[same] === b[same]) same++;
  const mask = MASKS[family].find((each) => same >= each.same)?.mask ?? [];
  const masked = (bytes: Uint8Array) => bytes.subarray(0, ipBytes).map((byte, at) => byte & (mask[at] ?? 0));
  return crc32c(ordered(masked(a), masked(b)));
}

function ordered(a: Uint8Array, b: Uint8Array): Uint8Array {
  return Buffer.concat(Buffer.compare(a, b) < 0 ? [a, b] : [b, a]);
}
