/**
 * Follows the chain that a node's block files hold: one loop looks at them, and tells what is sealed, what is no longer,
 * and where the chain ends. It looks when it is told to, and from time to time whatever it is told: file systems of
 * other machines say nothing.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { sealedSegments, segmentHeights } from '../chain/segment.js';
import { sameBytes } from '../units.js';
import { Waker } from './waker.js';

export interface ChainTip {
  readonly height: number;
  /** 32 bytes, internal order. */
  readonly hash: Uint8Array;
  /** Work of the chain, 32 bytes, big-endian. */
  readonly work: Uint8Array;
}

/** A chain in files, as it was at the last scan; `Datadir` is one. */
export interface FollowedChain {
  tip(): ChainTip | null;
  /** 32 bytes, internal order; null above the tip. */
  hashAt(height: number): Uint8Array | null;
  /**
   * Reads what was written since; what was there before stays when it fails. `forkHeight` is that of the last block that
   * the chain before has, too; absent for none. `replaced`: files that do not hold what they did.
   */
  rescan(signal: AbortSignal): Promise<{ readonly forkHeight?: number; readonly replaced?: number }>;
}

/** What an earlier run knew. */
export interface KnownChain {
  readonly tip: ChainTip;
  /** Of the last block of each sealed segment. */
  readonly sealedHashes: readonly Uint8Array[];
}

/** The chain is another one above some height. */
export interface ChainChange {
  /** `reorganised`: another chain has at least as much work. `lost`: the files hold less than before. */
  readonly kind: 'reorganised' | 'lost';
  /** Height of the last block that both have; -1 for none. */
  readonly forkHeight: number;
  /** False, when an earlier run knew the other chain: they part there or above, within the next segment. */
  readonly isExact: boolean;
  readonly before: ChainTip;
  readonly tip: ChainTip | null;
  /** Segments from this one on are not sealed any more; null when nothing sealed has changed. */
  readonly firstSegment: number | null;
}

export interface ChainFollowerEvents {
  /** A segment is sealed; in order. */
  sealed(index: number): void;
  /** Before what is sealed anew. */
  changed(change: ChainChange): void;
  /** Files are others than they were, or were cut or written over: what is served of them is to be looked at. */
  filesChanged(): void;
  /** Behind all else that one look found. */
  tip(tip: ChainTip | null): void;
  /** The files cannot be looked at: told once, until they can again. */
  failed(error: Error): void;
  recovered(): void;
}

export interface ChainFollowerOptions {
  readonly chain: FollowedChain;
  /** Blocks of a segment. */
  readonly interval: number;
  readonly known: KnownChain | null;
  /** No segment from this one on is sealed for now. */
  readonly sealingEnd: () => number;
  readonly events: ChainFollowerEvents;
  /** Milliseconds that never go back. */
  readonly clock: () => number;
}

/** Between two looks that nobody asked for. */
const LOOK_MS = 1000;
/** After a look it rests ten times as long: a large folder on a slow disk is looked at less often, */
const REST_PER_LOOK = 10;
/** and one that is written to all the time no more than so often. */
const MIN_REST_MS = 250;
const MAX_REST_MS = 10_000;

export class ChainFollower {
  readonly #options: ChainFollowerOptions;
  readonly #sealed: Uint8Array[];
  #tip: ChainTip | null;
  #hasFailed = false;
  readonly #waker = new Waker();

  constructor(options: ChainFollowerOptions) {
    this.#options = options;
    this.#sealed = [...(options.known?.sealedHashes ?? [])];
    this.#tip = options.known?.tip ?? null;
  }

  get tip(): ChainTip | null {
    return this.#tip;
  }

  /** Of the last block of each sealed segment. */
  get sealedHashes(): readonly Uint8Array[] {
    return this.#sealed;
  }

  /** Somebody says that there is something new; any number of times. */
  lookNow(): void {
    this.#waker.wake();
  }

  /** Tells what the first scan found, all that is sealed included, and how it differs from what an earlier run knew. */
  begin(): void {
    const { events } = this.#options;
    this.#compare(null);
    for (let index = 0; index < this.#sealed.length; index++) events.sealed(index);
    this.#seal();
    events.tip(this.#tip);
  }

  /** Looks until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const startedMs = clock();
      await this.look(signal);
      const tookMs = Math.max(0, clock() - startedMs);
      const restMs = Math.min(MAX_REST_MS, Math.max(MIN_REST_MS, tookMs * REST_PER_LOOK));
      await delay(restMs, undefined, { signal }).catch(() => {});
      await this.#waker.rest(LOOK_MS - restMs, signal);
    }
  }

  /** Looks once. Never rejects. */
  async look(signal: AbortSignal): Promise<void> {
    const { chain, events } = this.#options;
    let [forkHeight, replaced] = [-1, 0];
    try {
      ({ forkHeight = -1, replaced = 0 } = await chain.rescan(signal));
    } catch (error) {
      if (!signal.aborted && !this.#hasFailed) {
        this.#hasFailed = true;
        events.failed(error as Error);
      }
      return;
    }
    if (this.#hasFailed) {
      this.#hasFailed = false;
      events.recovered();
    }
    const before = this.#tip;
    this.#compare(forkHeight);
    this.#seal();
    if (replaced > 0) events.filesChanged();
    if (!sameTip(before, this.#tip)) events.tip(this.#tip);
  }

  /** Takes over the chain's end, and unseals what left it; `forkHeight` is null when only the files can tell. */
  #compare(forkHeight: number | null): void {
    const { chain, interval, events } = this.#options;
    const [before, tip] = [this.#tip, chain.tip()];
    this.#tip = tip;
    if (before === null || sameTip(before, tip)) return;
    if (forkHeight === null ? sameAt(chain, before.height, before.hash) : forkHeight >= before.height) return;
    const isKept = (index: number) => {
      const { endHeight } = segmentHeights(index, interval);
      return sameAt(chain, endHeight - 1, this.#sealed[index] ?? null);
    };
    const kept = countWhile(0, this.#sealed.length, isKept);
    const firstSegment = kept < this.#sealed.length ? kept : null;
    this.#sealed.length = kept;
    const isMore = tip !== null && Buffer.compare(tip.work, before.work) >= 0;
    events.changed({
      kind: isMore ? 'reorganised' : 'lost',
      forkHeight: forkHeight ?? kept * interval - 1,
      isExact: forkHeight !== null,
      before,
      tip,
      firstSegment,
    });
  }

  #seal(): void {
    const { chain, interval, events, sealingEnd } = this.#options;
    const deep = sealedSegments(this.#tip?.height ?? -1, interval);
    if (deep <= this.#sealed.length) return;
    const end = Math.min(deep, sealingEnd());
    while (this.#sealed.length < end) {
      const index = this.#sealed.length;
      const hash = chain.hashAt(segmentHeights(index, interval).endHeight - 1);
      if (!hash) return;
      this.#sealed.push(hash);
      events.sealed(index);
    }
  }
}

function sameTip(a: ChainTip | null, b: ChainTip | null): boolean {
  return a === null || b === null ? a === b : sameBytes(a.hash, b.hash);
}

function sameAt(chain: FollowedChain, height: number, hash: Uint8Array | null): boolean {
  const now = chain.hashAt(height);
  return now !== null && hash !== null && sameBytes(now, hash);
}

/** The end of the run of numbers from `first` on that hold, in a range where all do before the first that does not. */
function countWhile(first: number, end: number, holds: (number: number) => boolean): number {
  let [low, high] = [first, end];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
