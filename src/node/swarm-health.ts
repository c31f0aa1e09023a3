/**
 * How well the segments of the chain are seeded: of each torrent, whom the DHT names, who of them can be reached, and what
 * those have. Nobody is told that we had any of it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { CatalogueRecord } from '../chain/catalogue.js';
import type { ScrapeCounts } from '../discovery/trackers/announce.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { SegmentKind } from '../metainfo/segment.js';
import type { Peer } from '../swarm/peer.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import type { TrackerCounts } from './tracker-schedule.js';

/** What was observed of one torrent. */
export interface TorrentHealth {
  readonly index: number;
  readonly kind: SegmentKind;
  readonly torrent: Metainfo;
  /** Addresses that the DHT named, or the user; some are gone. */
  readonly named: number;
  /** Those of them that a connection was made to. */
  readonly reached: number;
  readonly seeds: number;
  /** Reached, and lacking something. */
  readonly peers: number;
  /** How often the rarest piece was seen, and which share of the others was seen once more: 1.5 of 3 seeds is not 3. */
  readonly distributedCopies: number;
  /** What trackers say: more than could be reached, or what is long gone. */
  readonly trackers: readonly TrackerSays[];
  /** Age of the oldest announcement that our own DHT node keeps; null: it keeps none, and others do not tell. */
  readonly oldestAnnouncementMs: number | null;
}

export interface TrackerSays extends ScrapeCounts {
  readonly tracker: string;
}

export interface HealthOptions {
  readonly peerNode: PeerNode;
  readonly records: readonly CatalogueRecord[];
  /** How long each torrent is looked at. */
  readonly watchSeconds: number;
  readonly signal: AbortSignal;
  readonly report: Report;
}

/** Torrents looked at beside each other. */
const atATime = 8;
const lookMs = 250;
const lookUpAgainMs = 1000;
/** Without anybody's name for so long nobody is there. */
const lonelyMs = 4000;

/** Looks at each segment's two torrents, in order. @throws `signal.reason` when aborted */
export async function swarmHealth(options: HealthOptions): Promise<TorrentHealth[]> {
  const { records, report } = options;
  const torrents = records.flatMap(({ index, blocks, spent }) => [
    { index, kind: 'blocks' as const, torrent: blocks },
    { index, kind: 'spent' as const, torrent: spent },
  ]);
  const names = torrents.flatMap(({ torrent }) => namesOf(torrent));
  const scraped = options.peerNode.scrape(names, options.signal);
  // It is waited for below.
  scraped.catch(() => {});
  const health: Watched[] = [];
  let next = 0;
  let done = 0;
  const work = async () => {
    for (let at = next++; at < torrents.length; at = next++) {
      const each = torrents[at];
      if (each) health[at] = { ...each, ...(await watch(each.torrent, options)) };
      done++;
      report.progress({ stage: 'looking', done: done / 2, total: records.length, unit: 'segments' });
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  const said = await scraped;
  return health.map((each) => ({ ...each, trackers: trackersOf(each.torrent, said) }));
}

type Watched = Omit<TorrentHealth, 'trackers'>;
type Seen = Omit<Watched, 'index' | 'kind' | 'torrent'>;

/** Its infohashes as the DHT and trackers know them. */
function namesOf({ infoHashV1, infoHashV2 }: Metainfo): string[] {
  const names = [infoHashV1, infoHashV2?.subarray(0, 20)].filter((name) => name != null);
  return names.map((name) => Buffer.from(name).toString('latin1'));
}

/** Most peers of a hybrid announce both of its names: of each tracker the name counts that has more. */
function trackersOf(torrent: Metainfo, said: readonly TrackerCounts[]): TrackerSays[] {
  return said.flatMap(({ tracker, counts }) => {
    const known = namesOf(torrent).flatMap((name) => counts.get(name) ?? []);
    const most = (of: (count: ScrapeCounts) => number) => Math.max(...known.map(of));
    if (known.length === 0) return [];
    return {
      tracker,
      seeds: most(({ seeds }) => seeds),
      leechers: most(({ leechers }) => leechers),
      completed: most(({ completed }) => completed),
    };
  });
}

async function watch(torrent: Metainfo, options: HealthOptions): Promise<Seen> {
  const { peerNode, watchSeconds, signal } = options;
  const swarm = peerNode.watch(torrent);
  const over = new AbortController();
  const ended = AbortSignal.any([signal, over.signal]);
  const lookup = lookUp(torrent, options, ended, (address) => swarm.addPeers([address], 'dht'));
  try {
    const startMs = performance.now();
    for (let nowMs = startMs; nowMs - startMs < watchSeconds * 1000; nowMs = performance.now()) {
      await delay(lookMs, undefined, { signal });
      const { knownPeers } = swarm.status();
      if (knownPeers === 0 && nowMs - startMs >= lonelyMs) break;
      const open = [...swarm.peers.values()].filter(({ isOpen }) => isOpen);
      const isAllSaid = open.length >= knownPeers && open.every(({ have }) => have.all || have.count > 0);
      // A seed among them was heard; somebody who comes later is somebody more.
      if (knownPeers > 0 && isAllSaid && nowMs - startMs >= lonelyMs) break;
    }
    const ages = namesOf(torrent).map(
      (name) => peerNode.dht?.oldestAnnouncementMs(Buffer.from(name, 'latin1')) ?? Number.NEGATIVE_INFINITY,
    );
    const oldestMs = Math.max(...ages);
    return {
      ...seen(torrent, [...swarm.peers.values()], swarm.status().knownPeers),
      oldestAnnouncementMs: Number.isFinite(oldestMs) ? oldestMs : null,
    };
  } finally {
    over.abort();
    await lookup;
    swarm.close();
  }
}

/** Asks for both names again and again: at the start the DHT may not be there yet. Never rejects. */
async function lookUp(
  torrent: Metainfo,
  { peerNode }: HealthOptions,
  signal: AbortSignal,
  found: (address: { host: string; port: number }) => void,
): Promise<void> {
  const names = namesOf(torrent).map((name) => Buffer.from(name, 'latin1'));
  try {
    while (peerNode.dht && !signal.aborted) {
      for (const name of names)
        for await (const address of peerNode.dht.lookup(name, { signal })) found(address);
      await delay(lookUpAgainMs, undefined, { signal });
    }
  } catch {
    // Its time is over.
  }
}

function seen(
  { pieceCount }: Metainfo,
  links: readonly Peer[],
  named: number,
): Omit<Seen, 'oldestAnnouncementMs'> {
  const open = links.filter(({ isOpen, isClosing }) => isOpen && !isClosing);
  const seeds = open.filter(({ have }) => have.complete(pieceCount)).length;
  const rest = open.filter(({ have }) => !have.complete(pieceCount) && have.fits(pieceCount));
  const counts = Array.from(
    { length: pieceCount },
    (_, piece) => rest.filter(({ have }) => have.has(piece)).length,
  );
  const least = counts.reduce((low, count) => Math.min(low, count), Number.POSITIVE_INFINITY);
  const more = counts.filter((count) => count > least).length;
  const distributedCopies = seeds + least + Math.floor((100 * more) / pieceCount) / 100;
  return {
    named: Math.max(named, open.length),
    reached: open.length,
    seeds,
    peers: open.length - seeds,
    distributedCopies,
  };
}
