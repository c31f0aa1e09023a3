/** One torrent on its way from the swarm to its files. */
import { setTimeout as delay } from 'node:timers/promises';
import { BlockswarmError } from '../errors.js';
import { torrentShape } from '../metainfo/file-pieces.js';
import { type Metainfo, parseInfo } from '../metainfo/metainfo.js';
import { webSeedPaths } from '../metainfo/web-seed-paths.js';
import type { ResumeDb, Store } from '../native.js';
import type { Swarm } from '../swarm/swarm.js';
import type { SwarmContent, SwarmEvents } from '../swarm/swarm-options.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { scrub } from './resume.js';
import {
  type ContentPlace,
  contentKey,
  finishFiles,
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
  /** Whether recorded pieces are taken over without hashing them first. */
  readonly believe: boolean;
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Gives up after this long without a new piece. */
  readonly timeoutSeconds: number;
  /** Keeps an info dictionary that came from peers, for the next run. */
  readonly keepInfo: (metainfo: Metainfo) => Promise<void>;
}

/** A torrent whose files are open. */
interface Opened {
  readonly metainfo: Metainfo;
  readonly place: ContentPlace;
  readonly store: Store;
  readonly key: Uint8Array;
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
  #background: Promise<void>[] = [];
  #lastProgressMs = performance.now();
  #lastSaveMs = performance.now();

  constructor(options: TorrentDownloadOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
  }

  /**
   * Fetches all that is wanted; resolves when it is checked and on the medium.
   * @throws BlockswarmError ERR_NO_PEERS, ERR_TIMEOUT, ERR_METAINFO, ERR_TORRENT_BAD, ERR_DISK_FULL, ERR_IO
   */
  async complete(): Promise<Metainfo> {
    await this.#begin();
    while (!this.#isComplete) {
      if (this.#failure) throw this.#failure;
      this.#checkPatience();
      this.#showProgress();
      if (performance.now() - this.#lastSaveMs >= saveMs) await this.#save();
      await delay(progressMs, undefined, { signal: this.#signal });
    }
    return this.#finish();
  }

  /** Stops fetching; what is on disk is recorded. Never rejects. */
  async close(): Promise<void> {
    this.#stop.abort();
    this.#swarm?.close();
    await Promise.all(this.#background);
    await this.#save();
  }

  async #begin(): Promise<void> {
    const { source, peerNode } = this.#options;
    const { metainfo } = source;
    const events: SwarmEvents = {
      metadata: (infoBytes) => void this.#onMetadata(infoBytes).catch((error: unknown) => this.#fail(error)),
      piece: () => {
        this.#lastProgressMs = performance.now();
        if (this.#swarm) peerNode.noteProvenPeers(this.#swarm);
      },
      complete: () => {
        this.#isComplete = true;
      },
      ioError: (message) => this.#fail(pieceWriteError(this.#name, message)),
      fault: ({ message }) => this.#fail(pieceWriteError(this.#name, message)),
    };
    if (metainfo) {
      const { store } = await this.#open(metainfo);
      this.#swarm = peerNode.addContent(metainfo, store, { events });
      this.#isComplete = this.#swarm.state === 'seeding';
    } else {
      const { infoHashV1, infoHashV2 } = source;
      const webSeeds = source.webSeeds.map((url) => ({ url }));
      this.#swarm = peerNode.add({ infoHashV1, infoHashV2, webSeeds, events });
    }
    this.#lastProgressMs = performance.now();
  }

  get #name(): string {
    return this.#opened?.metainfo.name ?? this.#options.source.name ?? 'the torrent';
  }

  async #onMetadata(infoBytes: Uint8Array): Promise<void> {
    const metainfo = parseInfo(infoBytes);
    await this.#options.keepInfo(metainfo);
    const { store } = await this.#open(metainfo);
    const paths = () => webSeedPaths(metainfo);
    const content: SwarmContent = { store, ...torrentShape(metainfo), webSeedPaths: paths };
    this.#lastProgressMs = performance.now();
    this.#swarm?.attach(content);
  }

  async #open(metainfo: Metainfo): Promise<Opened> {
    const { root, resumeDb, believe, report } = this.#options;
    const place = placeBelow(root, metainfo);
    const store = await openStore(metainfo, place, {});
    const key = await contentKey(metainfo, place);
    const check = {
      signal: this.#signal,
      progress: (done: number, total: number) =>
        report.progress({ stage: 'checking', done, total, unit: 'bytes' }),
    };
    const trusted = await resumeStore(store, metainfo, { resumeDb, key, believe }, check);
    this.#opened = { metainfo, place, store, key };
    if (trusted.some((byte) => byte !== 0)) this.#background.push(this.#scrub(this.#opened, trusted));
    return this.#opened;
  }

  /** Looks in the background at what was taken over from an earlier run: a disk may forget without a word. */
  async #scrub({ metainfo, store }: Opened, trusted: Uint8Array): Promise<void> {
    try {
      const { pieceCount, pieceLengthBytes } = metainfo;
      const wrong = await scrub(store, { pieceCount, pieceLengthBytes }, trusted, this.#signal);
      if (wrong.length === 0) return;
      // Before they are written to: a record must not say that they are had.
      await this.#save();
      this.#isComplete = false;
      this.#swarm?.recheck();
    } catch (error) {
      if (!this.#signal.aborted) this.#fail(error);
    }
  }

  async #finish(): Promise<Metainfo> {
    const { report } = this.#options;
    const opened = this.#opened;
    if (!opened) throw new BlockswarmError('ERR_NATIVE', 'a torrent without metadata is complete');
    const { metainfo, place, store, key } = opened;
    // Written and synced, and only then recorded.
    await store.save(this.#options.resumeDb, key, false);
    if (this.#failure) throw this.#failure;
    for (const failure of await finishFiles(metainfo, place)) report.warn(failure);
    return metainfo;
  }

  async #save(): Promise<void> {
    this.#lastSaveMs = performance.now();
    const { resumeDb } = this.#options;
    // A full disk fails the job itself.
    if (this.#opened) {
      await this.#opened.store.save(resumeDb, this.#opened.key, !this.#isComplete).catch(() => {});
    }
  }

  #checkPatience(): void {
    const { timeoutSeconds } = this.#options;
    if (performance.now() - this.#lastProgressMs < timeoutSeconds * 1000) return;
    const status = this.#swarm?.status();
    if (!this.#opened || !status?.downloadedBytes) {
      const what = this.#opened ? 'a piece' : 'a peer with the torrent';
      const advice = 'Name a peer (--peer HOST:PORT) or a DHT node (--dht-bootstrap HOST:PORT).';
      throw new BlockswarmError('ERR_NO_PEERS', `waited ${timeoutSeconds} s for ${what}. ${advice}`);
    }
    const left = `${status.wantedLeft} of ${status.pieceCount} pieces are missing`;
    throw new BlockswarmError('ERR_TIMEOUT', `no new piece for ${timeoutSeconds} s; ${left}`);
  }

  #showProgress(): void {
    const status = this.#swarm?.status();
    const metainfo = this.#opened?.metainfo;
    if (!status || !metainfo || status.pieceCount === 0) return;
    const total = metainfo.lengthBytes;
    const done = Math.min(total, Math.floor((total * status.hadPieces) / status.pieceCount));
    const detail = `peers ${status.links}`;
    this.#options.report.progress({ stage: 'fetching', done, total, unit: 'bytes', detail });
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }
}
