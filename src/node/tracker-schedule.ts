/** Which torrents are announced to trackers: those that are open, and those that rest. */
import type { ScrapeCounts } from '../discovery/trackers/announce.js';
import type { TrackerClient, TrackerStatus, TransferCounts } from '../discovery/trackers/tracker-client.js';
import { parseTrackerUrl } from '../discovery/trackers/tracker-url.js';
import type { IdleName } from '../swarm/idle-torrents.js';
import type { Swarm } from '../swarm/swarm.js';

/** Trackers in tiers (BEP 12). */
export type TrackerTiers = readonly (readonly string[])[];

/** How large swarms are, as a tracker says (BEP 48). */
export interface TrackerCounts {
  /** Without path and query. */
  readonly tracker: string;
  readonly counts: ReadonlyMap<IdleName, ScrapeCounts>;
}

export interface TrackerScheduleOptions {
  readonly client: Pick<
    TrackerClient,
    | 'add'
    | 'attach'
    | 'detach'
    | 'completed'
    | 'becamePartialSeed'
    | 'portChanged'
    | 'remove'
    | 'tick'
    | 'status'
    | 'scrape'
    | 'close'
  >;
  /** Trackers that the user named, for every torrent that is not private. */
  readonly asked: TrackerTiers;
}

/** With this many peers a torrent looks for no more. */
const ENOUGH_PEERS = 30;
const WANTED_PEERS = 50;
/** What is missing while the length is not known: not nothing. */
const UNKNOWN_LEFT_BYTES = 16_384;

interface Open {
  readonly torrent: number;
  /** The torrent stays when the swarm closes. */
  readonly isIdleToo: boolean;
  isComplete: boolean;
}

export class TrackerSchedule {
  readonly #options: TrackerScheduleOptions;
  readonly #open = new Map<Swarm, Open>();
  /** By the first name. */
  readonly #idle = new Map<IdleName, number>();

  constructor(options: TrackerScheduleOptions) {
    this.#options = options;
  }

  /** Announces an open torrent until it closes. */
  add(swarm: Swarm, tiers: TrackerTiers): void {
    const { client } = this.#options;
    const names = [swarm.infoHashV1, swarm.infoHashV2?.subarray(0, 20)]
      .filter((name) => name != null)
      .map((name) => Buffer.from(name).toString('latin1'));
    const idle = this.#idle.get(names[0] ?? '') ?? null;
    const torrent = idle ?? client.add(names, tiers, swarm.private ? [] : this.#options.asked);
    if (torrent === null) return;
    // One that has everything from the start is not completed by us.
    const open = { torrent, isIdleToo: idle !== null, isComplete: !isLooking(swarm) };
    this.#open.set(swarm, open);
    client.attach(torrent, new LiveSwarm(swarm));
  }

  /** Announces a torrent that rests, until it is removed. */
  addIdle(names: readonly IdleName[], tiers: TrackerTiers, isPrivate: boolean): void {
    const torrent = this.#options.client.add(names, tiers, isPrivate ? [] : this.#options.asked);
    if (torrent !== null) this.#idle.set(names[0] ?? '', torrent);
  }

  removeIdle(names: readonly IdleName[]): void {
    const [first = ''] = names;
    const torrent = this.#idle.get(first);
    if (torrent === undefined) return;
    this.#idle.delete(first);
    for (const [swarm, open] of this.#open) if (open.torrent === torrent) this.#open.delete(swarm);
    this.#options.client.remove(torrent);
  }

  /** Every wanted piece of it came: trackers count it when that is all of the torrent. */
  completed(swarm: Swarm): void {
    const open = this.#open.get(swarm);
    const { hadPieces, pieceCount } = swarm.status();
    if (!open || open.isComplete) return;
    if (hadPieces < pieceCount) {
      this.#options.client.becamePartialSeed(open.torrent);
      return;
    }
    open.isComplete = true;
    this.#options.client.completed(open.torrent);
  }

  /** What trackers say of an open torrent. */
  status(swarm: Swarm): readonly TrackerStatus[] {
    const open = this.#open.get(swarm);
    return open ? this.#options.client.status(open.torrent) : [];
  }

  /**
   * What each tracker that the user named counts, by name; nothing of what it does not tell.
   * @throws `signal.reason` when aborted
   */
  scrape(names: readonly IdleName[], signal: AbortSignal): Promise<TrackerCounts[]> {
    const scraped = this.#options.asked.flat().map(async (url) => ({
      tracker: parseTrackerUrl(url)?.shown ?? url,
      counts: await this.#options.client.scrape(url, names, signal),
    }));
    return Promise.all(scraped);
  }

  /** We are reached by another port. */
  portChanged(): void {
    this.#options.client.portChanged();
  }

  /** Does what is due; to be called a few times a second. */
  tick(nowMs: number): void {
    const { client } = this.#options;
    for (const [swarm, { torrent, isIdleToo }] of this.#open) {
      if (swarm.state !== 'closed') continue;
      this.#open.delete(swarm);
      if (isIdleToo) client.detach(torrent);
      else client.remove(torrent);
    }
    client.tick(nowMs);
  }

  /** Tells trackers that we go, as far as there is time. */
  async close(): Promise<void> {
    await this.#options.client.close();
  }
}

/** A swarm as trackers see it. */
class LiveSwarm {
  readonly #swarm: Swarm;
  #uploadedBytes = 0;
  #downloadedBytes = 0;

  constructor(swarm: Swarm) {
    this.#swarm = swarm;
  }

  counts(): TransferCounts {
    const { uploadedBytes, downloadedBytes, leftBytes } = this.#swarm.status();
    // Never less than was said before.
    this.#uploadedBytes = Math.max(this.#uploadedBytes, uploadedBytes);
    this.#downloadedBytes = Math.max(this.#downloadedBytes, downloadedBytes);
    return {
      uploadedBytes: this.#uploadedBytes,
      downloadedBytes: this.#downloadedBytes,
      leftBytes: leftBytes ?? UNKNOWN_LEFT_BYTES,
    };
  }

  wantedPeers(): number {
    const { state } = this.#swarm;
    if (state === 'closed' || state === 'paused') return 0;
    return this.#swarm.status().links < ENOUGH_PEERS ? WANTED_PEERS : 0;
  }

  isHungry(): boolean {
    return isLooking(this.#swarm) && this.#swarm.status().links === 0;
  }

  isPartialSeed(): boolean {
    const { leftBytes } = this.#swarm.status();
    return this.#swarm.state === 'seeding' && leftBytes !== null && leftBytes > 0;
  }

  trackerChanged(): void {
    this.#swarm.trackerChanged();
  }

  found(peers: Parameters<Swarm['addPeers']>[0]): void {
    this.#swarm.addPeers(peers, 'tracker');
  }
}

/** Whether it wants pieces, or the info dictionary. */
function isLooking({ state }: Swarm): boolean {
  return state === 'fetching' || state === 'metadata';
}
