/**
 * What is known of every torrent at every tracker: columns of numbers. A torrent that rests costs 40 bytes here, and 28
 * for each of its tiers; its names are the owner's texts.
 */
import { grown } from './due-heap.js';

const NONE = 0xffff_ffff;

/** Of a row. */
export const STARTED = 1;
export const COMPLETED = 2;
export const STOPPING = 4;
/** On its way. */
export const FLYING = 8;
/** Its torrent was let go while it was on its way. */
export const GONE = 16;
/** We are reached by another port than the one that the tracker knows. */
export const NEWS = 32;

/** Texts of 20 characters, each a byte of an infohash: one or two, as a hybrid has. */
export type Names = readonly string[];

export class AnnounceTable {
  // By torrent.
  readonly #first: string[] = [];
  readonly #second: (string | null)[] = [];
  #firstRow = new Uint32Array(64);
  #uploadedBytes = new Float64Array(64);
  #downloadedBytes = new Float64Array(64);
  #leftBytes = new Float64Array(64);
  readonly #freeTorrents: number[] = [];
  // By row: one torrent in one tier.
  #torrent = new Uint32Array(64);
  #tier = new Uint32Array(64);
  #tracker = new Uint32Array(64);
  #next = new Uint32Array(64);
  #flags = new Uint8Array(64);
  #failures = new Uint8Array(64);
  #rowCount = 0;
  readonly #freeRows: number[] = [];

  /** A torrent without rows. */
  addTorrent(names: Names): number {
    const torrent = this.#freeTorrents.pop() ?? this.#first.length;
    if (torrent >= this.#firstRow.length) this.#growTorrents();
    this.#first[torrent] = names[0] ?? '';
    this.#second[torrent] = names[1] ?? null;
    this.#firstRow[torrent] = NONE;
    this.setCounts(torrent, { uploadedBytes: 0, downloadedBytes: 0, leftBytes: 0 });
    return torrent;
  }

  /** Its number may be another's from now on. */
  deleteTorrent(torrent: number): void {
    this.#first[torrent] = '';
    this.#second[torrent] = null;
    this.#freeTorrents.push(torrent);
  }

  /** The first torrents that there are. */
  *torrents(most: number): Generator<number, void> {
    let left = most;
    for (let torrent = 0; torrent < this.#first.length && left > 0; torrent++) {
      if (this.#first[torrent] === '') continue;
      left--;
      yield torrent;
    }
  }

  names(torrent: number): string[] {
    const second = this.#second[torrent] ?? null;
    return [this.#first[torrent] ?? '', ...(second === null ? [] : [second])];
  }

  counts(torrent: number) {
    return {
      uploadedBytes: this.#uploadedBytes[torrent] ?? 0,
      downloadedBytes: this.#downloadedBytes[torrent] ?? 0,
      leftBytes: this.#leftBytes[torrent] ?? 0,
    };
  }

  setCounts(torrent: number, counts: ReturnType<AnnounceTable['counts']>): void {
    this.#uploadedBytes[torrent] = counts.uploadedBytes;
    this.#downloadedBytes[torrent] = counts.downloadedBytes;
    this.#leftBytes[torrent] = counts.leftBytes;
  }

  addRow(torrent: number, tier: number, tracker: number): number {
    const row = this.#freeRows.pop() ?? this.#rowCount++;
    if (row >= this.#torrent.length) this.#growRows();
    this.#torrent[row] = torrent;
    this.#tier[row] = tier;
    this.#tracker[row] = tracker;
    this.#flags[row] = 0;
    this.#failures[row] = 0;
    this.#next[row] = this.#firstRow[torrent] ?? NONE;
    this.#firstRow[torrent] = row;
    return row;
  }

  deleteRow(row: number): void {
    const torrent = this.torrent(row);
    let before = NONE;
    for (const each of this.rows(torrent)) {
      if (each === row) break;
      before = each;
    }
    const next = this.#next[row] ?? NONE;
    if (before === NONE) this.#firstRow[torrent] = next;
    else this.#next[before] = next;
    this.#freeRows.push(row);
  }

  *rows(torrent: number): Generator<number, void> {
    for (let row = this.#firstRow[torrent] ?? NONE; row !== NONE; row = this.#next[row] ?? NONE) yield row;
  }

  hasRows(torrent: number): boolean {
    return (this.#firstRow[torrent] ?? NONE) !== NONE;
  }

  torrent(row: number): number {
    return this.#torrent[row] ?? 0;
  }

  tier(row: number): number {
    return this.#tier[row] ?? 0;
  }

  tracker(row: number): number {
    return this.#tracker[row] ?? 0;
  }

  setTracker(row: number, tracker: number): void {
    if (this.#tracker[row] === tracker) return;
    this.#tracker[row] = tracker;
    // That one has not heard of us.
    this.clear(row, STARTED);
  }

  has(row: number, flag: number): boolean {
    return ((this.#flags[row] ?? 0) & flag) !== 0;
  }

  set(row: number, flag: number): void {
    this.#flags[row] = (this.#flags[row] ?? 0) | flag;
  }

  clear(row: number, flag: number): void {
    this.#flags[row] = (this.#flags[row] ?? 0) & ~flag;
  }

  /** Times in a row that the tracker did not want the torrent. */
  failures(row: number): number {
    return this.#failures[row] ?? 0;
  }

  setFailures(row: number, failures: number): void {
    this.#failures[row] = Math.min(failures, 255);
  }

  #growTorrents(): void {
    const more = 2 * this.#firstRow.length;
    this.#firstRow = grown(this.#firstRow, new Uint32Array(more));
    this.#uploadedBytes = grown(this.#uploadedBytes, new Float64Array(more));
    this.#downloadedBytes = grown(this.#downloadedBytes, new Float64Array(more));
    this.#leftBytes = grown(this.#leftBytes, new Float64Array(more));
  }

  #growRows(): void {
    const more = 2 * this.#torrent.length;
    this.#torrent = grown(this.#torrent, new Uint32Array(more));
    this.#tier = grown(this.#tier, new Uint32Array(more));
    this.#tracker = grown(this.#tracker, new Uint32Array(more));
    this.#next = grown(this.#next, new Uint32Array(more));
    this.#flags = grown(this.#flags, new Uint8Array(more));
    this.#failures = grown(this.#failures, new Uint8Array(more));
  }
}
