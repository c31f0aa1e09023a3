/**
 * How fast links may be: in all, per torrent and per class of peers, by the clock, and how much in a month. The byte
 * mover keeps the token buckets and counts all that goes over the wire; here is decided which links share which
 * bucket and how much it holds. Peers of the local network are exempt unless they are given rates.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';
import type { PeerAddress } from '../connector.js';
import type { LinkHost, Rates } from './link-host.js';
import { type MonthlyQuota, type QuotaUsage, TrafficQuota } from './traffic-quota.js';

/** Bytes a second; absent or 0: no limit. */
export type RateLimit = Partial<Rates>;

/** Rates that hold at certain times instead of the usual ones, in local time. */
export interface RateSchedule {
  /** 0: Sunday to 6; absent: every day. A span over midnight belongs to the day on which it begins. */
  readonly days?: readonly number[];
  /** Minutes since midnight, `[from, to)`; over midnight when `to` is less. */
  readonly fromMinute: number;
  readonly toMinute: number;
  readonly rates: RateLimit;
}

/** Peers that share rates of their own. */
export interface PeerClass {
  readonly name: string;
  /** `10.0.0.0/8`, `2001:db8::/32`. */
  readonly subnets: readonly string[];
  readonly rates: RateLimit;
  /** Neither the rates for all and for the torrent nor the quota hold for them. */
  readonly exempt?: boolean;
}

export interface RateLimitsOptions {
  /** For all together. */
  readonly rates?: RateLimit;
  /** The first that fits the time holds instead of `rates`. */
  readonly schedules?: readonly RateSchedule[];
  /** The first that has the peer counts; those of the local network come last and are exempt. */
  readonly classes?: readonly PeerClass[];
  readonly quota?: MonthlyQuota;
  /** What was used before, as `usage` gave it. */
  readonly usage?: QuotaUsage | null;
}

/** What counts for a link that is not exempt. */
export type Meter = Pick<TrafficQuota, 'mayUpload' | 'mayDownload' | 'count'>;

export interface RateStatus {
  /** What holds for all together now; 0: no limit. */
  readonly uploadBytesPerSecond: number;
  readonly downloadBytesPerSecond: number;
  /** Why nothing is sent or fetched any more this month, else null. */
  readonly uploadStopped: string | null;
  readonly downloadStopped: string | null;
  readonly usage: QuotaUsage;
}

export const LAN: PeerClass = {
  name: 'lan',
  subnets: [
    '127.0.0.0/8',
    '10.0.0.0/8',
    '172.16.0.0/12',
    '192.168.0.0/16',
    '169.254.0.0/16',
    '::1/128',
    'fc00::/7',
    'fe80::/10',
  ],
  rates: {},
  exempt: true,
};

const NO_LIMIT: Rates = { uploadBytesPerSecond: 0, downloadBytesPerSecond: 0 };
const MINUTES_OF_A_DAY = 24 * 60;

type RateHost = Pick<LinkHost, 'createRateClass' | 'setRateClass' | 'dropRateClass' | 'setLinkRateClasses'>;

/** A bucket of the byte mover: made when it first has a limit. */
class Bucket {
  readonly #host: RateHost;
  rates = NO_LIMIT;
  #id: number | null = null;

  constructor(host: RateHost) {
    this.#host = host;
  }

  get id(): number | null {
    return this.#id;
  }

  /** Returns whether links have to be told of the bucket. */
  set(limit: RateLimit): boolean {
    const rates = checked(limit);
    const isSame =
      rates.uploadBytesPerSecond === this.rates.uploadBytesPerSecond &&
      rates.downloadBytesPerSecond === this.rates.downloadBytesPerSecond;
    if (isSame) return false;
    this.rates = rates;
    const isNew = this.#id === null;
    this.#id ??= this.#host.createRateClass();
    this.#host.setRateClass(this.#id, rates);
    return isNew;
  }

  drop(): void {
    if (this.#id !== null) this.#host.dropRateClass(this.#id);
    this.#id = null;
  }
}

/** A class of peers with its bucket. */
interface Group {
  readonly subnets: BlockList;
  readonly exempt: boolean;
  readonly bucket: Bucket;
}

interface Member {
  readonly torrent: number;
  readonly group: Group | null;
}

export class RateLimits {
  readonly #host: RateHost;
  readonly #options: RateLimitsOptions;
  readonly #quota: TrafficQuota;
  readonly #all: Bucket;
  readonly #groups: readonly Group[];
  readonly #torrents = new Map<number, Bucket>();
  readonly #links = new Map<number, Member>();

  /** @throws RangeError for rates, times or subnets that make no sense */
  constructor(host: RateHost, options: RateLimitsOptions, now: Date) {
    this.#host = host;
    this.#options = options;
    this.#quota = new TrafficQuota(options.quota ?? {}, options.usage ?? null, now);
    this.#all = new Bucket(host);
    for (const schedule of options.schedules ?? []) check(schedule);
    this.#groups = [...(options.classes ?? []), LAN].map(({ subnets, rates, exempt = false }) => {
      const bucket = new Bucket(host);
      bucket.set(rates);
      return { subnets: blockListOf(subnets), exempt, bucket };
    });
    this.tick(now);
  }

  get usage(): QuotaUsage {
    return this.#quota.usage;
  }

  status(): RateStatus {
    const { month } = this.usage;
    const stopped = (may: boolean, what: string) => (may ? null : `the ${what} quota of ${month} is used up`);
    return {
      ...this.#all.rates,
      uploadStopped: stopped(this.#quota.mayUpload, 'upload'),
      downloadStopped: stopped(this.#quota.mayDownload, 'download'),
      usage: this.usage,
    };
  }

  /** A link begins; returns what is to count its payload, null when it is exempt. */
  joined(link: number, torrent: number, { host }: Pick<PeerAddress, 'host'>): Meter | null {
    const family = isIP(host);
    // A web seed's host is not looked up: it counts as any other peer.
    const group =
      family === 0
        ? null
        : (this.#groups.find(({ subnets }) => subnets.check(host, family === 4 ? 'ipv4' : 'ipv6')) ?? null);
    this.#links.set(link, { torrent, group });
    this.#assign(link, { torrent, group });
    return group?.exempt ? null : this.#quota;
  }

  left(link: number): void {
    this.#links.delete(link);
  }

  /** @throws RangeError */
  setTorrent(torrent: number, limit: RateLimit): void {
    const bucket = this.#torrents.get(torrent) ?? new Bucket(this.#host);
    this.#torrents.set(torrent, bucket);
    if (bucket.set(limit)) this.#assignAll((member) => member.torrent === torrent);
  }

  removeTorrent(torrent: number): void {
    this.#torrents.get(torrent)?.drop();
    this.#torrents.delete(torrent);
  }

  /** The clock went on: other rates may hold, or another month has begun. */
  tick(now: Date): void {
    this.#quota.tick(now);
    const schedule = this.#options.schedules?.find((each) => holds(each, now));
    if (this.#all.set(schedule?.rates ?? this.#options.rates ?? {})) this.#assignAll(() => true);
  }

  #assignAll(concerns: (member: Member) => boolean): void {
    for (const [link, member] of this.#links) if (concerns(member)) this.#assign(link, member);
  }

  /** The narrowest first. */
  #assign(link: number, { torrent, group }: Member): void {
    const buckets = group?.exempt ? [group.bucket] : [this.#torrents.get(torrent), group?.bucket, this.#all];
    const ids = buckets.map((bucket) => bucket?.id ?? null).filter((id) => id !== null);
    // In none is how every link begins; no bucket goes before its torrent does.
    if (ids.length > 0) this.#host.setLinkRateClasses(link, ids);
  }
}

function holds({ days, fromMinute, toMinute }: RateSchedule, now: Date): boolean {
  const minute = now.getHours() * 60 + now.getMinutes();
  const today = now.getDay();
  const on = (day: number) => days === undefined || days.includes(day);
  if (fromMinute < toMinute) return on(today) && minute >= fromMinute && minute < toMinute;
  return (on(today) && minute >= fromMinute) || (on((today + 6) % 7) && minute < toMinute);
}

function checked({ uploadBytesPerSecond = 0, downloadBytesPerSecond = 0 }: RateLimit): Rates {
  for (const [name, rate] of Object.entries({ uploadBytesPerSecond, downloadBytesPerSecond })) {
    if (!Number.isSafeInteger(rate) || rate < 0)
      throw new RangeError(`"${name}" expected integer >= 0, got ${rate}`);
  }
  return { uploadBytesPerSecond, downloadBytesPerSecond };
}

function check({ days = [], fromMinute, toMinute, rates }: RateSchedule): void {
  checked(rates);
  for (const minute of [fromMinute, toMinute]) {
    if (!Number.isInteger(minute) || minute < 0 || minute > MINUTES_OF_A_DAY)
      throw new RangeError(`"fromMinute, toMinute" expected 0..${MINUTES_OF_A_DAY}, got ${minute}`);
  }
  for (const day of days) {
    if (!Number.isInteger(day) || day < 0 || day > 6)
      throw new RangeError(`"days" expected integers in 0..6, got ${day}`);
  }
}

function blockListOf(subnets: readonly string[]): BlockList {
  const list = new BlockList();
  for (const subnet of subnets) {
    const [host = '', bits = ''] = subnet.split('/');
    try {
      list.addSubnet(host, Number.parseInt(bits, 10), isIPv4(host) ? 'ipv4' : 'ipv6');
    } catch {
      throw new RangeError(`"subnets" expected ADDRESS/BITS, got \`${subnet}\``);
    }
  }
  return list;
}
