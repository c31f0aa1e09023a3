/**
 * One segment's spent file on its way from the swarm, for its scripts to be judged. Nothing of it goes to the engine, which
 * makes its own: it lies in a scratch file for as long as it is needed.
 */
import type { Metainfo } from '../metainfo/metainfo.js';
import { Store } from '../native.js';
import type { Swarm } from '../swarm/swarm.js';
import { resumeKey } from './resume.js';
import { deleteScratch } from './scratch-file.js';
import type { SegmentDownloadOptions } from './segment-download.js';
import { pieceWriteError } from './write-error.js';

/** As of the blocks file; nothing says what a spent file must hold but its torrent. */
export type SpentDownloadOptions = Omit<SegmentDownloadOptions, 'network' | 'chain' | 'index'>;

export class SpentDownload {
  readonly torrent: Metainfo;
  readonly scratchPath: string;
  readonly #options: SpentDownloadOptions;
  readonly #store: Store;
  readonly #key: Uint8Array;
  #swarm: Swarm | null = null;
  #failure: Error | null = null;

  private constructor(options: SpentDownloadOptions) {
    const { torrent, scratchPath } = options;
    this.#options = options;
    this.torrent = torrent;
    this.scratchPath = scratchPath;
    this.#store = Store.openScratch(torrent, scratchPath);
    this.#key = resumeKey(torrent, scratchPath);
  }

  /** Opens the scratch file; pieces of an earlier run are hashed, and kept. */
  static async open(options: SpentDownloadOptions): Promise<SpentDownload> {
    const download = new SpentDownload(options);
    const { torrent, peerNode, resumeDb, signal, changed } = options;
    const store = download.#store;
    // They are few and small, and a wrong byte here would be blamed on whoever made the file.
    const { trusted, toCheck } = await store.resume(resumeDb, download.#key, signal);
    if (toCheck.length > 0 || trusted.some((byte) => byte !== 0)) {
      await store.verify(0, torrent.pieceCount, signal);
    }
    const fail = ({ message }: { readonly message: string }) => {
      download.#failure ??= pieceWriteError(torrent.name, message);
      changed();
    };
    download.#swarm = peerNode.addContent(torrent, store, {
      order: 'rarest',
      events: { piece: changed, ioError: (message) => fail({ message }), fault: fail },
    });
    return download;
  }

  /** Every piece is verified, and on disk. */
  get isWhole(): boolean {
    return this.#store.servableCount() === this.torrent.pieceCount;
  }

  /** Bytes of whole verified pieces. */
  get hadBytes(): number {
    const { lengthBytes, pieceLengthBytes } = this.torrent;
    return Math.min(lengthBytes, this.#store.servableCount() * pieceLengthBytes);
  }

  /** Connections. */
  get links(): number {
    return this.#swarm?.status().links ?? 0;
  }

  /** What ended it, if anything did. */
  get failure(): Error | null {
    return this.#failure;
  }

  /** Records what is on disk; `open`: more pieces come. Never rejects. */
  async save(open: boolean): Promise<void> {
    await this.#store.save(this.#options.resumeDb, this.#key, open).catch(() => {});
  }

  /** It is not needed any more. */
  async discard(): Promise<void> {
    this.#swarm?.close();
    await this.#options.resumeDb.forget(this.#key);
    await deleteScratch(this.scratchPath);
  }
}
