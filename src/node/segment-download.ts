/**
 * One segment's blocks file on its way from the swarm to the engine: pieces land in a scratch file, each
 * block is judged against its header as they arrive, and whole proven frames may be fed in order.
 */
import { rm } from 'node:fs/promises';
import type { Metainfo } from '../metainfo/metainfo.js';
import {
  type BlocksJudge,
  type ExtentsHandle,
  type HeaderChain,
  type JudgeReport,
  type Network,
  type ResumeDb,
  Store,
} from '../native.js';
import type { Swarm } from '../swarm/swarm.js';
import { badTorrent, segmentJudge } from './chain-check.js';
import type { PeerNode } from './peer-node.js';
import { hasPiece, resumeKey, scrub } from './resume.js';
import { deleteScratch } from './scratch-file.js';
import { pieceWriteError } from './write-error.js';

export interface SegmentDownloadOptions {
  readonly network: Network;
  readonly chain: HeaderChain;
  readonly index: number;
  readonly torrent: Metainfo;
  readonly scratchPath: string;
  /** What is in the scratch file, for a run after this one. */
  readonly resumeDb: ResumeDb;
  readonly peerNode: PeerNode;
  readonly signal: AbortSignal;
  /** Told after each judged piece. */
  readonly changed: () => void;
}

export class SegmentDownload {
  readonly index: number;
  readonly torrent: Metainfo;
  readonly scratchPath: string;
  readonly store: Store;
  swarm: Swarm | null = null;
  #judge: BlocksJudge;
  #report: JudgeReport;
  #failure: unknown = null;
  /** The scratch file is not needed any more. */
  #isOver = false;
  #leads = false;
  /** Pieces of an earlier run that nobody has looked at in this one, unless there are none. */
  #trusted: Uint8Array | null = null;
  readonly #options: SegmentDownloadOptions;
  readonly #key: Uint8Array;

  private constructor(options: SegmentDownloadOptions) {
    const { index, torrent, scratchPath } = options;
    this.#options = options;
    this.index = index;
    this.torrent = torrent;
    this.scratchPath = scratchPath;
    this.store = Store.openScratch(torrent, scratchPath);
    this.#key = resumeKey(torrent, scratchPath);
    this.#judge = this.#newJudge();
    this.#report = this.#judge.report();
  }

  /** Opens the scratch file; pieces of an earlier run are kept, hashed only when they were not recorded. */
  static async open(options: SegmentDownloadOptions): Promise<SegmentDownload> {
    const download = new SegmentDownload(options);
    const { torrent, store } = download;
    const { signal } = options;
    const { trusted, toCheck } = await store.resume(options.resumeDb, download.#key, signal);
    for (const [first, end] of toCheck) await store.verify(first, end, signal);
    if (trusted.some((byte) => byte !== 0)) download.#trusted = trusted;
    await download.#judgeAll();
    download.swarm = options.peerNode.addContent(torrent, store, {
      order: 'rarest',
      events: {
        piece: (piece) => {
          if (download.swarm) options.peerNode.noteProvenPeers(download.swarm);
          void download.#judgePiece(piece);
        },
        complete: () => void download.save(true),
        ioError: (message) => download.#fail(pieceWriteError(torrent.name, message)),
        // What the engine has taken harms whoever asks for it, not this job.
        fault: ({ message }) => download.#isOver || download.#fail(pieceWriteError(torrent.name, message)),
      },
    });
    void download.#scrub();
    return download;
  }

  /** Contiguous bytes from the start whose whole frames are proven at `chain` level. */
  get provenBytes(): number {
    return this.#report.walkedBytes;
  }

  /** All blocks are proven. */
  get isWhole(): boolean {
    return this.provenBytes === this.torrent.lengthBytes;
  }

  /** Blocks proven at `chain` level, in any order. */
  get judgedBlocks(): number {
    return this.#report.judgedBlocks;
  }

  /** Bytes of whole verified pieces. */
  get hadBytes(): number {
    return Math.min(this.torrent.lengthBytes, this.store.servableCount() * this.torrent.pieceLengthBytes);
  }

  /** What ended this download, if anything did. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * The engine waits for this segment: of its pieces only so many are fetched at a time, rarest first, from the first
   * one that is missing. Others that were had before stay.
   */
  lead(pieces: number): void {
    // From then on the swarm moves the window by itself.
    if (!this.#leads) this.swarm?.setWindow({ first: 0, pieces });
    this.#leads = true;
  }

  /** The engine has the blocks: from now on the same pieces are served from its files. */
  async moveTo(extents: ExtentsHandle): Promise<void> {
    this.#isOver = true;
    this.store.moveTo(extents);
    await rm(this.scratchPath, { force: true });
    await this.#options.resumeDb.forget(this.#key);
  }

  /** Nobody needs the blocks any more. */
  async discard(): Promise<void> {
    this.#isOver = true;
    this.swarm?.close();
    await this.#options.resumeDb.forget(this.#key);
    await deleteScratch(this.scratchPath);
  }

  /** Records what is on disk, once it is; `open`: more pieces come. Never rejects: a full disk fails the job itself. */
  async save(open: boolean): Promise<void> {
    if (!this.#isOver) await this.store.save(this.#options.resumeDb, this.#key, open).catch(() => {});
  }

  #newJudge(): BlocksJudge {
    return segmentJudge(this.store, this.#options);
  }

  async #judgeAll(): Promise<void> {
    const had = this.store.servable();
    for (let piece = 0; piece < this.torrent.pieceCount; piece++) {
      if (hasPiece(had, piece)) await this.#judgePiece(piece);
    }
  }

  /** Looks at trusted pieces in the background. */
  async #scrub(): Promise<void> {
    if (!this.#trusted) return;
    try {
      const wrong = await scrub(this.store, this.torrent, this.#trusted, this.#options.signal);
      if (wrong.length > 0 && !this.#isOver) await this.#refetch();
      this.#trusted = null;
    } catch (error) {
      if (!this.#isOver) this.#fail(error);
    }
  }

  /** Fetches pieces again that turned out not to be on disk. */
  async #refetch(): Promise<void> {
    // Before they are written to: a record must not say that they are had.
    await this.save(true);
    this.swarm?.recheck();
  }

  /** Hashes what was only trusted, and judges anew. */
  async #recheck(): Promise<void> {
    this.#trusted = null;
    this.#judge = this.#newJudge();
    await this.store.verify(0, this.torrent.pieceCount, this.#options.signal);
    await this.#refetch();
    await this.#judgeAll();
  }

  async #judgePiece(piece: number): Promise<void> {
    try {
      const judge = this.#judge;
      await judge.pieceArrived(piece, this.#options.signal);
      // All that is had is judged anew.
      if (judge !== this.#judge) return;
      // Not what the call gave: several are under way, and an earlier one's report may come after a later one's.
      this.#report = judge.report();
      const { fault } = this.#report;
      if (fault && this.#trusted) {
        // Nobody has looked at these bytes: it may be the disk, not the torrent.
        await this.#recheck();
      } else if (fault) {
        this.#fail(badTorrent(this.torrent.name, fault));
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#options.changed();
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.swarm?.close();
    this.#options.changed();
  }
}
