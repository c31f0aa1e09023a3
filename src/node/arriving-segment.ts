/** A segment on its way from the swarm to be judged: its blocks file, and its spent file where that is needed. */
import { join } from 'node:path';
import type { CatalogueRecord } from '../chain/catalogue.js';
import type { HeaderChain, Network, ResumeDb, SegmentPaths } from '../native.js';
import type { PeerNode } from './peer-node.js';
import { SegmentDownload } from './segment-download.js';
import { SpentDownload } from './spent-download.js';

export interface ArrivingSegmentOptions {
  readonly network: Network;
  readonly chain: HeaderChain;
  readonly record: CatalogueRecord;
  readonly withSpent: boolean;
  /** The folder of their scratch files. */
  readonly scratch: string;
  readonly resumeDb: ResumeDb;
  readonly peerNode: PeerNode;
  readonly signal: AbortSignal;
  /** Something came, or failed. */
  readonly changed: () => void;
  readonly now: () => number;
}

export class ArrivingSegment {
  readonly index: number;
  readonly lengthBytes: number;
  readonly #blocks: SegmentDownload;
  readonly #spent: SpentDownload | null;
  readonly #now: () => number;
  readonly #openedMs: number;
  #lastPieceMs: number | null = null;
  #heldBytes: number;

  private constructor(blocks: SegmentDownload, spent: SpentDownload | null, now: () => number) {
    this.#now = now;
    this.#openedMs = now();
    this.index = blocks.index;
    this.#blocks = blocks;
    this.#spent = spent;
    this.lengthBytes = blocks.torrent.lengthBytes + (spent?.torrent.lengthBytes ?? 0);
    this.#heldBytes = this.hadBytes;
  }

  /** Opens the scratch files; pieces of an earlier run are kept. */
  static async open(options: ArrivingSegmentOptions): Promise<ArrivingSegment> {
    const { network, chain, record, withSpent, scratch, resumeDb, peerNode, signal } = options;
    let segment: ArrivingSegment | null = null;
    const changed = () => {
      if (segment) segment.#noteNews();
      options.changed();
    };
    const shared = { network, chain, resumeDb, peerNode, signal, changed };
    const { index, blocks: torrent } = record;
    const scratchPath = (name: string) => join(scratch, name);
    const blocks = await SegmentDownload.open({
      ...shared,
      index,
      torrent,
      scratchPath: scratchPath(torrent.name),
    });
    const spent = withSpent
      ? await SpentDownload.open({
          ...shared,
          torrent: record.spent,
          scratchPath: scratchPath(record.spent.name),
        })
      : null;
    segment = new ArrivingSegment(blocks, spent, options.now);
    return segment;
  }

  /** Every block is proven at `chain` level, and all is on disk. */
  get isWhole(): boolean {
    return this.#blocks.isWhole && (this.#spent?.isWhole ?? true);
  }

  /** Bytes of whole verified pieces. */
  get hadBytes(): number {
    return this.#blocks.hadBytes + (this.#spent?.hadBytes ?? 0);
  }

  /** When the last piece came, if one did since it was opened. */
  get lastPieceMs(): number | null {
    return this.#lastPieceMs;
  }

  /** Since when nothing came. */
  get idleSinceMs(): number {
    return this.#lastPieceMs ?? this.#openedMs;
  }

  /** Connections of both torrents. */
  get links(): number {
    return (this.#blocks.swarm?.status().links ?? 0) + (this.#spent?.links ?? 0);
  }

  /** What ended one of the downloads, if anything did. */
  get failed(): { readonly error: unknown; readonly torrent: SegmentDownload['torrent'] } | null {
    for (const { failure: error, torrent } of [this.#blocks, ...(this.#spent ? [this.#spent] : [])])
      if (error) return { error, torrent };
    return null;
  }

  /** A torrent of which pieces are missing; otherwise the blocks file's. */
  get wanted(): SegmentDownload['torrent'] {
    const { torrent, hadBytes } = this.#blocks;
    return this.#spent && hadBytes === torrent.lengthBytes ? this.#spent.torrent : torrent;
  }

  get spentTorrent(): SegmentDownload['torrent'] | null {
    return this.#spent?.torrent ?? null;
  }

  get paths(): SegmentPaths {
    const { index: segment, scratchPath: blocks } = this.#blocks;
    return { segment, blocks, spent: this.#spent?.scratchPath ?? null };
  }

  /** Records what is on disk; `open`: more pieces come. Never rejects. */
  async save(open: boolean): Promise<void> {
    await this.#blocks.save(open);
    await this.#spent?.save(open);
  }

  /** It is not needed any more: nothing of it stays on disk. */
  async discard(): Promise<void> {
    await this.#blocks.discard();
    await this.#spent?.discard();
  }

  #noteNews(): void {
    if (this.hadBytes === this.#heldBytes) return;
    this.#heldBytes = this.hadBytes;
    this.#lastPieceMs = this.#now();
  }
}
