/**
 * The torrents that are seeded from files of the user's. Most rest: of those only a row is kept, and their metainfo and
 * files are opened when a peer comes, or when what is on disk has still to be hashed. After some minutes without peers
 * they rest again.
 */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { ResumeDb, Store } from '../native.js';
import type { Swarm } from '../swarm/swarm.js';
import { sameBytes } from '../units.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { type ContentPlace, checkRanges, contentKey, openStore } from './torrent-content.js';
import { readTorrentFile } from './torrent-file.js';
import type { TrackerTiers } from './tracker-schedule.js';

/** What is kept of a torrent that rests. Infohashes are text, a character for each byte: the least memory. */
export interface TorrentRow {
  readonly torrentPath: string;
  /** Of the .torrent file, to see that it has changed. */
  readonly mtimeMs: number;
  readonly sizeBytes: number;
  readonly infoHashV1: string | null;
  readonly infoHashV2: string | null;
  readonly lengthBytes: number;
  readonly isPrivate: boolean;
  /** The same object for all torrents that name the same: see `sharedTiers`. */
  readonly trackerTiers: TrackerTiers;
  /** What is on disk was hashed, now or in an earlier run that kept what it found. */
  isChecked: boolean;
}

export interface TorrentLibraryOptions {
  readonly peerNode: PeerNode;
  /** Finds the content of a torrent. @throws BlockswarmError ERR_IO */
  readonly place: (metainfo: Metainfo, row: TorrentRow) => Promise<ContentPlace>;
  /** What earlier runs knew of the files below a folder. */
  readonly resumeDb: (place: ContentPlace) => ResumeDb;
  readonly superSeeding: boolean;
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Told when rows changed in a way that is worth keeping. */
  readonly changed: () => void;
}

/** A torrent that is open: to be served, or to be checked. */
interface OpenTorrent {
  readonly store: Store;
  readonly swarm: Swarm;
  /** Until what is on disk is known. */
  checking: Promise<void> | null;
  hashedBytes: number;
  usedMs: number;
}

/** Without a peer for so long, a torrent rests again. */
const REST_AFTER_MS = 5 * 60_000;
/** Torrents open at a time: each has its metainfo, hashes and files in memory. */
const MAX_OPEN = 500;
/** A person is not told of each when there are more. */
const TOLD_ONE_BY_ONE = 20;
/** Small ones wait for each other's records to be on the medium; a large one takes all cores anyway. */
const CHECKED_AT_ONCE = 3;

export class TorrentLibrary {
  readonly #options: TorrentLibraryOptions;
  readonly #rows = new Map<number, TorrentRow>();
  /** By infohash (v1 or v2, a character for each byte). */
  readonly #numbers = new Map<string, number>();
  readonly #open = new Map<number, OpenTorrent>();
  readonly #opening = new Map<number, Promise<OpenTorrent>>();
  readonly #unchecked = new Set<number>();
  /** Those that somebody was told of: a peer may ask for them every second. */
  readonly #warned = new Set<number>();
  #lastNumber = 0;
  #checkedBytes = 0;
  #toCheckBytes = 0;
  #isChecking: Promise<void> | null = null;

  constructor(options: TorrentLibraryOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#rows.size;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /** Torrents whose bytes have still to be looked at. */
  get uncheckedCount(): number {
    return this.#unchecked.size;
  }

  get rows(): Iterable<TorrentRow> {
    return this.#rows.values();
  }

  /** Takes a torrent in, resting; null when it is here already. */
  add(row: TorrentRow): number | null {
    const names = [row.infoHashV1, row.infoHashV2].filter((name) => name !== null);
    if (names.some((name) => this.#numbers.has(name))) return null;
    const number = ++this.#lastNumber;
    this.#rows.set(number, row);
    for (const name of names) this.#numbers.set(name, number);
    const { isPrivate, trackerTiers } = row;
    this.#options.peerNode.addIdle(swarmNames(row), number, { isPrivate, trackerTiers });
    if (!row.isChecked) this.#unchecked.add(number);
    return number;
  }

  /** Lets a torrent go: its connections end. */
  remove(number: number): void {
    const row = this.#rows.get(number);
    if (!row) return;
    this.#rows.delete(number);
    this.#unchecked.delete(number);
    this.#warned.delete(number);
    for (const name of [row.infoHashV1, row.infoHashV2]) if (name !== null) this.#numbers.delete(name);
    this.#options.peerNode.removeIdle(swarmNames(row));
    this.#open.get(number)?.swarm.close();
    this.#open.delete(number);
  }

  /** How far the checking is; a total of 0 when there is nothing to check. */
  get checking(): { readonly doneBytes: number; readonly totalBytes: number } {
    if (!this.#isChecking) return { doneBytes: 0, totalBytes: 0 };
    let doneBytes = this.#checkedBytes;
    for (const { checking, hashedBytes } of this.#open.values()) if (checking) doneBytes += hashedBytes;
    return { doneBytes, totalBytes: Math.max(doneBytes, this.#toCheckBytes) };
  }

  /** The swarms of those that are open. */
  get swarms(): Iterable<Swarm> {
    return [...this.#open.values()].map(({ swarm }) => swarm);
  }

  /** Opens a torrent, since a peer asks for it. */
  async wake(number: number): Promise<void> {
    try {
      const torrent = await this.#opened(number);
      torrent.usedMs = performance.now();
    } catch (error) {
      this.#warn(number, error);
      throw error;
    }
  }

  /** Opens every torrent and keeps it open: peers that the user named are to be dialled for it. */
  async wakeAll(): Promise<void> {
    for (const number of [...this.#rows.keys()]) {
      await this.#opened(number).catch((error: unknown) => this.#warn(number, error));
    }
  }

  /** Looks at what is on disk of all torrents where that is not known, one after the other. */
  check(): Promise<void> {
    this.#isChecking ??= this.#checkAll().finally(() => {
      this.#isChecking = null;
    });
    return this.#isChecking;
  }

  /** Looks again at a torrent whose content was not there. */
  retry(number: number): void {
    if (this.#rows.get(number)?.isChecked === false) this.#unchecked.add(number);
  }

  /** Lets those rest that no peer has used for a while; to be called from time to time. */
  tick(nowMs: number): void {
    for (const [number, torrent] of this.#open) {
      if (torrent.swarm.peers.size > 0 || torrent.checking) torrent.usedMs = nowMs;
      else if (nowMs - torrent.usedMs >= REST_AFTER_MS && !this.#options.peerNode.hasNamedPeers) {
        this.#rest(number, torrent);
      }
    }
  }

  /** Waits until nothing is under way; the signal has fired. */
  async close(): Promise<void> {
    await this.#isChecking;
    await Promise.allSettled([...this.#opening.values()]);
    await Promise.allSettled([...this.#open.values()].map(({ checking }) => checking));
  }

  #rest(number: number, { swarm }: OpenTorrent): void {
    this.#open.delete(number);
    swarm.close();
  }

  #opened(number: number): Promise<OpenTorrent> {
    const open = this.#open.get(number);
    if (open) return Promise.resolve(open);
    const opening =
      this.#opening.get(number) ?? this.#openNow(number).finally(() => this.#opening.delete(number));
    this.#opening.set(number, opening);
    return opening;
  }

  async #openNow(number: number): Promise<OpenTorrent> {
    const { signal, peerNode, report, changed } = this.#options;
    const row = this.#rows.get(number);
    if (!row) throw new BlockswarmError('ERR_IO', 'the torrent is gone');
    this.#makeRoom();
    const metainfo = await readTorrentFile(row.torrentPath, signal);
    if (!isOf(metainfo, row)) {
      throw new BlockswarmError('ERR_METAINFO', `${row.torrentPath} is another torrent now`);
    }
    const place = await this.#options.place(metainfo, row);
    const store = await openStore(metainfo, place, { readOnly: true });
    const [resumeDb, key] = [this.#options.resumeDb(place), await contentKey(metainfo, place)];
    const { toCheck } = await store.resume(resumeDb, key, signal);
    // Removed meanwhile, or the node is closing.
    if (!this.#rows.has(number) || signal.aborted) throw new BlockswarmError('ERR_IO', 'the torrent is gone');
    const fault = ({ message }: { message: string }) => report.warn(`${metainfo.name} is paused: ${message}`);
    const { superSeeding } = this.#options;
    const swarm = peerNode.addContent(metainfo, store, {
      wanted: [],
      superSeeding,
      maxLinks: peerNode.maxConnections,
      events: { fault },
    });
    const torrent: OpenTorrent = { store, swarm, checking: null, hashedBytes: 0, usedMs: performance.now() };
    this.#open.set(number, torrent);
    this.#warned.delete(number);
    const known = async () => {
      if (toCheck.length > 0) await this.#checkOne(torrent, metainfo, toCheck);
      await store.save(resumeDb, key, false);
      if (!this.#rows.has(number)) return;
      this.#unchecked.delete(number);
      row.isChecked = true;
      changed();
      this.#tellOf(store, metainfo, toCheck.length > 0);
    };
    if (toCheck.length > 0 || !row.isChecked) {
      torrent.checking = known()
        .catch((error: unknown) => this.#warn(number, error))
        .finally(() => {
          torrent.checking = null;
        });
    }
    return torrent;
  }

  /** Hashes what is on disk; what is right is served at once. */
  async #checkOne(
    torrent: OpenTorrent,
    metainfo: Metainfo,
    ranges: readonly (readonly [number, number])[],
  ): Promise<void> {
    const { signal } = this.#options;
    const progress = (done: number) => {
      torrent.swarm.recheck();
      torrent.hashedBytes = done;
    };
    await checkRanges(torrent.store, metainfo, ranges, { signal, progress });
  }

  #tellOf(store: Store, { name, pieceCount }: Metainfo, wasHashed: boolean): void {
    const { report } = this.#options;
    const goodPieces = store.servableCount();
    const event = { event: 'checked', name, pieceCount, goodPieces };
    if (goodPieces < pieceCount) {
      report.warn(`${name}: ${goodPieces} of ${pieceCount} pieces are right; only these are served`);
    }
    if (wasHashed)
      report.event(
        event,
        this.#rows.size > TOLD_ONE_BY_ONE
          ? ''
          : `checked ${name}: ${goodPieces} of ${pieceCount} pieces are right`,
      );
  }

  async #checkAll(): Promise<void> {
    if (this.#unchecked.size === 0) return;
    this.#checkedBytes = 0;
    this.#toCheckBytes = 0;
    for (const number of this.#unchecked) this.#toCheckBytes += this.#rows.get(number)?.lengthBytes ?? 0;
    await Promise.all(Array.from({ length: CHECKED_AT_ONCE }, () => this.#checkSome()));
    if (this.#options.signal.aborted) return;
    const torrents = this.#rows.size;
    this.#options.report.event({ event: 'all-checked', torrents }, '');
  }

  async #checkSome(): Promise<void> {
    const { signal, peerNode } = this.#options;
    while (this.#unchecked.size > 0 && !signal.aborted) {
      const [number = 0] = this.#unchecked;
      // Whatever comes of it, it is not tried again and again.
      this.#unchecked.delete(number);
      try {
        const torrent = await this.#opened(number);
        await torrent.checking;
        this.#checkedBytes += this.#rows.get(number)?.lengthBytes ?? 0;
        const isUsed = torrent.swarm.peers.size > 0 || peerNode.hasNamedPeers;
        if (!isUsed && this.#open.get(number) === torrent) this.#rest(number, torrent);
      } catch (error) {
        if (!signal.aborted) this.#warn(number, error);
      }
    }
  }

  /** One more is to be opened: the one that was of no use for the longest time rests. */
  #makeRoom(): void {
    if (this.#open.size + this.#opening.size < MAX_OPEN) return;
    let oldest: [number, OpenTorrent] | null = null;
    for (const entry of this.#open) {
      const [, { swarm, checking, usedMs }] = entry;
      if (swarm.peers.size > 0 || checking) continue;
      if (!oldest || usedMs < oldest[1].usedMs) oldest = entry;
    }
    if (!oldest) throw new BlockswarmError('ERR_IO', `${MAX_OPEN} torrents are in use at this moment`);
    this.#rest(...oldest);
  }

  #warn(number: number, error: unknown): void {
    if (this.#options.signal.aborted || this.#warned.has(number)) return;
    this.#warned.add(number);
    const path = this.#rows.get(number)?.torrentPath ?? '';
    const message = error instanceof Error ? error.message : String(error);
    this.#options.report.warn(`${basename(path)} is not served: ${message}`);
  }
}

/** The row of a .torrent file. @throws BlockswarmError ERR_IO, ERR_BENCODE, ERR_METAINFO */
export async function torrentRow(torrentPath: string, signal: AbortSignal): Promise<TorrentRow> {
  const { mtimeMs, size } = await stat(torrentPath).catch((cause: Error) => {
    throw new BlockswarmError('ERR_IO', `cannot look at ${torrentPath}: ${cause.message}`, { cause });
  });
  const metainfo = await readTorrentFile(torrentPath, signal);
  return {
    torrentPath,
    mtimeMs,
    sizeBytes: size,
    infoHashV1: metainfo.infoHashV1 && characters(metainfo.infoHashV1),
    infoHashV2: metainfo.infoHashV2 && characters(metainfo.infoHashV2),
    lengthBytes: metainfo.lengthBytes,
    isPrivate: metainfo.private,
    trackerTiers: sharedTiers(metainfo.trackerTiers),
    isChecked: false,
  };
}

const knownTiers = new Map<string, TrackerTiers>();

/** One object for each list of trackers: thousands of torrents name the same. */
export function sharedTiers(tiers: TrackerTiers): TrackerTiers {
  const key = JSON.stringify(tiers);
  const known = knownTiers.get(key) ?? tiers;
  knownTiers.set(key, known);
  return known;
}

function characters(hash: Uint8Array): string {
  return Buffer.from(hash).toString('latin1');
}

/** v2 names are cut to what a handshake holds; the start of a text shares its memory. */
function swarmNames({ infoHashV1, infoHashV2 }: TorrentRow): string[] {
  return [infoHashV1, infoHashV2?.slice(0, 20)].filter((name) => name != null);
}

function isOf({ infoHashV1, infoHashV2 }: Metainfo, row: TorrentRow): boolean {
  const same = (found: Uint8Array | null, text: string | null) =>
    found === null ? text === null : text !== null && sameBytes(found, Buffer.from(text, 'latin1'));
  return same(infoHashV1, row.infoHashV1) && same(infoHashV2, row.infoHashV2);
}
