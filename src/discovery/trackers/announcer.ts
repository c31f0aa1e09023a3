/** Asks one tracker, as its scheme wants it, over each family that we listen on (BEP 7). */
import type {
  Announce,
  AnnounceReply,
  AnnounceResult,
  IpVersion,
  ScrapeCounts,
  TrackerNetwork,
} from './announce.js';
import { HttpTracker, SCRAPE_HASHES } from './http-tracker.js';
import type { Tracker } from './tier.js';
import { UDP_SCRAPE_HASHES } from './udp-packets.js';
import { type UdpDatagram, UdpTracker } from './udp-tracker.js';

export interface AnnouncerOptions {
  readonly network: TrackerNetwork;
  readonly clock: () => number;
  readonly ipVersions: readonly IpVersion[];
  /** Told of each request beside those that were counted when an announcement began. */
  readonly charged: () => void;
  /** Ends what is on its way. */
  readonly signal: AbortSignal;
}

export class Announcer {
  readonly #options: AnnouncerOptions;
  readonly #http: HttpTracker;
  readonly #udp: UdpTracker;

  constructor(options: AnnouncerOptions) {
    this.#options = options;
    this.#http = new HttpTracker(options.network);
    this.#udp = new UdpTracker(options);
  }

  /** Answers of UDP trackers. */
  deliver(datagrams: Iterable<UdpDatagram>): void {
    this.#udp.deliver(datagrams);
  }

  /** Announces the names of a torrent; `take` has each reply at once. Never rejects: what is given up has no result. */
  async announce(
    tracker: Tracker,
    announces: readonly Announce[],
    take: (reply: AnnounceReply & { readonly from: string }) => void,
  ): Promise<AnnounceResult[]> {
    const { clock, ipVersions } = this.#options;
    const results: AnnounceResult[] = [];
    const group = announces[0]?.name ?? '';
    try {
      for (const announce of announces) {
        for (const ipVersion of ipVersions) {
          if (!tracker.hasAddress(ipVersion, clock())) continue;
          const result = await this.#ask(tracker, group, announce, ipVersion);
          results.push(result);
          if (result.failure === null) take(result);
          else if (result.of === 'address') tracker.lacksAddress(ipVersion, clock());
          else if (result.of === 'host' || result.of === 'busy') return results;
        }
      }
    } catch (error) {
      // What is not foreseen ends this try, and nothing else.
      if (!this.#options.signal.aborted) results.push({ failure: String(error), of: 'host', retryMs: null });
    }
    return results;
  }

  /** Counts of swarms. @throws `signal.reason` when aborted */
  async scrape(
    { place, asked }: Tracker,
    names: readonly string[],
    signal: AbortSignal,
  ): Promise<Map<string, ScrapeCounts>> {
    const { charged, ipVersions } = this.#options;
    const [ipVersion = 4] = ipVersions;
    const isUdp = place.scheme === 'udp';
    const many = isUdp ? UDP_SCRAPE_HASHES : SCRAPE_HASHES;
    const all = new Map<string, ScrapeCounts>();
    for (let at = 0; at < names.length; at += many) {
      charged();
      const way = isUdp ? this.#udp : this.#http;
      const some = names.slice(at, at + many);
      const counts = await way.scrape({ ...place, asked, group: 'scrape' }, some, ipVersion, signal);
      if (counts === null) break;
      for (const [name, count] of counts) all.set(name, count);
    }
    return all;
  }

  #ask(
    { place, asked }: Tracker,
    group: string,
    announce: Announce,
    ipVersion: IpVersion,
  ): Promise<AnnounceResult> {
    const way = place.scheme === 'udp' ? this.#udp : this.#http;
    return way.announce({ ...place, asked, group }, announce, ipVersion, this.#options.signal);
  }
}
