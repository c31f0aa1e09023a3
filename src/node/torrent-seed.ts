/** Seeds torrents whose content lies in files of the user's, read-only: some that are named, or a folder of them. */
import { randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { privacyOf } from '../connector/privacy.js';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { ResumeDb } from '../native.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { StateFolder } from './state.js';
import { findPlace, findPlaceIn } from './torrent-content.js';
import { readTorrentFile } from './torrent-file.js';
import { TorrentFolder } from './torrent-folder.js';
import { TorrentLibrary, type TorrentRow, torrentRow } from './torrent-library.js';

/** A .torrent file and where its content is. */
export interface NamedTorrent {
  readonly torrent: string;
  /** Its file or folder, or the folder that holds it. */
  readonly content: string;
}

export interface TorrentSeedOptions extends PeerNodeChoice {
  readonly stateDir: string;
  readonly torrents: readonly NamedTorrent[] | TorrentsFolder;
  /** Each piece is given to one peer, and seen to spread before the next (BEP 16). */
  readonly superSeed?: boolean;
}

export interface TorrentsFolder {
  /** Each .torrent in it is seeded, also those that come later. */
  readonly folder: string;
  /** Where their content is, each under its torrent's name; default: the same folder. */
  readonly content?: string | undefined;
}

/** A folder's own state tells of files that came or went; what was replaced in place is seen at a full look. */
const WATCH_MS = 2000;
const FULL_LOOK_MS = 60_000;
/** To parse thousands of new torrents takes time: peers may come after this. */
const FIRST_PARSE_MS = 500;
const SAVE_MS = 10_000;
const SHOW_MS = 500;
const INDEX_FILE = 'torrents.json';

/** State of the files below one folder. */
interface Home {
  readonly state: StateFolder;
  readonly resumeDb: ResumeDb;
}

/** Running torrents. */
export class TorrentSeeder {
  readonly peerNode: PeerNode;
  readonly library: TorrentLibrary;
  readonly #signal: AbortSignal;
  readonly #stop: AbortController;
  readonly #report: Report;
  readonly #homes: ReadonlyMap<string, Home>;
  readonly #jobs: Promise<void>[] = [];
  #hasNews = false;

  private constructor(parts: {
    peerNode: PeerNode;
    library: TorrentLibrary;
    homes: ReadonlyMap<string, Home>;
    stop: AbortController;
    report: Report;
  }) {
    this.peerNode = parts.peerNode;
    this.library = parts.library;
    this.#homes = parts.homes;
    this.#stop = parts.stop;
    this.#signal = parts.stop.signal;
    this.#report = parts.report;
  }

  /**
   * Listens; resolves when peers may come. Bytes that no earlier run looked at are hashed in the background.
   * @throws BlockswarmError as `PeerNode` and `StateFolder`; for torrents that are named also ERR_IO, ERR_METAINFO
   */
  static async start(
    options: TorrentSeedOptions,
    signal: AbortSignal,
    report: Report,
  ): Promise<TorrentSeeder> {
    const stop = new AbortController();
    signal.addEventListener('abort', () => stop.abort(), { once: true });
    const privacy = privacyOf(options, randomBytes);
    const named = 'folder' in options.torrents ? null : await readNamed(options.torrents, signal);
    const homes = new Map<string, Home>();
    const closers: (() => Promise<void> | void)[] = [];
    try {
      for (const folder of homeFolders(options.torrents, named)) {
        const state = StateFolder.open(options.stateDir, folder);
        closers.push(() => state.close());
        const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
        closers.push(() => resumeDb.close());
        homes.set(folder, { state, resumeDb });
      }
      const wake = (torrent: number): Promise<void> => library.wake(torrent);
      const folders = statePaths(homes);
      const peerNode = await openPeerNode({ choice: options, privacy, folders, wake, signal, report });
      closers.push(() => peerNode.close());
      const contents = new Map(named?.map(({ row, content }) => [row.torrentPath, content]));
      const library: TorrentLibrary = new TorrentLibrary({
        peerNode,
        place: (metainfo, row) => place(options.torrents, contents, metainfo, row),
        resumeDb: ({ path }) => homeOf(homes, path).resumeDb,
        superSeeding: options.superSeed ?? false,
        signal: stop.signal,
        report,
        changed: () => {
          seeder.#hasNews = true;
        },
      });
      const seeder: TorrentSeeder = new TorrentSeeder({ peerNode, library, homes, stop, report });
      if (named) {
        for (const { row } of named) {
          if (library.add(row) === null) report.warn(`${row.torrentPath}: the same torrent is named twice`);
        }
        seeder.#background(peerNode.hasNamedPeers ? library.wakeAll() : Promise.resolve());
        seeder.#background(library.check());
      } else if ('folder' in options.torrents) {
        const { folder } = options.torrents;
        const [home] = homes.values();
        const indexPath = join(home?.state.path ?? '', INDEX_FILE);
        await seeder.#seedFolder(folder, options.torrents.content ?? folder, indexPath);
      }
      seeder.#background(seeder.#tick());
      return seeder;
    } catch (error) {
      stop.abort();
      for (const close of closers.reverse()) await close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#jobs);
    await this.library.close();
    await this.peerNode.close();
    for (const { state, resumeDb } of this.#homes.values()) {
      for (const warning of resumeDb.warnings()) this.#report.warn(warning);
      await resumeDb.close();
      state.close();
    }
  }

  #background(work: Promise<void>): void {
    const job = work.catch((error: unknown) => {
      if (!this.#signal.aborted) this.#report.warn(`seeding goes on, but: ${(error as Error).message}`);
    });
    this.#jobs.push(job);
  }

  async #tick(): Promise<void> {
    for (;;) {
      this.library.tick(performance.now());
      this.#showProgress();
      await delay(SHOW_MS, undefined, { signal: this.#signal });
    }
  }

  #showProgress(): void {
    const { size: torrents, openCount: openTorrents } = this.library;
    const peers = [...this.library.swarms].flatMap((swarm) => [...swarm.peers.values()]);
    const open = peers.filter((peer) => peer.isOpen && !peer.isClosing);
    const { uploadedBytes } = this.peerNode.stats();
    const transfer = {
      title: `seeding ${torrents} ${torrents === 1 ? 'torrent' : 'torrents'} on ${this.peerNode.listening ?? 'no port'}`,
      downloadBytesPerSecond: 0,
      uploadBytesPerSecond: open.reduce((sum, { uploadRate }) => sum + uploadRate, 0),
      uploadedBytes,
      peers: open.length,
      seeds: 0,
      knownPeers: 0,
      hadPieces: 0,
      pieceCount: 0,
      torrents,
      openTorrents,
    };
    const { doneBytes, totalBytes } = this.library.checking;
    const stage = totalBytes > 0 ? 'checking' : 'seeding';
    this.#report.progress({ stage, done: doneBytes, total: totalBytes, unit: 'bytes', transfer });
  }

  /** Keeps what is known of the torrents, from time to time and in the end. */
  async #keepIndex(torrents: TorrentFolder): Promise<void> {
    while (!this.#signal.aborted) {
      await delay(SAVE_MS, undefined, { signal: this.#signal }).catch(() => {});
      if (!this.#hasNews) continue;
      this.#hasNews = false;
      await torrents.save().catch((error: Error) => this.#report.warn(error.message));
    }
  }

  /** Takes in what is in the folder, then follows it. */
  async #seedFolder(folder: string, content: string, indexPath: string): Promise<void> {
    const torrents = new TorrentFolder(folder, indexPath);
    await torrents.load();
    const numbers = new Map<string, number>();
    const news = {
      add: (row: TorrentRow) => {
        const number = this.library.add(row);
        if (number === null)
          this.#report.warn(`${row.torrentPath} is not seeded: the same torrent is here already`);
        else numbers.set(row.torrentPath, number);
        this.#hasNews ||= !row.isChecked;
      },
      remove: (torrentPath: string) => {
        this.#hasNews = true;
        this.library.remove(numbers.get(torrentPath) ?? 0);
        this.#report.event({ event: 'removed', torrent: torrentPath }, '');
        numbers.delete(torrentPath);
      },
    };
    const parse = (files: Awaited<ReturnType<TorrentFolder['look']>>) =>
      torrents.parse(files, news, this.#signal, this.#report);
    const first = parse(await torrents.look(news, this.#report));
    await Promise.race([first, delay(FIRST_PARSE_MS, undefined, { signal: this.#signal })]);
    const follow = async () => {
      let [seenMs, contentMs, lookedMs] = [await modifiedMs(folder), await modifiedMs(content), 0];
      await first;
      for (;;) {
        if (this.peerNode.hasNamedPeers) await this.library.wakeAll();
        await this.library.check();
        await delay(WATCH_MS, undefined, { signal: this.#signal });
        const [nowMs, folderMs] = [performance.now(), await modifiedMs(folder)];
        if (folderMs === seenMs && nowMs - lookedMs < FULL_LOOK_MS) continue;
        const foundMs = await modifiedMs(content);
        // What was missing may be there now.
        if (foundMs !== contentMs) for (const number of numbers.values()) this.library.retry(number);
        [seenMs, contentMs, lookedMs] = [folderMs, foundMs, nowMs];
        // A folder that is gone for a while is looked for again.
        await torrents
          .look(news, this.#report)
          .then(parse)
          .catch((error: Error) => this.#report.warn(error.message));
      }
    };
    this.#background(follow());
    this.#background(this.#keepIndex(torrents));
  }
}

/** When names came or went in a folder; 0 while it is not there. */
async function modifiedMs(folder: string): Promise<number> {
  return (await stat(folder).catch(() => null))?.mtimeMs ?? 0;
}

interface Named {
  readonly row: TorrentRow;
  readonly content: string;
  /** The folder whose state has what is known of its files. */
  readonly home: string;
}

async function readNamed(torrents: readonly NamedTorrent[], signal: AbortSignal): Promise<Named[]> {
  const named: Named[] = [];
  for (const { torrent, content } of torrents) {
    const { path } = await findPlace(await readTorrentFile(torrent, signal), content);
    named.push({ row: await torrentRow(torrent, signal), content, home: dirname(path) });
  }
  return named;
}

function homeFolders(torrents: TorrentSeedOptions['torrents'], named: readonly Named[] | null): Set<string> {
  if ('folder' in torrents) return new Set([torrents.content ?? torrents.folder]);
  return new Set(named?.map(({ home }) => home));
}

function statePaths(homes: ReadonlyMap<string, Home>): string[] {
  return [...homes.values()].map(({ state }) => state.path);
}

/** The state of the folder that the content is in; of a folder of torrents there is one for all. */
function homeOf(homes: ReadonlyMap<string, Home>, path: string): Home {
  const [only] = homes.values();
  const home = homes.get(dirname(path)) ?? only;
  if (!home) throw new BlockswarmError('ERR_NATIVE', `no state folder for ${path}`);
  return home;
}

function place(
  torrents: TorrentSeedOptions['torrents'],
  contents: ReadonlyMap<string, string>,
  metainfo: Metainfo,
  row: TorrentRow,
) {
  if ('folder' in torrents) return findPlaceIn(metainfo, torrents.content ?? torrents.folder);
  return findPlace(metainfo, contents.get(row.torrentPath) ?? '');
}
