/**
 * Announces the torrents of the process to their trackers, and hands on the peers that these name. One tracker of each
 * tier is asked (BEP 12; all tiers, as most clients do: each knows other peers), both infohashes of a hybrid, over each
 * family that we listen on (BEP 7).
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isMeantBy, type PeerAddress } from '../../connector.js';
import type {
  Announce,
  AnnounceEvent,
  AnnounceFailure,
  AnnounceReply,
  AnnounceResult,
  IpVersion,
  ScrapeCounts,
  TrackerNetwork,
} from './announce.js';
import { AnnounceQueue, type QueueLimits } from './announce-queue.js';
import {
  AnnounceTable,
  COMPLETED,
  FLYING,
  GONE,
  type Names,
  NEWS,
  STARTED,
  STOPPING,
} from './announce-table.js';
import { Announcer } from './announcer.js';
import { type Tracker, type TrackerHost, Trackers } from './tier.js';
import type { UdpDatagram } from './udp-tracker.js';

export interface TransferCounts {
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly leftBytes: number;
}

/** A torrent that is open. */
export interface LiveTorrent {
  /** Since it was opened. */
  counts(): TransferCounts;
  /** How many peers it could use; 0 for none. */
  wantedPeers(): number;
  /** It looks for peers and has none: the tracker is asked as soon as it allows. */
  isHungry(): boolean;
  /** It has what it wants, and not all that there is (BEP 21). */
  isPartialSeed(): boolean;
  found(peers: readonly PeerAddress[]): void;
  /** Another tracker is asked in the place of one that knew it. */
  trackerChanged(): void;
}

export interface TrackerClientOptions {
  readonly network: TrackerNetwork;
  readonly clock: () => number;
  readonly random: () => number;
  /** Where peers reach us. */
  readonly port: () => number;
  /** 20 bytes, by which an infohash's peers know us. */
  readonly peerId: (name: string) => Uint8Array;
  /** 32 bits, by which a tracker knows us again at another address. */
  readonly key: (name: string) => number;
  /** The families that we listen on. */
  readonly ipVersions: readonly IpVersion[];
  /** A tracker says where it sees us (BEP 24). */
  readonly externalAddress?: (vote: { address: Uint8Array; from: string }) => void;
  /** A tracker warns of something, in its words. */
  readonly warned?: (tracker: string, text: string) => void;
  /** A tracker begins to fail. */
  readonly failing?: (tracker: string, reason: string, asked: boolean) => void;
  readonly limits?: Partial<QueueLimits>;
}

/** What is known of a torrent at one tracker. */
export interface TrackerStatus {
  /** Without path and query. */
  readonly url: string;
  readonly state: 'waiting' | 'asking' | 'working' | 'failing';
  readonly failure: string | null;
}

const AGAIN_MS = 5 * 60_000;
const LONGEST_AGAIN_MS = 3_600_000;
const BUSY_MS = 2000;
/** Announcements of many torrents that began together part: up to so much of the interval later. */
const JITTER = 0.2;
/** Told on exit, within the few seconds that there are. */
const FAREWELLS = 200;
const FAREWELL_PAUSE_MS = 20;

export class TrackerClient {
  readonly #options: TrackerClientOptions;
  readonly #trackers: Trackers;
  readonly #table = new AnnounceTable();
  readonly #queue: AnnounceQueue;
  readonly #live = new Map<number, LiveTorrent>();
  /** What trackers want to hear again, by row: few give one. */
  readonly #trackerIds = new Map<number, Uint8Array>();
  readonly #jobs = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  readonly #announcer: Announcer;
  #isClosing = false;

  constructor(options: TrackerClientOptions) {
    this.#options = options;
    const { random } = options;
    this.#trackers = new Trackers(random);
    this.#queue = new AnnounceQueue(options.limits);
    const charged = () => this.#queue.charge(1);
    this.#announcer = new Announcer({ ...options, charged, signal: this.#stop.signal });
  }

  /**
   * Announces a torrent from now on, under a number: `names` are its infohashes, `tiers` its own trackers, `asked` those
   * that the user named. Null when there is none to ask.
   */
  add(
    names: Names,
    tiers: readonly (readonly string[])[],
    asked: readonly (readonly string[])[] = [],
  ): number | null {
    const numbers = [...this.#trackers.tiersOf(asked, true), ...this.#trackers.tiersOf(tiers)];
    if (numbers.length === 0 || this.#isClosing) return null;
    const torrent = this.#table.addTorrent(names);
    for (const number of numbers) {
      const [tracker] = this.#trackers.tiers[number]?.trackers ?? [];
      if (!tracker) continue;
      this.#queue.wait(this.#table.addRow(torrent, number, tracker.number), 0);
      this.#queue.expect(names.length * this.#options.ipVersions.length);
    }
    return torrent;
  }

  /** The torrent is open: its peers go there, its counts come from there. It is announced soon. */
  attach(torrent: number, live: LiveTorrent): void {
    this.#live.set(torrent, live);
    if (live.wantedPeers() > 0) this.#hurry(torrent);
  }

  /** It is open no more, and still announced. */
  detach(torrent: number): void {
    this.#table.setCounts(torrent, this.#counts(torrent));
    this.#live.delete(torrent);
  }

  /** Its last wanted piece came. */
  completed(torrent: number): void {
    for (const row of this.#table.rows(torrent)) this.#table.set(row, COMPLETED);
    this.#hurry(torrent);
  }

  /** All that is wanted of it came, and it is not all that there is: trackers are told soon (BEP 21). */
  becamePartialSeed(torrent: number): void {
    this.#tellNews(torrent);
  }

  /** We are reached by another port: all trackers are told, those of open torrents first, as soon as the limits allow. */
  portChanged(): void {
    for (const torrent of this.#live.keys()) this.#tellNews(torrent);
    const nowMs = this.#options.clock();
    for (const torrent of this.#table.torrents(Number.POSITIVE_INFINITY)) {
      if (this.#live.has(torrent)) continue;
      for (const row of this.#table.rows(torrent)) {
        const { host } = this.#trackerOf(row);
        // Who does not know of it yet is told the port when it is.
        if (!this.#table.has(row, STARTED)) continue;
        this.#table.set(row, NEWS);
        const isUnderWay = this.#table.has(row, FLYING | STOPPING);
        if (!isUnderWay && !host.ready.has(row) && !host.urgent.has(row)) this.#queue.wait(row, nowMs);
      }
    }
  }

  /** Lets a torrent go: trackers that know of it are told, and its number is free. */
  remove(torrent: number): void {
    this.detach(torrent);
    const table = this.#table;
    for (const row of [...table.rows(torrent)]) {
      this.#forget(row);
      if (table.has(row, FLYING)) table.set(row, GONE);
      else if (table.has(row, STARTED)) this.#sayFarewell(row);
      else this.#free(row);
    }
  }

  /** Answers of UDP trackers. */
  deliver(datagrams: Iterable<UdpDatagram>): void {
    this.#announcer.deliver(datagrams);
  }

  /** Begins what is due; to be called a few times a second. */
  tick(nowMs: number): void {
    if (this.#isClosing) return;
    for (let row = this.#queue.takeDue(nowMs); row !== null; row = this.#queue.takeDue(nowMs)) {
      this.#ready(row, nowMs);
    }
    this.#begin(nowMs);
  }

  status(torrent: number): TrackerStatus[] {
    return [...this.#table.rows(torrent)].map((row) => {
      const tracker = this.#trackerOf(row);
      const { failure } = tracker;
      const isKnown = this.#table.has(row, STARTED);
      const other = failure === null ? (this.#table.has(row, FLYING) ? 'asking' : 'waiting') : 'failing';
      return { url: tracker.place.shown, state: isKnown ? 'working' : other, failure };
    });
  }

  /** Counts of swarms at one tracker (BEP 48, 15), as far as it tells. @throws `signal.reason` when aborted */
  scrape(
    url: string,
    names: readonly string[],
    signal: AbortSignal,
    asked = true,
  ): Promise<Map<string, ScrapeCounts>> {
    return this.#announcer.scrape(this.#trackers.tracker(url, asked), names, signal);
  }

  /** Tells trackers that we go, open torrents first, as many as there is time for; then nothing is on its way. */
  async close(boundMs = 3000): Promise<void> {
    if (!this.#isClosing) {
      this.#isClosing = true;
      const { clock } = this.#options;
      const untilMs = clock() + boundMs;
      this.#prepareFarewells();
      while (clock() < untilMs) {
        this.#begin(clock());
        if (this.#jobs.size === 0 && ![...this.#trackers.hosts.values()].some((host) => host.waiting > 0))
          break;
        await delay(FAREWELL_PAUSE_MS);
      }
      this.#stop.abort();
    }
    await Promise.all(this.#jobs);
  }

  #prepareFarewells(): void {
    const table = this.#table;
    for (const host of this.#trackers.hosts.values()) {
      for (const row of this.#queue.takeAll(host)) {
        if (table.has(row, STOPPING)) this.#queue.ready(row, host, true);
      }
    }
    let left = FAREWELLS;
    for (const torrent of [...this.#live.keys(), ...table.torrents(FAREWELLS)]) {
      for (const row of [...table.rows(torrent)]) {
        if (!table.has(row, STOPPING) && left-- > 0) this.#sayFarewell(row);
      }
    }
  }

  #sayFarewell(row: number): void {
    const { host, rest } = this.#trackerOf(row);
    this.#table.set(row, STOPPING);
    if (!this.#table.has(row, STARTED) || this.#table.has(row, FLYING)) return;
    if (host.rest.failures > 0 || rest.failures > 0) this.#free(row);
    else this.#queue.ready(row, host, true);
  }

  /** Brings a due row to the tracker whose turn it is in its tier, or lets it wait until one can be asked. */
  #ready(row: number, nowMs: number): void {
    const current = this.#trackerOf(row);
    const tracker = this.#trackers.tiers[this.#table.tier(row)]?.choose(current, nowMs) ?? current;
    const restsUntilMs = tracker.restsUntilMs();
    if (restsUntilMs > nowMs) {
      this.#queue.wait(row, restsUntilMs + this.#options.random() * 1000);
      return;
    }
    this.#setTracker(row, tracker);
    const isUrgent = this.#live.has(this.#table.torrent(row));
    this.#queue.ready(row, tracker.host, isUrgent);
  }

  #begin(nowMs: number): void {
    const requests = (row: number) => this.#requestsOf(row);
    for (
      let row = this.#queue.begin(nowMs, requests);
      row !== null;
      row = this.#queue.begin(nowMs, requests)
    ) {
      this.#table.set(row, FLYING);
      const job = this.#announce(row).finally(() => this.#jobs.delete(job));
      this.#jobs.add(job);
    }
  }

  #requestsOf(row: number): number {
    return this.#table.names(this.#table.torrent(row)).length * this.#options.ipVersions.length;
  }

  async #announce(row: number): Promise<void> {
    const tracker = this.#trackerOf(row);
    const event = this.#eventOf(row);
    this.#table.clear(row, NEWS);
    const take = (reply: AnnounceReply & { readonly from: string }) => this.#take(row, tracker, reply);
    const results = await this.#announcer.announce(tracker, this.#announcements(row, event), take);
    this.#queue.ended(tracker.host);
    this.#table.clear(row, FLYING);
    this.#settle(row, tracker, event, results);
  }

  #announcements(row: number, event: AnnounceEvent): Announce[] {
    const torrent = this.#table.torrent(row);
    const { port, peerId, key } = this.#options;
    const live = this.#live.get(torrent);
    const common = {
      ...this.#counts(torrent),
      port: port(),
      event,
      numWant: event === 'stopped' ? 0 : (live?.wantedPeers() ?? 0),
      trackerId: this.#trackerIds.get(row) ?? null,
    };
    return this.#table
      .names(torrent)
      .map((name) => ({ ...common, name, peerId: peerId(name), key: key(name) }));
  }

  /** Hands on what a reply brings. */
  #take(row: number, tracker: Tracker, reply: AnnounceReply & { readonly from: string }): void {
    const { externalAddress, warned } = this.#options;
    const { from, trackerId, warning } = reply;
    if (trackerId) this.#trackerIds.set(row, trackerId);
    if (reply.externalAddress) externalAddress?.({ address: reply.externalAddress, from });
    if (warning !== null && warning !== tracker.warning) warned?.(tracker.place.shown, warning);
    tracker.warning = warning;
    // What a tracker out there calls 192.168.1.1 is not ours.
    const peers = reply.peers.filter(({ host }) => isMeantBy(host, from));
    if (peers.length > 0 && !this.#table.has(row, GONE)) {
      this.#live.get(this.#table.torrent(row))?.found(peers);
    }
  }

  #settle(row: number, tracker: Tracker, event: AnnounceEvent, results: readonly AnnounceResult[]): void {
    const table = this.#table;
    const replies = results.filter((result) => result.failure === null);
    if (replies.length > 0) {
      tracker.rest.ended();
      tracker.host.rest.ended();
      tracker.failure = null;
      this.#trackers.tiers[table.tier(row)]?.promote(tracker);
      table.set(row, STARTED);
      table.setFailures(row, 0);
      if (event === 'completed') table.clear(row, COMPLETED);
    } else if (!this.#stop.signal.aborted) {
      this.#failed(row, tracker, results);
    }
    if (table.has(row, GONE)) table.set(row, STOPPING);
    const isOver = event === 'stopped' || (table.has(row, STOPPING) && replies.length === 0);
    if (isOver) this.#free(row);
    else if (table.has(row, STOPPING)) this.#sayFarewell(row);
    else if (replies.length > 0 && !this.#isClosing) this.#waitForNext(row, replies);
  }

  #waitForNext(row: number, replies: readonly AnnounceReply[]): void {
    const { clock, random } = this.#options;
    const intervalMs = Math.max(...replies.map((reply) => reply.intervalMs));
    this.#queue.sawInterval(intervalMs);
    const soonestMs = Math.max(...replies.map((reply) => reply.minIntervalMs ?? reply.intervalMs));
    const isHungry = this.#live.get(this.#table.torrent(row))?.isHungry() ?? false;
    const waitMs = (isHungry ? soonestMs : intervalMs) * (1 + JITTER * random());
    this.#queue.wait(row, clock() + (this.#table.has(row, COMPLETED | NEWS) ? 0 : waitMs));
  }

  /** Who is to be left alone, and when the row is tried again. */
  #failed(row: number, tracker: Tracker, results: readonly AnnounceResult[]): void {
    const { clock, random, failing } = this.#options;
    const failures = results.filter((result): result is AnnounceFailure => result.failure !== null);
    const of = (who: AnnounceFailure['of']) => failures.find((failure) => failure.of === who);
    const nowMs = clock();
    if (of('busy')) {
      this.#queue.wait(row, nowMs + BUSY_MS * (1 + random()));
      return;
    }
    const failure = of('host') ?? of('tracker') ?? of('torrent') ?? of('address');
    const reason = failure?.failure ?? 'its name has no address';
    if (tracker.failure === null) failing?.(tracker.place.shown, reason, tracker.asked);
    tracker.failure = reason;
    const retryMs = failure?.retryMs ?? null;
    if (failure?.of === 'torrent') {
      this.#turnedAway(row, tracker, retryMs);
      return;
    }
    (failure?.of === 'tracker' ? tracker.rest : tracker.host.rest).failed(nowMs, retryMs, random);
    this.#ready(row, nowMs);
    this.#sendAway(tracker.host, nowMs);
  }

  /** The tracker does not want the torrent: another of the tier may, and when all were asked it rests. */
  #turnedAway(row: number, tracker: Tracker, retryMs: number | null): void {
    const { clock, random } = this.#options;
    const tier = this.#trackers.tiers[this.#table.tier(row)];
    const many = tier?.trackers.length ?? 1;
    const tries = this.#table.failures(row) + 1;
    this.#table.setFailures(row, tries);
    this.#setTracker(row, tier?.after(tracker) ?? tracker);
    this.#table.clear(row, STARTED);
    const isNever = retryMs === Number.POSITIVE_INFINITY;
    const rounds = Math.floor(tries / many);
    const againMs = rounds === 0 ? 0 : Math.min(LONGEST_AGAIN_MS, AGAIN_MS * 2 ** (rounds - 1));
    const restMs = Math.max(isNever || rounds === 0 ? 0 : (retryMs ?? 0), againMs * (1 + JITTER * random()));
    // BEP 31: `never`, and there is nobody else.
    if (!isNever || many > 1) this.#queue.wait(row, clock() + restMs);
  }

  /** Those that wait at a host that rests go to another tracker of their tier, or wait as long as it rests. */
  #sendAway(host: TrackerHost, nowMs: number): void {
    for (const row of this.#queue.takeAll(host)) {
      if (this.#table.has(row, STOPPING)) this.#free(row);
      else this.#ready(row, nowMs);
    }
  }

  #eventOf(row: number): AnnounceEvent {
    if (!this.#table.has(row, STARTED)) return 'started';
    if (this.#table.has(row, COMPLETED)) return 'completed';
    if (this.#table.has(row, STOPPING)) return 'stopped';
    return this.#isPartialSeed(this.#table.torrent(row)) ? 'paused' : null;
  }

  #isPartialSeed(torrent: number): boolean {
    const live = this.#live.get(torrent);
    // One that rests fetches nothing.
    return live ? live.isPartialSeed() : this.#table.counts(torrent).leftBytes > 0;
  }

  #tellNews(torrent: number): void {
    for (const row of this.#table.rows(torrent)) this.#table.set(row, NEWS);
    this.#hurry(torrent);
  }

  /** Announces a torrent as soon as it is its turn. */
  #hurry(torrent: number): void {
    const nowMs = this.#options.clock();
    for (const row of this.#table.rows(torrent)) {
      const isDue = this.#table.has(row, COMPLETED | NEWS) || !this.#table.has(row, STARTED);
      if (!isDue || this.#table.has(row, FLYING)) continue;
      const { host } = this.#trackerOf(row);
      if (host.ready.delete(row)) this.#queue.ready(row, host, true);
      else if (!host.urgent.has(row)) this.#queue.wait(row, nowMs);
    }
  }

  #setTracker(row: number, tracker: Tracker): void {
    if (this.#table.tracker(row) !== tracker.number) {
      this.#trackerIds.delete(row);
      if (this.#table.has(row, STARTED)) this.#live.get(this.#table.torrent(row))?.trackerChanged();
    }
    this.#table.setTracker(row, tracker.number);
  }

  #forget(row: number): void {
    this.#queue.forget(row, this.#trackerOf(row).host);
  }

  #free(row: number): void {
    const torrent = this.#table.torrent(row);
    this.#queue.expect(-this.#requestsOf(row));
    this.#forget(row);
    this.#trackerIds.delete(row);
    this.#table.deleteRow(row);
    if (!this.#table.hasRows(torrent)) this.#table.deleteTorrent(torrent);
  }

  #counts(torrent: number): TransferCounts {
    const past = this.#table.counts(torrent);
    const counts = this.#live.get(torrent)?.counts();
    if (!counts) return past;
    return {
      uploadedBytes: past.uploadedBytes + counts.uploadedBytes,
      downloadedBytes: past.downloadedBytes + counts.downloadedBytes,
      leftBytes: counts.leftBytes,
    };
  }

  #trackerOf(row: number): Tracker {
    const tracker = this.#trackers.all[this.#table.tracker(row)];
    if (!tracker) throw new RangeError(`no tracker of row ${row}`);
    return tracker;
  }
}
