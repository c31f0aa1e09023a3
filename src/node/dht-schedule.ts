/**
 * When each torrent asks the DHT for peers and says where we are: one schedule over all of them, and no timer or
 * promise for a torrent that rests.
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
/** The same while it has no peer at all, or nobody took our announcement. */
const HURRY_MS = 1000;
/** BEP 5: announcements are forgotten after about half an hour. */
const ANNOUNCE_AGAIN_MS = 15 * 60_000;
/** With this many peers a torrent looks for no more. */
const ENOUGH_PEERS = 30;
/** Idle torrents announced at a time: the DHT has more walks, for those that wait. */
const IDLE_WALKS = 4;
/** While nobody takes announcements the idle ones wait, longer each time. */
const REST_MAX_MS = 60_000;

/** What an open torrent is due for. */
interface Due {
  readonly names: readonly Uint8Array[];
  lookupAtMs: number;
  announceAtMs: number;
  isBusy: boolean;
}

export class DhtSchedule {
  readonly #options: DhtScheduleOptions;
  readonly #swarms = new Map<Swarm, Due>();
  /** When each is due. The first is due first. */
  readonly #idle = new Map<IdleName, number>();
  readonly #jobs = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #idleWalks = 0;
  #restMs = 0;
  #restUntilMs = 0;

  constructor(options: DhtScheduleOptions) {
    this.#options = options;
  }

  /** Looks after an open torrent until it closes. */
  add(swarm: Swarm): void {
    const names = [swarm.infoHashV1, swarm.infoHashV2?.subarray(0, 20)].filter((name) => name != null);
    this.#swarms.set(swarm, { names, lookupAtMs: 0, announceAtMs: 0, isBusy: false });
  }

  /** Announces a torrent that is not open from time to time, until it is removed. */
  addIdle(name: IdleName): void {
    this.#idle.set(name, 0);
  }

  removeIdle(name: IdleName): void {
    this.#idle.delete(name);
  }

  /** Does what is due; to be called about once a second. */
  tick(nowMs: number): void {
    if (this.#stop.signal.aborted) return;
    for (const [swarm, due] of this.#swarms) {
      // BEP 27: nobody is asked for a private torrent but its trackers.
      if (swarm.state === 'closed' || swarm.private) this.#swarms.delete(swarm);
      else if (!due.isBusy && nowMs >= Math.min(due.lookupAtMs, due.announceAtMs)) {
        due.isBusy = true;
        this.#run(
          this.#attend(swarm, due, nowMs).finally(() => {
            due.isBusy = false;
          }),
        );
      }
    }
    this.#announceIdle(nowMs);
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

  async #attend(swarm: Swarm, due: Due, nowMs: number): Promise<void> {
    const { dht } = this.#options;
    const { signal } = this.#stop;
    if (nowMs >= due.lookupAtMs) {
      due.lookupAtMs = nowMs + LOOKUP_AGAIN_MS;
      if (swarm.isLooking && swarm.status().links < ENOUGH_PEERS) {
        for (const name of due.names) {
          for await (const address of dht.lookup(name, { signal })) swarm.addPeers([address], 'dht');
        }
        if (swarm.status().links === 0) due.lookupAtMs = nowMs + HURRY_MS;
      }
    }
    if (nowMs >= due.announceAtMs && swarm.state !== 'paused' && !swarm.private) {
      due.announceAtMs = nowMs + HURRY_MS;
      let taken = 0;
      for (const name of due.names) {
        // Those of the idle table are announced from there.
        if (this.#idle.has(Buffer.from(name).toString('latin1'))) taken++;
        else taken += await this.#announce(name);
      }
      // Nobody took it: the DHT is not there yet.
      if (taken > 0) due.announceAtMs = nowMs + ANNOUNCE_AGAIN_MS;
    }
  }

  #announceIdle(nowMs: number): void {
    while (this.#idleWalks < IDLE_WALKS && nowMs >= this.#restUntilMs) {
      const [first] = this.#idle;
      if (!first || first[1] > nowMs || this.#stop.signal.aborted) return;
      const [key] = first;
      this.#toTheEnd(key, nowMs + ANNOUNCE_AGAIN_MS);
      this.#idleWalks++;
      this.#run(
        this.#announceOne(key).finally(() => {
          this.#idleWalks--;
          this.#announceIdle(performance.now());
        }),
      );
    }
  }

  async #announceOne(key: IdleName): Promise<void> {
    const taken = await this.#announce(Buffer.from(key, 'latin1'));
    if (taken > 0) {
      this.#restMs = 0;
      return;
    }
    const nowMs = performance.now();
    this.#restMs = Math.min(REST_MAX_MS, Math.max(HURRY_MS, this.#restMs * 2));
    this.#restUntilMs = nowMs + this.#restMs;
    if (this.#idle.has(key)) this.#toTheEnd(key, nowMs);
  }

  /** Gives the number of nodes that took it. Said to nobody, it counts as taken: there is nothing to be tried again. */
  async #announce(name: Uint8Array): Promise<number> {
    const port = this.#options.port();
    return port === null ? 1 : this.#options.dht.announce(name, port, { signal: this.#stop.signal });
  }

  /** A Map is walked in the order of insertion. */
  #toTheEnd(key: IdleName, dueMs: number): void {
    this.#idle.delete(key);
    this.#idle.set(key, dueMs);
  }
}
