/**
 * Magnet links (BEP 9, BEP 52): `xt=urn:btih:` (40 hex or 32 base32 characters), `xt=urn:btmh:1220` + 64 hex,
 * `dn`, `tr`, `x.pe`. Peers in a link are text: names in it are resolved by whoever dials.
 */

import { BlockswarmError } from '../errors.js';
import { fromHex, toHex } from '../units.js';
import { checkName } from './file-tree.js';
import type { InfoHashes } from './infohash.js';

export interface Magnet extends InfoHashes {
  /** Display name, or `null`; not proven by anything. */
  readonly name: string | null;
  readonly trackers: readonly string[];
  /** `host:port` of peers to begin with. */
  readonly peers: readonly string[];
}

const MAX_LINK_CHARACTERS = 16 * 1024;
const MAX_ENTRIES = 100;

/** Whether a text claims to be a magnet link. */
export function isMagnet(text: string): boolean {
  return /^magnet:\?/i.test(text);
}

/** @throws BlockswarmError ERR_METAINFO */
export function parseMagnet(text: string): Magnet {
  if (!isMagnet(text)) throw bad('does not begin with `magnet:?`');
  if (text.length > MAX_LINK_CHARACTERS) throw bad(`longer than ${MAX_LINK_CHARACTERS} characters`);
  const query = new URLSearchParams(text.slice(text.indexOf('?') + 1));
  let infoHashV1: Uint8Array | null = null;
  let infoHashV2: Uint8Array | null = null;
  for (const topic of all(query, 'xt')) {
    const [, scheme, hash] = /^urn:(btih|btmh):([0-9a-z]+)$/i.exec(topic) ?? [];
    if (scheme === undefined || hash === undefined) continue;
    if (scheme.toLowerCase() === 'btih') {
      if (infoHashV1 !== null) throw bad('two v1 infohashes');
      infoHashV1 = fromHex(hash, 20) ?? fromBase32(hash);
      if (infoHashV1 === null) throw bad('`btih` is not 40 hex or 32 base32 characters');
    } else {
      if (infoHashV2 !== null) throw bad('two v2 infohashes');
      infoHashV2 = hash.startsWith('1220') ? fromHex(hash.slice(4), 32) : null;
      if (infoHashV2 === null) throw bad('`btmh` is not `1220` and 64 hex characters');
    }
  }
  if (infoHashV1 === null && infoHashV2 === null) throw bad('no infohash');
  return {
    infoHashV1,
    infoHashV2,
    name: displayName(query.get('dn')),
    trackers: all(query, 'tr').filter((url) => /^(?:https?|udp|wss?):\/\//i.test(url)),
    peers: all(query, 'x.pe'),
  };
}

/** Writes a magnet link. */
export function formatMagnet(magnet: InfoHashes & Partial<Magnet>): string {
  const { infoHashV1, infoHashV2, name = null, trackers = [], peers = [] } = magnet;
  if (infoHashV1 === null && infoHashV2 === null) throw new TypeError('"magnet" has no infohash');
  const parts: string[] = [];
  if (infoHashV1 !== null) parts.push(`xt=urn:btih:${toHex(infoHashV1)}`);
  if (infoHashV2 !== null) parts.push(`xt=urn:btmh:1220${toHex(infoHashV2)}`);
  if (name !== null) parts.push(`dn=${encodeURIComponent(name)}`);
  parts.push(...trackers.map((url) => `tr=${encodeURIComponent(url)}`));
  parts.push(...peers.map((peer) => `x.pe=${encodeURIComponent(peer)}`));
  return `magnet:?${parts.join('&')}`;
}

/** All values of a parameter, also in the numbered form `xt.1`. */
function all(query: URLSearchParams, key: string): string[] {
  const values: string[] = [];
  for (const [name, value] of query) {
    if (name === key || (name.startsWith(`${key}.`) && /^[0-9]+$/.test(name.slice(key.length + 1)))) {
      values.push(value);
    }
  }
  return values.slice(0, MAX_ENTRIES);
}

/** A name that could not be a file's is no name. */
function displayName(name: string | null): string | null {
  try {
    return name === null ? null : checkName(name);
  } catch {
    return null;
  }
}

/** RFC 4648 base32 of 20 bytes: 32 characters, no padding. */
function fromBase32(text: string): Uint8Array | null {
  if (!/^[a-z2-7]{32}$/i.test(text)) return null;
  const bytes = new Uint8Array(20);
  let bits = 0;
  let value = 0;
  let offset = 0;
  for (const character of text.toLowerCase()) {
    value = ((value << 5) | 'abcdefghijklmnopqrstuvwxyz234567'.indexOf(character)) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[offset++] = value >> bits;
    }
  }
  return bytes;
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `magnet link: ${what}`);
}
