/** One torrent on its way from the swarm to its files. */
import { BlockswarmError } from '../errors.js';
import { wrapInfo } from '../metainfo/build.js';
import { filePieces, torrentShape } from '../metainfo/file-pieces.js';
import { lacksLayers, type Metainfo, parseInfo } from '../metainfo/metainfo.js';
import { inRanges, type SelectedPieces, selectPieces } from '../metainfo/selection.js';
import { webSeedPaths } from '../metainfo/web-seed-paths.js';
import type { ResumeDb, Store } from '../native.js';
import type { PickOrder } from '../swarm/picker.js';
import type { Swarm } from '../swarm/swarm.js';
import type { SwarmContent, SwarmEvents } from '../swarm/swarm-options.js';
import { formatBytes } from '../units.js';
import { globMatcher } from './content-tree.js';
import type { PeerNode } from './peer-node.js';
import type { Report, Transfer } from './report.js';
import { scrub } from './resume.js';
import {
  type ContentPlace,
  contentKey,
  finishFiles,
  missingFiles,
  openStore,
  placeBelow,
  resumeStore,
} from './torrent-content.js';
import type { TorrentSource } from './torrent-source.js';
import { pieceWriteError } from './write-error.js';

export interface TorrentDownloadOptions {
  readonly source: TorrentSource;
  /** The folder that the torrent's file or folder comes into. */
  readonly root: string;
  readonly resumeDb: ResumeDb;
  readonly peerNode: PeerNode;
  /** Globs of files to fetch (`globMatcher`); none: what the source selects, or all. */
  readonly select: readonly string[];
  /** Pieces in their order, as far as peers have them. */
  readonly isSequential: boolean;
  /** Whether recorded pieces are taken over without hashing them first. */
  readonly believe: boolean;
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Gives up after this long without a new piece. */
  readonly timeoutSeconds: number;
  /** Keeps a .torrent of what came from peers, for the next run; null: there is one already. */
  readonly keepMetainfo: ((metainfoBytes: Uint8Array) => Promise<void>) | null;
}

/** A torrent whose files are open. */
interface Opened {
  readonly metainfo: Metainfo;
  readonly place: ContentPlace;
  readonly store: Store;
  readonly key: Uint8Array;
  readonly wanted: Wanted;
}

/** What of a torrent is fetched. */
interface Wanted {
  readonly pieces: readonly SelectedPieces[];
  readonly pieceCount: number;
  /** Of the files that are wanted. */
  readonly lengthBytes: number;
  /** Numbers of the files that are wanted. */
  readonly files: ReadonlySet<number>;
  /** Numbers of the files that have no wanted piece. */
  readonly absent: readonly number[];
}

/** What `complete` gives. */
export interface Downloaded {
  readonly metainfo: Metainfo;
  /** Of the files that were wanted. */
  readonly selectedBytes: number;
  readonly store: Store;
}

/** Between two records of what is on disk: so much is at most hashed again after a kill. */
const saveMs = 30_000;
const progressMs = 200;

export class TorrentDownload {
  readonly #options: TorrentDownloadOptions;
  readonly #stop = new AbortController();
  /** Fires with the job's signal, or when this is closed. */
  readonly #signal: AbortSignal;
  #opened: Opened | null = null;
  #swarm: Swarm | null = null;
  #failure: unknown = null;
  #isComplete = false;
  /** What is kept for the next run has all the hashes that there are. */
  #hasKeptLayers = false;
  #background: Promise<void>[] = [];
  /** Ends the rest before the next look at how it goes. */
  #wake: (() => void) | null = null;
  #lastProgressMs = performance.now();
  #lastSaveMs = performance.now();

  constructor(options: TorrentDownloadOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    this.#signal.addEventListener('abort', () => this.#wake?.());
  }

  /**
   * Fetches all that is wanted; resolves when it is checked and on the medium.
   * @throws BlockswarmError ERR_NO_PEERS, ERR_TIMEOUT, ERR_METAINFO, ERR_TORRENT_BAD, ERR_DISK_FULL, ERR_IO
   */
  async complete(): Promise<Downloaded> {
    await this.#begin();
    for (;;) {
      if (this.#failure) throw this.#failure;
      const downloaded = this.#isComplete ? await this.#finish() : null;
      if (downloaded) return downloaded;
      this.#checkPatience();
      this.#showProgress();
      if (performance.now() - this.#lastSaveMs >= saveMs) await this.#save(true);
      await this.#rest();
    }
  }

  /** Stops fetching; what is on disk is recorded. Never rejects. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#swarm?.close();
    await Promise.all(this.#background);
    await this.#save(false);
  }

  /** Shows what goes on after the end. */
  showSeeding(): void {
    const transfer = this.#transfer();
    if (!transfer) return;
    const { uploadedBytes } = transfer;
    this.#options.report.progress({
      stage: 'seeding',
      done: uploadedBytes,
      total: 0,
      unit: 'bytes',
      transfer,
    });
  }

  /** Until it is time to show how it goes; shorter when all is had, or something failed. */
  async #rest(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, progressMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
    this.#signal.throwIfAborted();
  }

  async #begin(): Promise<void> {
    const { source, peerNode } = this.#options;
    const { metainfo } = source;
    const webSeeds = source.webSeeds.map((url) => ({ url }));
    const order: PickOrder = this.#options.isSequential ? 'sequential' : 'rarest';
    const events: SwarmEvents = {
      metadata: (infoBytes) => void this.#onMetadata(infoBytes).catch((error: unknown) => this.#fail(error)),
      piece: () => {
        this.#lastProgressMs = performance.now();
        if (this.#swarm) peerNode.noteProvenPeers(this.#swarm);
      },
      complete: () => {
        this.#isComplete = true;
        this.#wake?.();
      },
      ioError: (message) => this.#fail(pieceWriteError(this.#name, message)),
      fault: ({ message }) => this.#fail(pieceWriteError(this.#name, message)),
    };
    if (metainfo) {
      const { store, wanted } = await this.#open(metainfo);
      const more = { wanted: wanted.pieces, webSeeds, order, events };
      this.#swarm = peerNode.addContent({ ...metainfo, trackerTiers: source.trackerTiers }, store, more);
      this.#isComplete = this.#swarm.state === 'seeding';
    } else {
      const { infoHashV1, infoHashV2 } = source;
      this.#swarm = peerNode.add({ infoHashV1, infoHashV2, webSeeds, order, events }, source.trackerTiers);
    }
    this.#lastProgressMs = performance.now();
  }

  get #name(): string {
    return this.#opened?.metainfo.name ?? this.#options.source.name ?? 'the torrent';
  }

  async #onMetadata(infoBytes: Uint8Array): Promise<void> {
    const metainfo = parseInfo(infoBytes);
    await this.#keepMetainfo(metainfo, null);
    const { name, lengthBytes, pieceCount } = metainfo;
    const text = `${name}: ${formatBytes(lengthBytes)} in ${pieceCount} pieces`;
    this.#options.report.event({ event: 'metadata', name, lengthBytes, pieceCount }, text);
    const { store, wanted } = await this.#open(metainfo);
    const paths = () => webSeedPaths(metainfo);
    const content: SwarmContent = { store, ...torrentShape(metainfo), webSeedPaths: paths };
    this.#lastProgressMs = performance.now();
    this.#swarm?.attach(content, { private: metainfo.private, wanted: wanted.pieces });
  }

  async #open(metainfo: Metainfo): Promise<Opened> {
    const { root, resumeDb, believe, report } = this.#options;
    const place = placeBelow(root, metainfo);
    const wanted = this.#wanted(metainfo);
    const absent = await missingFiles(place, wanted.absent);
    const store = await openStore(metainfo, place, { absent });
    const key = await contentKey(metainfo, place);
    const check = {
      signal: this.#signal,
      progress: (done: number, total: number) =>
        report.progress({ stage: 'checking', done, total, unit: 'bytes' }),
    };
    const trusted = await resumeStore(store, metainfo, { resumeDb, key, believe, absent }, check);
    this.#opened = { metainfo, place, store, key, wanted };
    if (trusted.some((byte) => byte !== 0)) this.#background.push(this.#scrub(this.#opened, trusted));
    return this.#opened;
  }

  /** @throws BlockswarmError ERR_USAGE when nothing is selected */
  #wanted(metainfo: Metainfo): Wanted {
    const { select, source } = this.#options;
    const matches = globMatcher(select);
    const inLink = source.selectedFiles ? inRanges(source.selectedFiles) : () => true;
    const isSelected = (file: number, path: string) => (select.length > 0 ? matches(path) : inLink(file));
    const pieces = selectPieces(metainfo, isSelected);
    const files = new Set<number>();
    for (const [n, file] of metainfo.files.entries()) {
      if (!file.padding && isSelected(n, file.path.join('/'))) files.add(n);
    }
    if (files.size === 0) {
      throw new BlockswarmError('ERR_USAGE', `nothing is selected of the files of ${metainfo.name}`);
    }
    const isWanted = ({ first, end }: { first: number; end: number }) =>
      pieces.some((range) => range.first < end && first < range.end);
    return {
      pieces,
      pieceCount: pieces.reduce((sum, { first, end }) => sum + end - first, 0),
      lengthBytes: metainfo.files.reduce((sum, file, n) => sum + (files.has(n) ? file.lengthBytes : 0), 0),
      files,
      absent: filePieces(metainfo).flatMap((range, n) => (isWanted(range) || files.has(n) ? [] : [n])),
    };
  }

  /** Looks in the background at what was taken over from an earlier run: a disk may forget without a word. */
  async #scrub({ metainfo, store }: Opened, trusted: Uint8Array): Promise<void> {
    try {
      const { pieceCount, pieceLengthBytes } = metainfo;
      const wrong = await scrub(store, { pieceCount, pieceLengthBytes }, trusted, this.#signal);
      if (wrong.length === 0) return;
      // Before they are written to: a record must not say that they are had.
      await this.#save(true);
      this.#isComplete = false;
      this.#swarm?.recheck();
    } catch (error) {
      if (!this.#signal.aborted) this.#fail(error);
    }
  }

  /** Null when files failed meanwhile: the fault that says how is on its way. */
  async #finish(): Promise<Downloaded | null> {
    const { report, resumeDb } = this.#options;
    const opened = this.#opened;
    if (!opened) throw new BlockswarmError('ERR_NATIVE', 'a torrent without metadata is complete');
    const { metainfo, place, store, key, wanted } = opened;
    // Pieces may still wait in memory, and the disk be full.
    await store.flush().catch((error: Error) => {
      throw pieceWriteError(this.#name, error.message);
    });
    if (store.isFaulty()) return null;
    await this.#keepLayers(opened);
    // Written and synced, and only then recorded.
    await store.save(resumeDb, key, false);
    if (this.#failure || store.isFaulty()) return null;
    for (const failure of await finishFiles(metainfo, place, wanted.files)) report.warn(failure);
    return { metainfo, selectedBytes: wanted.lengthBytes, store };
  }

  /** `open`: more pieces come in. */
  async #save(open: boolean): Promise<void> {
    this.#lastSaveMs = performance.now();
    const { resumeDb } = this.#options;
    // A full disk fails the job itself.
    if (!this.#opened) return;
    await this.#keepLayers(this.#opened);
    await this.#opened.store.save(resumeDb, this.#opened.key, open).catch(() => {});
  }

  /** Piece layers that came from peers spare the next run to ask for them. */
  async #keepLayers({ metainfo, store }: Opened): Promise<void> {
    if (this.#hasKeptLayers || metainfo.infoHashV2 === null || !lacksLayers(metainfo)) return;
    const layers = store.pieceLayers();
    if (layers === null) return;
    this.#hasKeptLayers = true;
    await this.#keepMetainfo(metainfo, layers).catch((error: Error) => {
      this.#options.report.warn(`the piece layers are not kept for the next run: ${error.message}`);
    });
  }

  async #keepMetainfo(metainfo: Metainfo, layers: Uint8Array | null): Promise<void> {
    const bytes = wrapInfo(metainfo, layers);
    if (bytes) await this.#options.keepMetainfo?.(bytes);
  }

  #checkPatience(): void {
    const { timeoutSeconds } = this.#options;
    if (performance.now() - this.#lastProgressMs < timeoutSeconds * 1000) return;
    const status = this.#swarm?.status();
    const failed = status?.webSeeds.filter(({ reason }) => reason !== null) ?? [];
    const seeds = failed.map(({ url, reason }) => ` Web seed ${url}: ${reason}.`).join('');
    if (!this.#opened || !status?.downloadedBytes) {
      const what = this.#opened ? 'a piece' : 'a peer with the torrent';
      const advice = `Name ${this.#options.peerNode.whomToName}.`;
      const message = `waited ${timeoutSeconds} s for ${what}. ${advice}${seeds}${this.#trackerFailures()}`;
      throw new BlockswarmError('ERR_NO_PEERS', message);
    }
    const left = `${status.wantedLeft} of ${status.pieceCount} pieces are missing`;
    throw new BlockswarmError('ERR_TIMEOUT', `no new piece for ${timeoutSeconds} s; ${left}.${seeds}`);
  }

  /** Why trackers are of no use. */
  #trackerFailures(): string {
    const trackers = this.#swarm ? this.#options.peerNode.trackerStatus(this.#swarm) : [];
    const failing = trackers.filter(({ failure }) => failure !== null);
    return failing.map(({ url, failure }) => ` Tracker ${url}: ${failure}.`).join('');
  }

  #showProgress(): void {
    const transfer = this.#transfer();
    const opened = this.#opened;
    if (!transfer) return;
    if (!opened || transfer.pieceCount === 0) {
      const stage = 'asking for metadata';
      this.#options.report.progress({ stage, done: 0, total: 0, unit: 'bytes', transfer });
      return;
    }
    const { lengthBytes: total, pieceCount } = opened.wanted;
    const left = this.#swarm?.status().wantedLeft ?? 0;
    const done = pieceCount === 0 ? total : Math.floor((total * (pieceCount - left)) / pieceCount);
    this.#options.report.progress({ stage: 'fetching', done, total, unit: 'bytes', transfer });
  }

  #transfer(): Transfer | null {
    const swarm = this.#swarm;
    if (!swarm) return null;
    const status = swarm.status();
    const trackers = this.#options.peerNode.trackerStatus(swarm);
    const open = [...swarm.peers.values()].filter((peer) => peer.isOpen && !peer.isClosing);
    return {
      title: this.#name,
      downloadBytesPerSecond: status.downloadRate,
      uploadBytesPerSecond: status.uploadRate,
      uploadedBytes: status.uploadedBytes,
      peers: open.length,
      seeds: open.filter(({ have }) => have.complete(status.pieceCount)).length,
      knownPeers: status.knownPeers,
      trackers: {
        working: trackers.filter(({ state }) => state === 'working').length,
        asked: trackers.length,
      },
      hadPieces: status.hadPieces,
      pieceCount: status.pieceCount,
      torrents: 1,
      openTorrents: 1,
    };
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}
