/** Pieces that a peer gets though we choke it (BEP 6): the same ones from whomever it asks. */
import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';

/** As many as libtorrent gives: a start, and no more. The BEP names 10. */
export const ALLOWED_FAST_PIECES = 5;

/**
 * The set for a peer, in the BEP's order. Empty for IPv6, for which the BEP has no rule. A torrent with few pieces is
 * given whole.
 */
export function allowedFastSet(
  infoHash: Uint8Array,
  host: string,
  pieceCount: number,
  count: number,
): readonly number[] {
  if (!isIPv4(host)) return [];
  if (pieceCount <= count) return Array.from({ length: pieceCount }, (_, piece) => piece);
  const pieces = new Set<number>();
  // The last octet is left out: one host with many addresses gets one set.
  const network = Uint8Array.from(host.split('.'), (octet, at) => (at < 3 ? Number(octet) : 0));
  let seed: Buffer = Buffer.concat([network, infoHash]);
  while (pieces.size < count) {
    seed = createHash('sha1').update(seed).digest();
    for (let at = 0; at < 20 && pieces.size < count; at += 4) pieces.add(seed.readUInt32BE(at) % pieceCount);
  }
  return [...pieces];
}
