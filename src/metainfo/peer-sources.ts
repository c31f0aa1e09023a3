/**
 * Where a `.torrent` says that its bytes are to be had: trackers in tiers (BEP 12), web seeds (BEP 19), nodes of the DHT
 * (BEP 5). What is none of these is passed over; there are at most 100 of each.
 */

import { type BencodeValue, bytesText } from '../bencode.js';

export interface DhtNode {
  /** A name or an address. */
  readonly host: string;
  readonly port: number;
}

const MAX_SOURCES = 100;
const MAX_URL_BYTES = 2048;
const TRACKER = /^(?:https?|udp|wss?):\/\/[^\s\p{C}]+$/iu;
const WEB_SEED = /^https?:\/\/[^\s\p{C}]+$/iu;

/** Reads `announce-list`, or `announce` when it names none. Each tracker is in one tier, the first. */
export function readTrackerTiers(
  announce: BencodeValue | undefined,
  announceList: BencodeValue | undefined,
): string[][] {
  const seen = new Set<string>();
  const tiers = [...list(announceList), announce].map((tier, i, all) =>
    i === all.length - 1 && seen.size > 0 ? [] : urls(list(tier), TRACKER, seen),
  );
  return tiers.filter((tier) => tier.length > 0);
}

/** Reads `url-list`: a URL or a list of them. */
export function readWebSeeds(urlList: BencodeValue | undefined): string[] {
  return urls(list(urlList), WEB_SEED, new Set());
}

/** Whether a text is a tracker's URL. */
export function isTrackerUrl(text: string): boolean {
  return text.length <= MAX_URL_BYTES && TRACKER.test(text);
}

/** Whether a text is a web seed's URL. */
export function isWebSeedUrl(text: string): boolean {
  return text.length <= MAX_URL_BYTES && WEB_SEED.test(text);
}

/** Reads `nodes`: a list of `[host, port]`. */
export function readNodes(nodes: BencodeValue | undefined): DhtNode[] {
  const read: DhtNode[] = [];
  for (const node of list(nodes)) {
    if (read.length >= MAX_SOURCES) break;
    const [hostBytes, port] = list(node);
    const host = hostBytes instanceof Uint8Array && hostBytes.length <= 255 ? bytesText(hostBytes) : null;
    if (host === null || !/^[^\s\p{C}]+$/u.test(host)) continue;
    if (typeof port === 'number' && port >= 1 && port <= 65_535) read.push({ host, port });
  }
  return read;
}

/** A value as a list: makers write one thing in place of a list of one. */
function list(value: BencodeValue | undefined): readonly BencodeValue[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

function urls(values: readonly BencodeValue[], pattern: RegExp, seen: Set<string>): string[] {
  const found: string[] = [];
  for (const value of values) {
    if (seen.size >= MAX_SOURCES) break;
    if (!(value instanceof Uint8Array) || value.length > MAX_URL_BYTES) continue;
    const url = bytesText(value)?.trim();
    if (url === undefined || !pattern.test(url) || seen.has(url)) continue;
    seen.add(url);
    found.push(url);
  }
  return found;
}
