/**
 * Magnet links (BEP 9, BEP 52): `xt=urn:btih:` (40 hex or 32 base32 characters), `xt=urn:btmh:1220` + 64 hex,
 * `dn`, `tr`, `ws` (web seeds), `x.pe`, and `so` (BEP 53). Peers in a link are text: names in it are resolved by whoever
 * dials.
 */

import { BlockswarmError } from '../errors.js';
import { fromBase32, fromHex, toHex } from '../units.js';
import type { InfoHashes } from './infohash.js';
import { isTrackerUrl, isWebSeedUrl } from './peer-sources.js';
import { safeName } from './safe-path.js';

export interface Magnet extends InfoHashes {
  /** Display name, safe on disk, or `null`; not proven by anything. */
  readonly name: string | null;
  /** Each is a tier of its own. */
  readonly trackers: readonly string[];
  /** URLs of HTTP servers that have the content (BEP 19). */
  readonly webSeeds: readonly string[];
  /** `host:port` of peers to begin with. */
  readonly peers: readonly string[];
  /** The files that are wanted, as half-open ranges of their numbers, ascending; `null` for all of them. */
  readonly selectedFiles: readonly FileRange[] | null;
}

/** Files `[first, end)` of a torrent. */
export interface FileRange {
  readonly first: number;
  readonly end: number;
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
      infoHashV1 = fromHex(hash, 20) ?? fromBase32(hash, 20);
      if (infoHashV1 === null) throw bad('`btih` is not 40 hex or 32 base32 characters');
    } else {
      if (infoHashV2 !== null) throw bad('two v2 infohashes');
      infoHashV2 = hash.startsWith('1220') ? fromHex(hash.slice(4), 32) : null;
      if (infoHashV2 === null) throw bad('`btmh` is not `1220` and 64 hex characters');
    }
  }
  if (infoHashV1 === null && infoHashV2 === null) throw bad('no infohash');
  const name = query.get('dn');
  return {
    infoHashV1,
    infoHashV2,
    name: name === null ? null : safeName(name).name,
    trackers: all(query, 'tr').filter(isTrackerUrl),
    webSeeds: all(query, 'ws').filter(isWebSeedUrl),
    peers: all(query, 'x.pe'),
    selectedFiles: readSelection(query.get('so')),
  };
}

/** Writes a magnet link. */
export function formatMagnet(magnet: InfoHashes & Partial<Magnet>): string {
  const {
    infoHashV1,
    infoHashV2,
    name = null,
    trackers = [],
    webSeeds = [],
    peers = [],
    selectedFiles,
  } = magnet;
  if (infoHashV1 === null && infoHashV2 === null) throw new TypeError('"magnet" has no infohash');
  const parts: string[] = [];
  if (infoHashV1 !== null) parts.push(`xt=urn:btih:${toHex(infoHashV1)}`);
  if (infoHashV2 !== null) parts.push(`xt=urn:btmh:1220${toHex(infoHashV2)}`);
  if (name !== null) parts.push(`dn=${encodeURIComponent(name)}`);
  parts.push(...trackers.map((url) => `tr=${encodeURIComponent(url)}`));
  parts.push(...webSeeds.map((url) => `ws=${encodeURIComponent(url)}`));
  parts.push(...peers.map((peer) => `x.pe=${encodeURIComponent(peer)}`));
  const ranges = selectedFiles?.map(({ first, end }) =>
    end - first > 1 ? `${first}-${end - 1}` : `${first}`,
  );
  if (ranges !== undefined && ranges.length > 0) parts.push(`so=${ranges.join(',')}`);
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

/** Reads `so=0,2,4-7`. What is malformed selects nothing in particular: all files. */
function readSelection(text: string | null): FileRange[] | null {
  if (text === null || !/^[0-9]{1,7}(?:-[0-9]{1,7})?(?:,[0-9]{1,7}(?:-[0-9]{1,7})?)*$/.test(text))
    return null;
  const ranges = text.split(',').map((part): FileRange => {
    const [first = 0, last = first] = part.split('-').map(Number);
    return { first, end: last + 1 };
  });
  const merged: FileRange[] = [];
  for (const { first, end } of ranges.sort((a, b) => a.first - b.first)) {
    if (end <= first) return null;
    const before = merged.at(-1);
    if (before === undefined || before.end < first) merged.push({ first, end });
    else merged[merged.length - 1] = { first: before.first, end: Math.max(before.end, end) };
  }
  return merged;
}

function bad(what: string): BlockswarmError {
  return new BlockswarmError('ERR_METAINFO', `magnet link: ${what}`);
}
