/**
 * When each torrent asks the DHT for peers and says where we are: one schedule over all of them, without bursts, and no
 * timer or promise for a torrent that rests.
 */
import type { Dht } from '../discovery/dht.js';
import type { IdleName } from '../swarm/idle-torrents.js';
import type { Swarm } from '../swarm/swarm.js';

export interface DhtScheduleOptions {
  readonly dht: Pick<Dht, 'lookup' | 'announce'>;
  /** Where peers reach us; null: nowhere, and nobody is told. */
  readonly port: () => number | null;
}

/** A torrent that still wants peers asks again after this time. */
const LOOKUP_AGAIN_MS = 15_000;
/** The same while it has no peer at all. */
const HURRY_MS = 1000;
/** With this many peers a torrent looks for no more. */
const ENOUGH_PEERS = 30;
/** Lookups at a time. */
const LOOKUPS = 8;
/** BEP 5: announcements are forgotten after about half an hour. */
const ANNOUNCE_AGAIN_MS = 15 * 60_000;
/** All names are to be announced in this time, */
const ROUND_S = 10 * 60;
/** at no more than so many a second, each some 40 datagrams, and never less than a few. */
const MAX_PER_SECOND = 20;
const MIN_PER_SECOND = 4;
/** A few torrents, as of a small chain, are announced at the start: whoever looks for them does not wait. */
const BURST = 40;
/** Announcements at a time; the DHT has more walks, for those that look. */
const ANNOUNCEMENTS = 24;
/** While nobody takes announcements, as before the first, one at a time is tried, after this time at most. */
const FIRST_REST_MS = 500;
const REST_MAX_MS = 5000;

/** An open torrent. */
interface Looking {
  readonly names: readonly IdleName[];
  lookupAtMs: number;
  isBusy: boolean;
}

/** A name that is announced: an open torrent's, an idle one's, or both. */
interface Announced {
  swarm: Swarm | null;
  isIdle: boolean;
  /** Before others that are not announced yet. */
  isFirst: boolean;
  /** When it is due again; 0: as soon as it is its turn. */
  dueMs: number;
}

export class DhtSchedule {
  readonly #options: DhtScheduleOptions;
  readonly #swarms = new Map<Swarm, Looking>();
  readonly #announced = new Map<IdleName, Announced>();
  /**
   * Not yet announced, the most urgent apart, and those that were, the first to be due again first. A name is in one, or
   * under way.
   */
  readonly #first = new Set<IdleName>();
  readonly #fresh = new Set<IdleName>();
  readonly #later = new Set<IdleName>();
  readonly #jobs = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #lookups = 0;
  #announcements = 0;
  #nowMs = Number.NEGATIVE_INFINITY;
  /** How many announcements may begin. */
  #tokens = 0;
  /** 0 while announcements are taken. */
  #restMs = FIRST_REST_MS;
  #restUntilMs = Number.NEGATIVE_INFINITY;

  constructor(options: DhtScheduleOptions) {
    this.#options = options;
  }

  /** Looks after an open torrent until it closes. `isFirst`: it is announced before others that are not yet. */
  add(swarm: Swarm, isFirst = false): void {
    const hashes = [swarm.infoHashV1, swarm.infoHashV2?.subarray(0, 20)].filter((hash) => hash != null);
    const names = hashes.map((hash) => Buffer.from(hash).toString('latin1'));
    this.#swarms.set(swarm, { names, lookupAtMs: 0, isBusy: false });
    for (const name of names) this.#entry(name, isFirst).swarm = swarm;
  }

  /** Announces a torrent that is not open from time to time, until it is removed. */
  addIdle(name: IdleName): void {
    this.#entry(name).isIdle = true;
  }

  removeIdle(name: IdleName): void {
    const entry = this.#announced.get(name);
    if (!entry) return;
    entry.isIdle = false;
    this.#forget(name, entry);
  }

  /** We are reached by another port: all are announced anew, no quicker than at the start. */
  portChanged(): void {
    this.#later.clear();
    for (const [name, entry] of this.#announced) this.#await(name, entry);
  }

  /** Does what is due; to be called about once a second. */
  tick(nowMs: number): void {
    if (this.#stop.signal.aborted) return;
    const perSecond = Math.min(MAX_PER_SECOND, Math.max(MIN_PER_SECOND, this.#announced.size / ROUND_S));
    const gained = (perSecond * Math.max(0, nowMs - this.#nowMs)) / 1000;
    this.#tokens = Math.min(BURST, this.#tokens + gained);
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    for (const [swarm, looking] of this.#swarms) this.#attend(swarm, looking);
    this.#announceDue();
  }

  /** Ends all that is under way. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#jobs);
  }

  #run(work: Promise<void>): void {
    // A walk that fails must not end more than this try; or the node is closing.
    const job = work.catch(() => {}).finally(() => this.#jobs.delete(job));
    this.#jobs.add(job);
  }

  #entry(name: IdleName, isFirst = false): Announced {
    let entry = this.#announced.get(name);
    if (!entry) {
      entry = { swarm: null, isIdle: false, isFirst, dueMs: 0 };
      this.#announced.set(name, entry);
      this.#await(name, entry);
    }
    return entry;
  }

  #await(name: IdleName, { isFirst }: Announced): void {
    (isFirst ? this.#first : this.#fresh).add(name);
  }

  #forget(name: IdleName, entry: Announced): void {
    if (entry.isIdle || entry.swarm) return;
    this.#announced.delete(name);
    this.#first.delete(name);
    this.#fresh.delete(name);
    this.#later.delete(name);
  }

  #attend(swarm: Swarm, looking: Looking): void {
    // BEP 27: nobody is asked for a private torrent but its trackers.
    if (swarm.state === 'closed' || swarm.private) {
      this.#swarms.delete(swarm);
      for (const name of looking.names) {
        const entry = this.#announced.get(name);
        if (entry?.swarm !== swarm) continue;
        entry.swarm = null;
        this.#forget(name, entry);
      }
      return;
    }
    if (looking.isBusy || this.#nowMs < looking.lookupAtMs || this.#lookups >= LOOKUPS) return;
    if (!swarm.isLooking || swarm.status().links >= ENOUGH_PEERS) return;
    looking.isBusy = true;
    looking.lookupAtMs = this.#nowMs + LOOKUP_AGAIN_MS;
    this.#lookups++;
    // The others come first next time.
    this.#swarms.delete(swarm);
    this.#swarms.set(swarm, looking);
    this.#run(
      this.#lookup(swarm, looking).finally(() => {
        looking.isBusy = false;
        this.#lookups--;
      }),
    );
  }

  async #lookup(swarm: Swarm, looking: Looking): Promise<void> {
    const { signal } = this.#stop;
    for (const name of looking.names) {
      const found = this.#options.dht.lookup(Buffer.from(name, 'latin1'), { signal });
      for await (const address of found) swarm.addPeers([address], 'dht');
    }
    if (swarm.status().links === 0) looking.lookupAtMs = this.#nowMs + HURRY_MS;
  }

  #announceDue(): void {
    const port = this.#options.port();
    if (port === null) return;
    const most = this.#restMs > 0 ? 1 : ANNOUNCEMENTS;
    for (const name of this.#due()) {
      if (this.#tokens < 1 || this.#announcements >= most || this.#nowMs < this.#restUntilMs) return;
      const entry = this.#announced.get(name);
      if (!entry || (!entry.isIdle && entry.swarm?.state === 'paused')) continue;
      this.#tokens--;
      this.#announcements++;
      this.#first.delete(name);
      this.#fresh.delete(name);
      this.#later.delete(name);
      this.#run(
        this.#announce(name, port).finally(() => {
          this.#announcements--;
          if (!this.#stop.signal.aborted) this.#announceDue();
        }),
      );
    }
  }

  *#due(): Generator<IdleName, void, undefined> {
    yield* this.#first;
    yield* this.#fresh;
    for (const name of this.#later) {
      if ((this.#announced.get(name)?.dueMs ?? 0) > this.#nowMs) return;
      yield name;
    }
  }

  async #announce(name: IdleName, port: number): Promise<void> {
    const { signal } = this.#stop;
    const taken = await this.#options.dht.announce(Buffer.from(name, 'latin1'), port, { signal });
    const entry = this.#announced.get(name);
    if (taken > 0) {
      this.#restMs = 0;
      if (!entry) return;
      this.#later.add(name);
      entry.dueMs = this.#nowMs + ANNOUNCE_AGAIN_MS;
      return;
    }
    // Nobody took it: the DHT is not there yet.
    this.#restMs = Math.min(REST_MAX_MS, Math.max(HURRY_MS, this.#restMs * 2));
    this.#restUntilMs = this.#nowMs + this.#restMs;
    if (entry) this.#await(name, entry);
  }
}
