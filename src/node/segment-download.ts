/**
 * One segment's blocks file on its way from the swarm to the engine: pieces land in a scratch file, each
 * block is judged against its header as they arrive, and whole proven frames may be fed in order.
 */
import { rm } from 'node:fs/promises';
import { segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import {
  BlocksJudge,
  type ExtentsHandle,
  type HeaderChain,
  type JudgeReport,
  type Network,
  Store,
} from '../native.js';
import type { PickOrder } from '../swarm/picker.js';
import type { Swarm } from '../swarm/swarm.js';
import type { PeerNode } from './peer-node.js';
import { pieceWriteError } from './write-error.js';

export interface SegmentDownloadOptions {
  readonly network: Network;
  readonly chain: HeaderChain;
  readonly index: number;
  readonly torrent: Metainfo;
  readonly scratchPath: string;
  readonly peerNode: PeerNode;
  readonly order: PickOrder;
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
  #moved = false;
  readonly #options: SegmentDownloadOptions;

  private constructor(options: SegmentDownloadOptions) {
    const { network, chain, index, torrent, scratchPath } = options;
    this.#options = options;
    this.index = index;
    this.torrent = torrent;
    this.scratchPath = scratchPath;
    this.store = Store.openScratch(torrent, scratchPath);
    const { firstHeight, endHeight } = segmentHeights(index, network.interval);
    this.#judge = new BlocksJudge(this.store, chain, network.name, firstHeight, endHeight);
    this.#report = this.#judge.report();
  }

  /** Opens the scratch file; pieces that an earlier run left there are hashed and kept. */
  static async open(options: SegmentDownloadOptions): Promise<SegmentDownload> {
    const download = new SegmentDownload(options);
    const { torrent, store } = download;
    await store.verify(0, torrent.pieceCount, options.signal);
    for (let piece = 0; piece < torrent.pieceCount; piece++) {
      if (download.#has(piece)) await download.#judgePiece(piece);
    }
    download.swarm = options.peerNode.addContent(torrent, store, {
      order: options.order,
      events: {
        piece: (piece) => {
          if (download.swarm) options.peerNode.noteProvenPeers(download.swarm);
          void download.#judgePiece(piece);
        },
        ioError: (message) => download.#fail(pieceWriteError(torrent.name, message)),
        // What the engine has taken harms whoever asks for it, not this job.
        fault: ({ message }) => download.#moved || download.#fail(pieceWriteError(torrent.name, message)),
      },
    });
    return download;
  }

  /** Contiguous bytes from the start whose whole frames are proven at `chain` level. */
  get provenBytes(): number {
    return this.#report.walkedBytes;
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

  /** The engine has the blocks: from now on the same pieces are served from its files. */
  async moveTo(extents: ExtentsHandle): Promise<void> {
    this.#moved = true;
    this.store.moveTo(extents);
    await rm(this.scratchPath, { force: true });
  }

  #has(piece: number): boolean {
    // One bit a piece, high bit first.
    return ((this.store.servable()[piece >> 3] ?? 0) & (0x80 >> (piece & 7))) !== 0;
  }

  async #judgePiece(piece: number): Promise<void> {
    try {
      await this.#judge.pieceArrived(piece, this.#options.signal);
      // Not what the call gave: several are under way, and an earlier one's report may come after a later one's.
      this.#report = this.#judge.report();
      const { fault } = this.#report;
      if (fault) {
        // The pieces agree with the torrent, so no peer lied: the torrent is not what the headers commit to.
        this.#fail(
          new BlockswarmError(
            'ERR_TORRENT_BAD',
            `${this.torrent.name}: the block at height ${fault.height} (offset ${fault.offsetBytes}) is not the chain's: ` +
              `${fault.reason}. The catalogue that named this torrent is bad; the chain is not. Use another catalogue.`,
          ),
        );
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
