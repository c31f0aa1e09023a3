/**
 * Reads what an HTTP tracker answers (BEP 3, 7, 23, 24, 31). Nothing in it is believed beyond its bounds: an answer may
 * be anything.
 */
import { type BencodeDict, type BencodeValue, bytesText, decode, isDict } from '../../bencode.js';
import { I2P_HASH_BYTES, I2P_PORT, i2pAddress, i2pHashName } from '../../connector/i2p-address.js';
import { normalizeHost, type PeerAddress } from '../../connector.js';
import { type AddressFamily, compactBytes, parseCompactAddress } from '../../wire/compact-address.js';
import type { AnnounceFailure, AnnounceReply } from './announce.js';

/** Longest answer: some hundred peers as dictionaries. */
export const MAX_REPLY_BYTES = 256 * 1024;
/** More peers of one answer are not looked at: we ask for fewer. */
export const MAX_PEERS = 200;
export const DEFAULT_INTERVAL_MS = 30 * 60_000;
/** Nobody makes us come more often, or stay away for ever. */
const MIN_INTERVAL_MS = 60_000;
const MAX_INTERVAL_MS = 6 * 3_600_000;
const MAX_RETRY_MS = 24 * 3_600_000;
const MAX_TEXT_CHARACTERS = 200;
const MAX_TRACKER_ID_BYTES = 256;
const MAX_DESTINATION_BYTES = 1024;

/** What addresses a tracker hands out: those of IP, or names of I2P's and none else. */
export type AddressKind = 'ip' | 'i2p';

/** The reply in a body, whatever the status that it came with; a failure when there is none. */
export function parseAnnounceReply(
  body: Uint8Array,
  status = 200,
  kind: AddressKind = 'ip',
): AnnounceReply | AnnounceFailure {
  const reply = parseReplyDict(body);
  if (reply === null) {
    const failure = status === 200 ? 'the answer is not that of a tracker' : `HTTP status ${status}`;
    return { failure, of: status >= 500 || status === 429 ? 'host' : 'tracker', retryMs: null };
  }
  const reason = reply.get('failure reason');
  if (reason !== undefined) {
    return { failure: shownText(reason), of: 'torrent', retryMs: retryMs(reply.get('retry in')) };
  }
  const interval = milliseconds(reply.get('interval'));
  const peers =
    kind === 'i2p'
      ? readI2pPeers(reply.get('peers'))
      : [...readPeers(reply.get('peers')), ...compactPeers(reply.get('peers6'), 'ipv6')];
  const given = reply.get('peers');
  const isList = given instanceof Uint8Array || Array.isArray(given);
  if (interval === null && !isList && peers.length === 0) {
    return { failure: 'the answer is not that of a tracker', of: 'tracker', retryMs: null };
  }
  const warning = reply.get('warning message');
  const trackerId = reply.get('tracker id');
  const external = reply.get('external ip');
  return {
    failure: null,
    ...intervals(interval, milliseconds(reply.get('min interval'))),
    peers,
    seeds: count(reply.get('complete')),
    leechers: count(reply.get('incomplete')),
    trackerId:
      trackerId instanceof Uint8Array && trackerId.length <= MAX_TRACKER_ID_BYTES ? trackerId.slice() : null,
    externalAddress:
      external instanceof Uint8Array && (external.length === 4 || external.length === 16)
        ? external.slice()
        : null,
    warning: warning === undefined ? null : shownText(warning),
  };
}

/** The dictionary of an answer, or `null`. Old trackers do not sort their keys. */
export function parseReplyDict(body: Uint8Array): BencodeDict | null {
  try {
    const limits = { maxBytes: MAX_REPLY_BYTES, maxDepth: 4, maxTokens: 10_000, anyKeyOrder: true };
    const reply = decode(body, limits);
    return isDict(reply) ? reply : null;
  } catch {
    return null;
  }
}

/** Intervals within bounds. */
export function intervals(
  intervalMs: number | null,
  minMs: number | null = null,
): Pick<AnnounceReply, 'intervalMs' | 'minIntervalMs'> {
  const bounded = (ms: number) => Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, ms));
  return {
    intervalMs: bounded(intervalMs ?? DEFAULT_INTERVAL_MS),
    minIntervalMs: minMs === null ? null : bounded(minMs),
  };
}

/** Addresses end to end; what is none is passed over. */
export function compactPeers(value: BencodeValue | undefined, family: AddressFamily): PeerAddress[] {
  const peers: PeerAddress[] = [];
  if (!(value instanceof Uint8Array)) return peers;
  const step = compactBytes(family);
  for (let at = 0; at + step <= value.length && peers.length < MAX_PEERS; at += step) {
    const address = parseCompactAddress(value.subarray(at, at + step), family);
    if (address) peers.push(address);
  }
  return peers;
}

/** A text of a stranger's, as far as it is fit to be shown; who shows it takes control characters out. */
export function shownText(value: BencodeValue): string {
  const text = value instanceof Uint8Array ? bytesText(value.subarray(0, 4 * MAX_TEXT_CHARACTERS)) : null;
  return (
    text
      ?.replace(/[\p{C}\s]+/gu, ' ')
      .trim()
      .slice(0, MAX_TEXT_CHARACTERS) || 'no reason given'
  );
}

/** Compact, or a dictionary for each. Names in place of addresses are not resolved: a tracker knows addresses. */
function readPeers(value: BencodeValue | undefined): PeerAddress[] {
  if (!Array.isArray(value)) return compactPeers(value, 'ipv4');
  const peers: PeerAddress[] = [];
  for (const peer of value) {
    if (peers.length >= MAX_PEERS) break;
    const ip = isDict(peer) ? peer.get('ip') : undefined;
    const port = isDict(peer) ? peer.get('port') : undefined;
    const host = ip instanceof Uint8Array ? normalizeHost(bytesText(ip.subarray(0, 64)) ?? '') : null;
    if (host !== null && typeof port === 'number' && port >= 1 && port <= 65_535) peers.push({ host, port });
  }
  return peers;
}

/** Hashes of destinations end to end, or a dictionary for each with a destination or name for `ip`; ports mean nothing. */
function readI2pPeers(value: BencodeValue | undefined): PeerAddress[] {
  const peers: PeerAddress[] = [];
  if (value instanceof Uint8Array) {
    for (let at = 0; at + I2P_HASH_BYTES <= value.length && peers.length < MAX_PEERS; at += I2P_HASH_BYTES)
      peers.push({ host: i2pHashName(value.subarray(at, at + I2P_HASH_BYTES)), port: I2P_PORT });
    return peers;
  }
  for (const peer of Array.isArray(value) ? value : []) {
    if (peers.length >= MAX_PEERS) break;
    const ip = isDict(peer) ? peer.get('ip') : undefined;
    const text = ip instanceof Uint8Array && ip.length <= MAX_DESTINATION_BYTES ? bytesText(ip) : null;
    const address = text === null ? null : i2pAddress(text);
    if (address) peers.push(address);
  }
  return peers;
}

function milliseconds(value: BencodeValue | undefined): number | null {
  return typeof value === 'number' && value >= 0 ? value * 1000 : null;
}

function count(value: BencodeValue | undefined): number | null {
  return typeof value === 'number' && value >= 0 ? value : null;
}

/** BEP 31: minutes, or `never`. */
function retryMs(value: BencodeValue | undefined): number | null {
  if (value instanceof Uint8Array && bytesText(value) === 'never') return Number.POSITIVE_INFINITY;
  const minutes = value instanceof Uint8Array ? Number(bytesText(value) ?? Number.NaN) : value;
  if (typeof minutes !== 'number' || !(minutes >= 0)) return null;
  return Math.min(MAX_RETRY_MS, minutes * 60_000);
}
