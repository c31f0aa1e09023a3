/**
 * The web seeds of one torrent (BEP 19): which are asked, when, and for how long one that failed is left alone. Only while
 * pieces are missing. A link to one is a peer like any other to everybody else.
 */
import type { WebSeedPaths } from '../metainfo/web-seed-paths.js';
import { webSeedPlace } from '../metainfo/web-seed-paths.js';
import type { LinkHost } from './link-host.js';

export interface WebSeedSource {
  readonly url: string;
  /** The user named it: it may be on this machine, and goes before the others. */
  readonly asked?: boolean;
}

export interface WebSeedsOptions {
  readonly host: Pick<LinkHost, 'connectWebSeed'>;
  readonly torrent: number;
  readonly sources: readonly WebSeedSource[];
  /** Whether also one that nobody asked for may be on this machine. */
  readonly loopback: boolean;
  /** In `[0, 1)`. */
  readonly random: () => number;
}

/** What became of a web seed, for the owner's eyes: no credentials, no query. */
export interface WebSeedStatus {
  readonly url: string;
  readonly state: 'linked' | 'waiting' | 'failed';
  /** Why it ended last. */
  readonly reason: string | null;
}

interface WebSeed {
  readonly source: WebSeedSource;
  readonly shownUrl: string;
  link: number | null;
  failures: number;
  dueMs: number;
  reason: string | null;
}

/** More at a time would not be faster, and a torrent may name a hundred. */
const MAX_LINKS = 3;
const MAX_SOURCES = 100;
const BACK_OFF_MS = 10_000;
const MAX_BACK_OFF_MS = 60 * 60_000;

/** Not worth another try: the server is wrong about the file, or may not be asked. */
const FINAL: ReadonlySet<string> = new Set([
  'bad-url',
  'forbidden-address',
  'bad-range',
  'no-ranges',
  'encoded',
  'long-body',
  'bad-have-map',
  'banned',
]);
/** 4xx, but for those that say "later": 408, 425, 429. */
const FINAL_STATUS = /^http-4(?!08|25|29)/;
/** Endings of ours. */
const PEACEFUL: ReadonlySet<string> = new Set(['complete', 'closed', 'both-complete', 'removed']);

export class WebSeeds {
  readonly #options: WebSeedsOptions;
  readonly #seeds: WebSeed[];

  constructor(options: WebSeedsOptions) {
    this.#options = options;
    const sources = new Map(options.sources.map((source) => [source.url, source]));
    for (const source of options.sources) if (source.asked) sources.set(source.url, source);
    // In a random order, so that not everybody asks the first one; those that the user named come first.
    const places = [...sources.values()].slice(0, MAX_SOURCES).map((source) => ({
      source,
      place: (source.asked ? 0 : 1) + options.random(),
    }));
    this.#seeds = places
      .sort((a, b) => a.place - b.place)
      .map(({ source }) => ({
        source,
        shownUrl: shownUrl(source.url),
        link: null,
        failures: 0,
        dueMs: 0,
        reason: null,
      }));
  }

  get count(): number {
    return this.#seeds.length;
  }

  status(): WebSeedStatus[] {
    return this.#seeds.map(({ shownUrl, link, dueMs, reason }) => {
      const state = link !== null ? 'linked' : dueMs === Number.POSITIVE_INFINITY ? 'failed' : 'waiting';
      return { url: shownUrl, state, reason };
    });
  }

  /** Begins with one that is due: its link and how it is shown. Null when none is, or enough are linked. */
  connect(nowMs: number, paths: () => WebSeedPaths): { link: number; url: string } | null {
    if (this.#seeds.filter(({ link }) => link !== null).length >= MAX_LINKS) return null;
    const seed = this.#seeds.find(({ link, dueMs }) => link === null && dueMs <= nowMs);
    if (!seed) return null;
    const { host, torrent, loopback } = this.#options;
    const { url, asked = false } = seed.source;
    seed.link = host.connectWebSeed(torrent, { ...webSeedPlace(url, paths()), asked, loopback });
    return { link: seed.link, url: seed.shownUrl };
  }

  /** The link is gone. */
  ended(link: number, end: { reason: string; retryAfterMs: number; served: boolean }, nowMs: number): void {
    const seed = this.#seeds.find((each) => each.link === link);
    if (!seed) return;
    seed.link = null;
    seed.reason = end.reason;
    if (end.served) seed.failures = 0;
    if (PEACEFUL.has(end.reason)) return;
    if (FINAL.has(end.reason) || FINAL_STATUS.test(end.reason)) {
      seed.dueMs = Number.POSITIVE_INFINITY;
      return;
    }
    const backOffMs = Math.min(BACK_OFF_MS * 2 ** Math.min(seed.failures, 20), MAX_BACK_OFF_MS);
    seed.failures++;
    // Not all at once when a server is back.
    const restMs = Math.max(backOffMs * (0.5 + this.#options.random() / 2), end.retryAfterMs);
    seed.dueMs = nowMs + restMs;
  }
}

/** A URL without what may be secret in it. */
export function shownUrl(url: string): string {
  const parsed = URL.parse(url);
  return parsed ? `${parsed.protocol}//${parsed.host}${parsed.pathname}` : 'a malformed URL';
}
