/** The segment torrents that are served: added as they are made, withdrawn when their segment leaves the chain. */
import type { HybridTorrent } from '../metainfo/hybrid.js';
import type { SegmentKind } from '../metainfo/segment.js';
import type { HashPace } from '../native.js';
import { sameBytes } from '../units.js';
import { type SeedState, SegmentSeed, type SegmentSeedOptions } from './segment-seed.js';
import type { MadeSegment, SegmentTorrent } from './source.js';

export interface SegmentSeedsOptions
  extends Pick<SegmentSeedOptions, 'peerNode' | 'source' | 'repairs' | 'report' | 'fileFailed'> {
  /** How fast what is only assumed is hashed in the background. */
  readonly scrubPace: HashPace;
}

export class SegmentSeeds {
  readonly #options: SegmentSeedsOptions;
  readonly #seeds = { blocks: new Map<number, SegmentSeed>(), spent: new Map<number, SegmentSeed>() };
  /** One is opened after the other: a catalogue and our own hashing may name the same. */
  #serving: Promise<void> = Promise.resolve();
  /** Being opened, or to be. */
  readonly #coming = new Set<{ readonly index: number; isWithdrawn: boolean }>();
  /** To be scrubbed. */
  readonly #unread: SegmentSeed[] = [];
  #hasUnread: () => void = () => {};

  constructor(options: SegmentSeedsOptions) {
    this.#options = options;
  }

  /**
   * Serves a torrent: its bytes were hashed a moment ago, or (`isRemembered`) by an earlier run or somebody else, when the
   * files were the same. One that is served already is only believed, unless it is another torrent after all.
   */
  serve(index: number, kind: SegmentKind, torrent: SegmentTorrent): Promise<void> {
    const coming = { index, isWithdrawn: false };
    this.#coming.add(coming);
    const turn = this.#serving.then(() => this.#serve(index, kind, torrent, coming));
    this.#serving = turn.catch(() => {}).finally(() => this.#coming.delete(coming));
    return turn;
  }

  async #serve(
    index: number,
    kind: SegmentKind,
    torrent: SegmentTorrent,
    coming: { readonly isWithdrawn: boolean },
  ): Promise<void> {
    if (coming.isWithdrawn) return;
    const served = this.#seeds[kind].get(index);
    const isHashed = !torrent.isRemembered;
    // We know better than a catalogue.
    if (served && torrent.isNamed) return;
    if (served && sameBytes(served.torrent.infoHashV1, torrent.infoHashV1)) {
      served.isOwn = true;
      if (isHashed) served.hashed();
      else this.scrubLater(index, kind);
      return;
    }
    const seed = await SegmentSeed.open({ ...this.#options, index, kind, torrent, isHashed });
    if (coming.isWithdrawn) return seed.close();
    served?.close();
    this.#seeds[kind].set(index, seed);
    // What a catalogue names is hashed in its turn, as what nobody names.
    if (!isHashed && !torrent.isNamed) this.scrubLater(index, kind);
  }

  /** Serves segments from this one on no more; returns how many torrents that were. */
  withdrawFrom(first: number): number {
    for (const coming of this.#coming) coming.isWithdrawn ||= coming.index >= first;
    const gone = this.#all.filter(({ index }) => index >= first);
    for (const seed of gone) {
      seed.close();
      this.#seeds[seed.kind].delete(seed.index);
    }
    return gone.length;
  }

  /** Those from the first segment on of which both files are served, and were hashed here: what a catalogue can name. */
  get whole(): MadeSegment[] {
    const whole: MadeSegment[] = [];
    for (let index = 0; ; index++) {
      const [blocks, spent] = [this.#seeds.blocks.get(index), this.#seeds.spent.get(index)];
      if (!blocks?.isOwn || !spent?.isOwn) return whole;
      whole.push({ index, blocks: blocks.torrent, spent: spent.torrent });
    }
  }

  /** Of each segment the blocks file, then the spent file. */
  get torrents(): HybridTorrent[] {
    const order = (seed: SegmentSeed) => 2 * seed.index + (seed.kind === 'spent' ? 1 : 0);
    return this.#all.sort((a, b) => order(a) - order(b)).map(({ torrent }) => torrent);
  }

  /** How many torrents are in each state. */
  get states(): Record<SeedState, number> {
    const states = { hashed: 0, assumed: 0, partial: 0 };
    for (const { state } of this.#all) states[state]++;
    return states;
  }

  /** Looks which files are there; what is only assumed by then is scrubbed again when files are in doubt. */
  async survey(isInDoubt = false): Promise<void> {
    for (const seed of this.#all) {
      if (seed.closed.aborted) continue;
      const hasMore = await seed.survey();
      if (hasMore || (isInDoubt && seed.store.assumedCount() > 0)) this.scrubLater(seed.index, seed.kind);
    }
  }

  /** What is only assumed of a torrent is hashed in the background, when it is its turn. */
  scrubLater(index: number, kind: SegmentKind): void {
    const seed = this.#seeds[kind].get(index);
    if (!seed || this.#unread.includes(seed)) return;
    this.#unread.push(seed);
    this.#hasUnread();
  }

  /** Hashes in the background what nobody has read in this run: a disk may forget without a word. */
  async scrub(signal: AbortSignal): Promise<void> {
    const { report, scrubPace } = this.#options;
    while (!signal.aborted) {
      const seed = this.#unread[0];
      if (!seed) {
        await new Promise<void>((resolve) => {
          this.#hasUnread = resolve;
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        continue;
      }
      const { torrent, store, closed } = seed;
      const either = AbortSignal.any([signal, closed]);
      try {
        for (let piece = 0; piece < torrent.pieceCount && store.assumedCount() > 0; piece++) {
          // Wrong ones are told as a fault.
          await store.scrub(piece, piece + 1, scrubPace, either);
        }
        seed.scrubbed();
      } catch (error) {
        if (!either.aborted) report.warn(`looking at ${torrent.name} again failed: ${error}`);
      }
      this.#unread.shift();
    }
  }

  get #all(): SegmentSeed[] {
    return [...this.#seeds.blocks.values(), ...this.#seeds.spent.values()];
  }
}
