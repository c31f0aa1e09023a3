/** What a tracker's URL says, and which are not asked: a torrent must not make us send what it likes to where it likes. */

/** Where a tracker is, and how it is asked. */
export interface TrackerUrl {
  readonly scheme: 'http' | 'udp';
  /** As it is sent, without a fragment. May hold a passkey: never for logs. */
  readonly url: string;
  /** A name in lower case, or an IP literal without brackets. */
  readonly hostname: string;
  readonly port: number;
  /** Path and query (BEP 41). */
  readonly target: string;
  /** `https://tracker.example:443`: for logs. */
  readonly shown: string;
}

const MAX_CHARACTERS = 2048;
/** What we say ourselves: a URL that brings one of these would speak for us (libtorrent's `ssrf_mitigation`). */
const OURS = new Set([
  ...['info_hash', 'peer_id', 'port', 'uploaded', 'downloaded', 'left', 'corrupt', 'event', 'key'],
  ...['numwant', 'compact', 'trackerid'],
]);
const DEFAULT_PORTS: Readonly<Record<string, number>> = { 'http:': 80, 'https:': 443 };

/** Reads a tracker's URL; `null` for what is not asked: another scheme, no port for UDP, a query that speaks for us. */
export function parseTrackerUrl(text: string): TrackerUrl | null {
  if (text.length > MAX_CHARACTERS || !URL.canParse(text)) return null;
  const parsed = new URL(text);
  const { protocol, pathname, search } = parsed;
  const scheme = protocol === 'udp:' ? 'udp' : protocol === 'http:' || protocol === 'https:' ? 'http' : null;
  // Of schemes that it does not know, URL leaves names as they are written.
  const hostname = parsed.hostname.replace(/^\[(.*)\]$/, '$1').toLowerCase();
  const port = Number(parsed.port || DEFAULT_PORTS[protocol] || 0);
  if (scheme === null || hostname === '' || port === 0 || /[^\w.:-]/.test(hostname)) return null;
  for (const name of parsed.searchParams.keys()) if (OURS.has(name)) return null;
  parsed.hash = '';
  const shown = `${protocol}//${parsed.hostname.toLowerCase()}:${port}`;
  return { scheme, url: parsed.href, hostname, port, target: `${pathname}${search}`, shown };
}

/** Where an HTTP tracker is asked for counts (BEP 48); `null` where it cannot be told from the URL. */
export function scrapeUrl(url: string): string | null {
  const parsed = new URL(url);
  const slash = parsed.pathname.lastIndexOf('/');
  const last = parsed.pathname.slice(slash + 1);
  if (!last.startsWith('announce')) return null;
  parsed.pathname = `${parsed.pathname.slice(0, slash + 1)}scrape${last.slice('announce'.length)}`;
  return parsed.href;
}
