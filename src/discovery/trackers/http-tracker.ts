/** Asks trackers over HTTP and HTTPS (BEP 3, 7, 23, 48). */
import type {
  Announce,
  AnnounceResult,
  HttpReply,
  IpVersion,
  ScrapeCounts,
  TrackerNetwork,
} from './announce.js';
import { MAX_REPLY_BYTES, parseAnnounceReply } from './announce-reply.js';
import { parseScrapeReply } from './scrape.js';
import { scrapeUrl } from './tracker-url.js';

const TIMEOUT_MS = 30_000;
/** Through I2P: a tracker is looked up first, and each packet takes seconds. */
const I2P_TIMEOUT_MS = 120_000;
/** Infohashes in one URL: what servers take. */
export const SCRAPE_HASHES = 50;

/** What of a tracker matters here. */
export interface HttpTrackerPlace {
  readonly url: string;
  readonly asked: boolean;
  /** For whom it is asked: see `TrackerGet`. */
  readonly group: string;
}

/** Somebody answers there, or would, but it is no tracker to be asked. */
const OF_TRACKER = new Set([
  ...['bad-url', 'bad-redirect', 'forbidden-address', 'long-body', 'encoded', 'bad-head', 'head-too-long'],
]);

export class HttpTracker {
  readonly #network: TrackerNetwork;

  constructor(network: TrackerNetwork) {
    this.#network = network;
  }

  /** Announces one infohash over one family. Rejects only when aborted. */
  async announce(
    place: HttpTrackerPlace,
    announce: Announce,
    ipVersion: IpVersion,
    signal: AbortSignal,
  ): Promise<AnnounceResult> {
    const { i2p } = this.#network;
    const destination = i2p?.destination() ?? null;
    // Nobody can be told of us before there is a session.
    if (i2p && destination === null) return { failure: 'proxy', of: 'busy', retryMs: null };
    const reply = await this.#get(announceUrl(place.url, announce, destination), place, ipVersion, signal);
    if (reply.failure !== null) return failed(reply);
    const parsed = parseAnnounceReply(reply.body, reply.status, i2p ? 'i2p' : 'ip');
    if (parsed.failure === null) return { ...parsed, from: reply.remoteAddress.host };
    return { ...parsed, retryMs: parsed.retryMs ?? reply.retryAfterMs };
  }

  /** Counts of at most `SCRAPE_HASHES` infohashes; `null` where they cannot be had. Rejects only when aborted. */
  async scrape(
    place: HttpTrackerPlace,
    names: readonly string[],
    ipVersion: IpVersion,
    signal: AbortSignal,
  ): Promise<Map<string, ScrapeCounts> | null> {
    const url = scrapeUrl(place.url);
    if (url === null) return null;
    const query = names.map((name) => `info_hash=${escapeBytes(name)}`).join('&');
    const reply = await this.#get(withQuery(url, query), place, ipVersion, signal);
    return reply.failure === null ? parseScrapeReply(reply.body) : null;
  }

  #get(
    url: string,
    { asked, group }: HttpTrackerPlace,
    ipVersion: IpVersion,
    signal: AbortSignal,
  ): Promise<HttpReply> {
    const timeoutMs = this.#network.i2p ? I2P_TIMEOUT_MS : TIMEOUT_MS;
    const options = { maxBytes: MAX_REPLY_BYTES, timeoutMs, asked, ipVersion, group };
    return this.#network.get(url, options, signal);
  }
}

/**
 * The URL of an announcement: bytes are escaped each by itself, as `URLSearchParams` cannot. `destination`: where we are met
 * in I2P, which stands in the place of an IP address.
 */
export function announceUrl(url: string, announce: Announce, destination: string | null = null): string {
  const { name, peerId, key, port, event, numWant, trackerId } = announce;
  const latin1 = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
  const query = [
    `info_hash=${escapeBytes(name)}`,
    `peer_id=${escapeBytes(latin1(peerId))}`,
    `port=${port}`,
    `uploaded=${announce.uploadedBytes}`,
    `downloaded=${announce.downloadedBytes}`,
    `left=${announce.leftBytes}`,
    'compact=1',
    `numwant=${numWant}`,
    `key=${(key >>> 0).toString(16).padStart(8, '0')}`,
  ];
  if (destination !== null) query.push(`ip=${escapeBytes(destination)}.i2p`);
  if (event !== null) query.push(`event=${event}`);
  if (trackerId !== null) query.push(`trackerid=${escapeBytes(latin1(trackerId))}`);
  return withQuery(url, query.join('&'));
}

function withQuery(url: string, query: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}${query}`;
}

/** Each character is a byte. */
function escapeBytes(bytes: string): string {
  return bytes.replace(
    /[^A-Za-z0-9._~-]/g,
    (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()}`,
  );
}

/** Codes of `HttpError` in crates/net: whose fault they are. */
function failed({ failure, retryAfterMs: retryMs }: HttpReply & { failure: string }): AnnounceResult {
  if (failure === 'unresolved') return { failure: 'its name has no address', of: 'address', retryMs };
  // Of our own proxy, no tracker is to blame.
  if (['busy', 'host-busy', 'proxy', 'shutdown'].includes(failure)) return { failure, of: 'busy', retryMs };
  return { failure, of: OF_TRACKER.has(failure) ? 'tracker' : 'host', retryMs };
}
