/**
 * Infohashes: the identity of a torrent. v1 is SHA-1 of the info dictionary (BEP 3, 20 bytes), v2 is its SHA-256
 * (BEP 52, 32 bytes). Handshakes, trackers and the DHT carry 20 bytes: of a v2 infohash the first 20.
 */

import { createHash } from 'node:crypto';
import { BlockswarmError } from '../errors.js';
import { fromHex } from '../units.js';

/** The infohashes known of a torrent; at least one. */
export interface InfoHashes {
  readonly infoHashV1: Uint8Array | null;
  readonly infoHashV2: Uint8Array | null;
}

/** SHA-1 of an info dictionary, 20 bytes. */
export function hashInfoV1(infoBytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha1').update(infoBytes).digest());
}

/** SHA-256 of an info dictionary, 32 bytes. */
export function hashInfoV2(infoBytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(infoBytes).digest());
}

/** A v2 infohash as handshakes, trackers and the DHT carry it: its first 20 bytes. */
export function truncateInfoHash(infoHashV2: Uint8Array): Uint8Array {
  return infoHashV2.subarray(0, 20);
}

/** The 20-byte hashes of all swarms a torrent has: one for v1, one for v2, both for a hybrid (v1 first). */
export function swarmHashes({ infoHashV1, infoHashV2 }: InfoHashes): Uint8Array[] {
  const hashes: Uint8Array[] = [];
  if (infoHashV1 !== null) hashes.push(infoHashV1);
  if (infoHashV2 !== null) hashes.push(truncateInfoHash(infoHashV2));
  return hashes;
}

/**
 * Parses a bare infohash: 40 hex characters are v1, 64 are v2.
 *
 * @throws BlockswarmError ERR_METAINFO
 */
export function parseInfoHash(text: string): InfoHashes {
  const infoHashV1 = fromHex(text, 20);
  const infoHashV2 = fromHex(text, 32);
  if (infoHashV1 === null && infoHashV2 === null) {
    throw new BlockswarmError(
      'ERR_METAINFO',
      `expected an infohash of 40 or 64 hex characters, got \`${text}\``,
    );
  }
  return { infoHashV1, infoHashV2 };
}
