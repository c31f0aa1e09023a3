/**
 * The segments that are fetched to be judged: a window of those that have no verdict, which holds as many as fit into the
 * scratch folder, and at least one. Which of them is whole first is up to the swarm.
 */
import type { CatalogueReader, CatalogueRecord } from '../chain/catalogue.js';
import type { Network, ResumeDb } from '../native.js';
import { ArrivingSegment } from './arriving-segment.js';
import type { PeerNode } from './peer-node.js';

export interface ArrivingWindowOptions {
  readonly network: Network;
  /** Of the catalogue. */
  readonly reader: Pick<CatalogueReader, 'chain' | 'records'>;
  readonly peerNode: PeerNode;
  readonly resumeDb: ResumeDb;
  /** Of the scratch files. */
  readonly folder: string;
  readonly withSpent: boolean;
  readonly scratchBytes: number;
  /** The numbers of the segments that have no verdict, in the order in which they are begun. */
  readonly wanted: readonly number[];
  /** Something came, or failed. */
  readonly changed: () => void;
  /** A segment could not be begun. */
  readonly failed: (error: unknown) => void;
  readonly signal: AbortSignal;
  /** Milliseconds of a clock that never goes back. */
  readonly now?: () => number;
}

/** No further segment is begun before peers would have less than this to send. */
const wantedAheadBytes = 256 * 2 ** 20;
/** After so long without a piece a segment keeps nobody from beginning others. */
const stalledMs = 30_000;
/** After so long without any, one that has nothing makes room for others, and is begun again behind them. */
const setAsideMs = 120_000;

export class ArrivingWindow {
  readonly #options: ArrivingWindowOptions;
  readonly #open = new Map<number, ArrivingSegment>();
  readonly #now: () => number;
  #wanted: readonly number[];
  #opening: Promise<void> | null = null;

  constructor(options: ArrivingWindowOptions) {
    this.#options = options;
    this.#wanted = options.wanted;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The numbers of the segments that have no verdict. */
  get wanted(): readonly number[] {
    return this.#wanted;
  }

  /** Those that are being fetched. */
  get open(): readonly ArrivingSegment[] {
    return [...this.#open.values()];
  }

  /** Whether one is about to be among them. */
  get isOpening(): boolean {
    return this.#opening !== null;
  }

  segment(index: number): ArrivingSegment | undefined {
    return this.#open.get(index);
  }

  /** Bytes that are fetched of a segment. */
  lengthBytes({ blocks, spent }: CatalogueRecord): number {
    return blocks.lengthBytes + (this.#options.withSpent ? spent.lengthBytes : 0);
  }

  /** Begins the next segments, as scratch and peers have room. Never throws. */
  fill(): void {
    this.#opening ??= this.#openEach()
      .catch(this.#options.failed)
      .finally(() => {
        this.#opening = null;
      });
  }

  /** Lets go of segments: nothing of them stays. */
  async drop(isDone: (index: number) => boolean): Promise<void> {
    this.#wanted = this.#wanted.filter((index) => !isDone(index));
    for (const segment of this.open) {
      if (!isDone(segment.index)) continue;
      this.#open.delete(segment.index);
      await segment.discard();
    }
  }

  /** Records what is on disk; `open`: more pieces come. Never rejects. */
  async save(open: boolean): Promise<void> {
    for (const segment of this.open) await segment.save(open);
  }

  /** Resolves when no segment is about to be begun; the signal must have fired. */
  async settled(): Promise<void> {
    await this.#opening;
  }

  async #openEach(): Promise<void> {
    const { network, reader, peerNode, resumeDb, folder, withSpent, signal, changed } = this.#options;
    const { records, chain } = reader;
    for (;;) {
      signal.throwIfAborted();
      const record = await this.#next(records);
      if (!record) return;
      const segment = await ArrivingSegment.open({
        ...{ network, chain, record, withSpent, scratch: folder, resumeDb, peerNode, signal },
        now: this.#now,
        changed: () => {
          changed();
          this.fill();
        },
      });
      // A block below it may have failed meanwhile.
      if (this.#wanted.includes(record.index)) this.#open.set(record.index, segment);
      else await segment.discard();
      // An earlier run may have had all of it.
      changed();
    }
  }

  /** The segment to begin now; none while the window is full, or while those in it have enough to ask for. */
  async #next(records: readonly CatalogueRecord[]): Promise<CatalogueRecord | undefined> {
    const index = this.#wanted.find((each) => !this.#open.has(each));
    const record = index === undefined ? undefined : records[index];
    if (!record || this.#open.size === 0) return record;
    const { open } = this;
    const idle = (ms: number) => open.filter(({ idleSinceMs }) => this.#now() - idleSinceMs > ms);
    const stalled = new Set(idle(stalledMs));
    const busy = open.filter((each) => !stalled.has(each));
    const missingBytes = busy.reduce((sum, { lengthBytes, hadBytes }) => sum + lengthBytes - hadBytes, 0);
    if (missingBytes >= wantedAheadBytes) return undefined;
    const usedBytes = open.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    if (usedBytes + this.lengthBytes(record) <= this.#options.scratchBytes) return record;
    const useless = idle(setAsideMs).find(({ hadBytes }) => hadBytes === 0);
    if (!useless) return undefined;
    this.#open.delete(useless.index);
    this.#wanted = [...this.#wanted.filter((each) => each !== useless.index), useless.index];
    await useless.discard();
    return record;
  }
}
