/** The segment torrents that are served: added as they are made, withdrawn when their segment leaves the chain. */
import type { HybridTorrent } from '../metainfo/hybrid.js';
import type { SegmentKind } from '../metainfo/segment.js';
import { type ResumeDb, Store } from '../native.js';
import type { TorrentFault } from '../swarm/link-host.js';
import type { Swarm } from '../swarm/swarm.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { scrub } from './resume.js';
import type { MadeSegment, SegmentSource, SegmentTorrent } from './source.js';

export interface SegmentSeedsOptions {
  readonly peerNode: PeerNode;
  readonly source: SegmentSource;
  readonly resumeDb: ResumeDb;
  readonly report: Report;
}

/** One torrent that is served. */
interface Seed {
  readonly index: number;
  readonly kind: SegmentKind;
  readonly torrent: SegmentTorrent;
  readonly store: Store;
  readonly swarm: Swarm;
  readonly withdrawn: AbortController;
}

export class SegmentSeeds {
  readonly #options: SegmentSeedsOptions;
  readonly #seeds = { blocks: new Map<number, Seed>(), spent: new Map<number, Seed>() };
  /** Nobody has read them in this run. */
  readonly #unread: Seed[] = [];
  #hasUnread: () => void = () => {};

  constructor(options: SegmentSeedsOptions) {
    this.#options = options;
  }

  /** Serves a torrent whose bytes were hashed a moment ago, or by an earlier run when the files were the same. */
  serve(index: number, kind: SegmentKind, torrent: SegmentTorrent): void {
    const { peerNode, report } = this.#options;
    const store = Store.overExtents(torrent, torrent.extents);
    store.setServableAll();
    const fault = ({ message }: TorrentFault) => report.warn(`${torrent.name} is paused: ${message}`);
    const swarm = peerNode.addContent(torrent, store, {
      maxLinks: peerNode.maxConnections,
      events: { fault },
    });
    const seed = { index, kind, torrent, store, swarm, withdrawn: new AbortController() };
    this.#seeds[kind].set(index, seed);
    if (!torrent.isRemembered) return;
    this.#unread.push(seed);
    this.#hasUnread();
  }

  /** Serves segments from this one on no more; returns how many torrents that were. */
  withdrawFrom(first: number): number {
    const gone = [...this.#all()].filter(({ index }) => index >= first);
    for (const { index, kind, swarm, withdrawn } of gone) {
      withdrawn.abort();
      swarm.close();
      this.#seeds[kind].delete(index);
    }
    return gone.length;
  }

  /** Those from the first segment on of which both files are served: what a catalogue can name. */
  get whole(): MadeSegment[] {
    const whole: MadeSegment[] = [];
    for (let index = 0; ; index++) {
      const [blocks, spent] = [this.#seeds.blocks.get(index), this.#seeds.spent.get(index)];
      if (!blocks || !spent) return whole;
      whole.push({ index, blocks: blocks.torrent, spent: spent.torrent });
    }
  }

  /** Of each segment the blocks file, then the spent file. */
  get torrents(): HybridTorrent[] {
    const order = (seed: Seed) => 2 * seed.index + (seed.kind === 'spent' ? 1 : 0);
    return [...this.#all()].sort((a, b) => order(a) - order(b)).map(({ torrent }) => torrent);
  }

  /** Looks in the background at what was taken over from an earlier start: a disk may forget without a word. */
  async scrub(signal: AbortSignal): Promise<void> {
    const { source, resumeDb, report } = this.#options;
    while (!signal.aborted) {
      const seed = this.#unread.shift();
      if (!seed) {
        await new Promise<void>((resolve) => {
          this.#hasUnread = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        continue;
      }
      const { index, kind, torrent, store, withdrawn } = seed;
      if (withdrawn.signal.aborted) continue;
      const either = AbortSignal.any([signal, withdrawn.signal]);
      try {
        const wrong = await scrub(store, torrent, store.servable(), either);
        if (wrong.length === 0) continue;
        // The next start settles it anew, and names the block that is damaged.
        source.forget(index, kind, resumeDb);
        report.warn(
          `${torrent.name}: the bytes of ${wrong.length} pieces (the first is ${wrong[0]}) have changed though their ` +
            'files look the same; they are not served any more. Check the disk.',
        );
      } catch (error) {
        if (!either.aborted) report.warn(`looking at ${torrent.name} again failed: ${error}`);
      }
    }
  }

  *#all(): Generator<Seed, void, undefined> {
    yield* this.#seeds.blocks.values();
    yield* this.#seeds.spent.values();
  }
}
