/**
 * Trackers and their tiers (BEP 12). One object for each URL and host of the process: a host that fails is left alone by
 * all torrents, and torrents that name the same tiers share them.
 */
import type { IpVersion } from './announce.js';
import { parseTrackerUrl, type TrackerUrl } from './tracker-url.js';

const FIRST_REST_MS = 15_000;
const LONGEST_REST_MS = 30 * 60_000;
/** A host has no address of a family: it is not looked for again before. */
const NO_ADDRESS_MS = 3_600_000;
/** Of one torrent: a list of a hundred is not for our good. */
const MAX_TIERS = 20;
const MAX_TIER_TRACKERS = 20;

/** How long somebody who failed is left alone: longer each time. */
export class Rest {
  failures = 0;
  untilMs = 0;

  failed(nowMs: number, retryMs: number | null, random: () => number): void {
    // What was on its way at the same time fails for the same reason.
    if (nowMs < this.untilMs) return;
    this.failures = Math.min(this.failures + 1, 30);
    const restMs = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (this.failures - 1));
    this.untilMs = nowMs + Math.max(retryMs ?? 0, restMs * (0.75 + random() / 2));
  }

  ended(): void {
    this.failures = 0;
    this.untilMs = 0;
  }
}

/** Who is asked under a name and port, by all trackers there. */
export class TrackerHost {
  readonly rest = new Rest();
  /** Announcements that are on their way. */
  inFlight = 0;
  /** Rows that are due, those that cannot wait first. */
  readonly urgent = new Set<number>();
  readonly ready = new Set<number>();
  /** When the pauses after all its requests so far are over. */
  nextMs = 0;

  take(): number | null {
    for (const rows of [this.urgent, this.ready]) {
      for (const row of rows) {
        rows.delete(row);
        return row;
      }
    }
    return null;
  }

  get waiting(): number {
    return this.urgent.size + this.ready.size;
  }
}

/** One URL. */
export class Tracker {
  readonly number: number;
  readonly place: TrackerUrl;
  /** The user named it. */
  readonly asked: boolean;
  readonly host: TrackerHost;
  readonly rest = new Rest();
  /** Why the last announcement failed; null when it did not. */
  failure: string | null = null;
  /** What it warned of last. */
  warning: string | null = null;
  readonly #noAddressUntilMs = { 4: 0, 6: 0 };

  constructor(number: number, place: TrackerUrl, asked: boolean, host: TrackerHost) {
    this.number = number;
    this.place = place;
    this.asked = asked;
    this.host = host;
  }

  restsUntilMs(): number {
    return Math.max(this.rest.untilMs, this.host.rest.untilMs);
  }

  lacksAddress(ipVersion: IpVersion, nowMs: number): void {
    this.#noAddressUntilMs[ipVersion] = nowMs + NO_ADDRESS_MS;
  }

  hasAddress(ipVersion: IpVersion, nowMs: number): boolean {
    return nowMs >= this.#noAddressUntilMs[ipVersion];
  }
}

/** Trackers of which one is enough: the first that answers, and the next time that one first. */
export class Tier {
  readonly trackers: Tracker[];

  constructor(trackers: Tracker[]) {
    this.trackers = trackers;
  }

  promote(tracker: Tracker): void {
    const at = this.trackers.indexOf(tracker);
    if (at > 0) this.trackers.unshift(...this.trackers.splice(at, 1));
  }

  /** The one after a tracker, in a circle. */
  after(tracker: Tracker): Tracker {
    return this.trackers[(this.trackers.indexOf(tracker) + 1) % this.trackers.length] ?? tracker;
  }

  /** The one to ask: this one, else the first that does not rest, else the one that rests for the shortest time. */
  choose(current: Tracker, nowMs: number): Tracker {
    if (current.restsUntilMs() <= nowMs) return current;
    let best = current;
    for (const tracker of this.trackers) {
      if (tracker.restsUntilMs() <= nowMs) return tracker;
      if (tracker.restsUntilMs() < best.restsUntilMs()) best = tracker;
    }
    return best;
  }
}

/** All trackers and tiers of the process. */
export class Trackers {
  readonly all: Tracker[] = [];
  readonly tiers: Tier[] = [];
  readonly hosts = new Map<string, TrackerHost>();
  readonly #byUrl = new Map<string, Tracker>();
  readonly #numbers = new Map<string, number>();
  readonly #random: () => number;

  constructor(random: () => number) {
    this.#random = random;
  }

  /** The numbers of tiers; URLs that are not asked are passed over. `asked`: the user named them. */
  tiersOf(tiers: readonly (readonly string[])[], asked = false): number[] {
    const numbers: number[] = [];
    for (const urls of tiers.slice(0, MAX_TIERS)) {
      const key = `${asked} ${urls.join(' ')}`;
      const number = this.#numbers.get(key) ?? this.#newTier(key, urls, asked);
      if (number !== null) numbers.push(number);
    }
    return numbers;
  }

  /** @throws TypeError for a URL that is not asked */
  tracker(url: string, asked: boolean): Tracker {
    const tracker = this.#trackerOf(url, asked);
    if (!tracker) throw new TypeError('"url" expected a tracker');
    return tracker;
  }

  #newTier(key: string, urls: readonly string[], asked: boolean): number | null {
    const trackers = urls.slice(0, MAX_TIER_TRACKERS).map((url) => this.#trackerOf(url, asked));
    const unique = [...new Set(trackers)].filter((tracker) => tracker !== null);
    if (unique.length === 0) return null;
    // BEP 12: in random order, so that not everybody asks the first one.
    for (let at = unique.length - 1; at > 0; at--) {
      const other = Math.floor(this.#random() * (at + 1));
      const [one, two] = [unique[at], unique[other]];
      if (one && two) [unique[at], unique[other]] = [two, one];
    }
    const number = this.tiers.push(new Tier(unique)) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  #trackerOf(url: string, asked: boolean): Tracker | null {
    const key = `${asked} ${url}`;
    const known = this.#byUrl.get(key);
    if (known) return known;
    const place = parseTrackerUrl(url);
    if (place === null) return null;
    const name = `${place.hostname} ${place.port}`;
    const host = this.hosts.get(name) ?? new TrackerHost();
    this.hosts.set(name, host);
    const tracker = new Tracker(this.all.length, place, asked, host);
    this.all.push(tracker);
    this.#byUrl.set(key, tracker);
    return tracker;
  }
}
