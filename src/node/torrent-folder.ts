/**
 * A folder of .torrent files: what is in it, and what came or went since. Files that are as they were in an earlier run
 * are not parsed again: their rows are kept in an index.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import { fromHex } from '../units.js';
import type { Report } from './report.js';
import { sharedTiers, type TorrentRow, torrentRow } from './torrent-library.js';
import type { TrackerTiers } from './tracker-schedule.js';
import { writeWholeFile } from './whole-file.js';

/** Told of what a look at the folder found. */
export interface FolderNews {
  add(row: TorrentRow): void;
  /** A .torrent file is gone, or is another one now. */
  remove(torrentPath: string): void;
}

/** By which a change of a file is seen. */
interface FileState {
  readonly mtimeMs: number;
  readonly sizeBytes: number;
}

interface UnknownFile extends FileState {
  readonly path: string;
}

/** .torrent files in a folder, and bytes of an index: more are not looked at. */
const MAX_TORRENTS = 200_000;
const MAX_INDEX_BYTES = 128 * 2 ** 20;
/** Files looked at in parallel. */
const BATCH = 64;
/** Each may be 16 MiB, and more in memory. */
const PARSED_AT_ONCE = 8;
const VERSION = 2;

/** A row as it is written: file name, mtime, size, infohashes in hex, length, private, checked, place of its trackers. */
type Written = [string, number, number, string | null, string | null, number, 0 | 1, 0 | 1, number];

export class TorrentFolder {
  readonly #folder: string;
  readonly #indexPath: string;
  readonly #known = new Map<string, TorrentRow>();
  /** Rows of an earlier run whose files have not been looked at in this one. */
  readonly #remembered = new Map<string, TorrentRow>();
  /** Files that are no torrents, and the state they were in: told once. */
  readonly #bad = new Map<string, string>();

  constructor(folder: string, indexPath: string) {
    this.#folder = folder;
    this.#indexPath = indexPath;
  }

  /** Reads the index of an earlier run. One that is damaged is as good as none. */
  async load(): Promise<void> {
    try {
      if ((await stat(this.#indexPath)).size > MAX_INDEX_BYTES) return;
      const { version, torrents, trackerTiers } = JSON.parse(await readFile(this.#indexPath, 'utf8')) as {
        version: unknown;
        torrents: unknown;
        trackerTiers: unknown;
      };
      if (version !== VERSION || !Array.isArray(torrents) || !Array.isArray(trackerTiers)) return;
      const tiers = trackerTiers.map(readTiers);
      for (const written of torrents) {
        const row = readRow(this.#folder, written, tiers);
        if (row) this.#remembered.set(row.torrentPath, row);
      }
    } catch {
      // No index, or a damaged one.
    }
  }

  /** Keeps the rows for the next run. @throws BlockswarmError ERR_DISK_FULL, ERR_IO */
  async save(): Promise<void> {
    // Thousands of torrents name the same trackers: each list is written once.
    const places = new Map<TrackerTiers, number>();
    const torrents = [...this.#known.values()].map((row) => {
      const place = places.get(row.trackerTiers) ?? places.size;
      places.set(row.trackerTiers, place);
      return writtenRow(row, place);
    });
    const index = { version: VERSION, torrents, trackerTiers: [...places.keys()] };
    await writeWholeFile(this.#indexPath, Buffer.from(JSON.stringify(index)), true);
  }

  /**
   * Looks at the folder, and tells what is gone and what an earlier run knew; returns the files that are to be parsed.
   * @throws BlockswarmError ERR_IO when the folder cannot be read
   */
  async look(news: FolderNews, report: Report): Promise<readonly UnknownFile[]> {
    const found = await this.#list(report);
    for (const path of [...this.#known.keys()]) {
      const sizes = found.get(path);
      if (sizes && isSame(this.#known.get(path), sizes)) continue;
      this.#known.delete(path);
      news.remove(path);
    }
    const unknown: UnknownFile[] = [];
    for (const [path, sizes] of found) {
      if (this.#known.has(path) || this.#bad.get(path) === stateOf(sizes)) continue;
      const row = this.#remembered.get(path);
      if (row && isSame(row, sizes)) this.#take(row, news);
      else unknown.push({ path, ...sizes });
    }
    this.#remembered.clear();
    return unknown;
  }

  /** Parses files and tells of each: thousands take time. Those that are no torrents are told as warnings, once. */
  async parse(
    files: readonly UnknownFile[],
    news: FolderNews,
    signal: AbortSignal,
    report: Report,
  ): Promise<void> {
    const parseOne = async (file: UnknownFile) => {
      try {
        this.#take(await torrentRow(file.path, signal), news);
        this.#bad.delete(file.path);
      } catch (error) {
        signal.throwIfAborted();
        this.#bad.set(file.path, stateOf(file));
        report.warn(`${file.path} is not seeded: ${(error as Error).message}`);
      }
    };
    for (let at = 0; at < files.length; at += PARSED_AT_ONCE) {
      signal.throwIfAborted();
      await Promise.all(files.slice(at, at + PARSED_AT_ONCE).map(parseOne));
    }
  }

  #take(row: TorrentRow, news: FolderNews): void {
    this.#known.set(row.torrentPath, row);
    news.add(row);
  }

  async #list(report: Report): Promise<Map<string, FileState>> {
    const entries = await readdir(this.#folder).catch((cause: Error) => {
      throw new BlockswarmError('ERR_IO', `cannot read ${this.#folder}: ${cause.message}`, { cause });
    });
    const names = entries.filter((name) => name.endsWith('.torrent')).sort();
    if (names.length > MAX_TORRENTS) {
      report.warn(`${this.#folder} holds ${names.length} torrents: only ${MAX_TORRENTS} are seeded`);
    }
    const found = new Map<string, FileState>();
    for (let at = 0; at < Math.min(names.length, MAX_TORRENTS); at += BATCH) {
      const batch = names.slice(at, Math.min(at + BATCH, MAX_TORRENTS)).map(async (name) => {
        const path = join(this.#folder, name);
        const stats = await stat(path).catch(() => null);
        if (stats?.isFile()) found.set(path, { mtimeMs: stats.mtimeMs, sizeBytes: stats.size });
      });
      await Promise.all(batch);
    }
    return found;
  }
}

function stateOf({ mtimeMs, sizeBytes }: FileState): string {
  return `${mtimeMs} ${sizeBytes}`;
}

function isSame(row: TorrentRow | undefined, sizes: FileState): boolean {
  return row?.mtimeMs === sizes.mtimeMs && row.sizeBytes === sizes.sizeBytes;
}

function writtenRow(row: TorrentRow, tiers: number): Written {
  const hex = (text: string | null) => text && Buffer.from(text, 'latin1').toString('hex');
  return [
    row.torrentPath.slice(row.torrentPath.lastIndexOf('/') + 1),
    row.mtimeMs,
    row.sizeBytes,
    hex(row.infoHashV1),
    hex(row.infoHashV2),
    row.lengthBytes,
    row.isPrivate ? 1 : 0,
    row.isChecked ? 1 : 0,
    tiers,
  ];
}

/** What is none is passed over. */
function readTiers(written: unknown): TrackerTiers {
  if (!Array.isArray(written)) return [];
  const tiers = written.map((tier) =>
    Array.isArray(tier) ? tier.filter((url) => typeof url === 'string') : [],
  );
  return sharedTiers(tiers.filter((tier) => tier.length > 0));
}

function readRow(folder: string, written: unknown, tiers: readonly TrackerTiers[]): TorrentRow | null {
  if (!Array.isArray(written) || written.length !== 9) return null;
  const [name, mtimeMs, sizeBytes, v1, v2, lengthBytes, isPrivate, isChecked, place] = written as Written;
  const trackerTiers = tiers[place];
  const text = (hex: unknown, bytes: number) =>
    typeof hex === 'string' ? (fromHex(hex, bytes) ?? undefined) : hex === null ? null : undefined;
  const [infoHashV1, infoHashV2] = [text(v1, 20), text(v2, 32)];
  const isSound =
    typeof name === 'string' &&
    !name.includes('/') &&
    [mtimeMs, sizeBytes, lengthBytes].every((value) => Number.isFinite(value)) &&
    infoHashV1 !== undefined &&
    infoHashV2 !== undefined &&
    (infoHashV1 !== null || infoHashV2 !== null);
  if (!isSound || !trackerTiers) return null;
  return {
    torrentPath: join(folder, name),
    mtimeMs,
    sizeBytes,
    infoHashV1: infoHashV1 && Buffer.from(infoHashV1).toString('latin1'),
    infoHashV2: infoHashV2 && Buffer.from(infoHashV2).toString('latin1'),
    lengthBytes,
    isPrivate: isPrivate === 1,
    trackerTiers,
    isChecked: isChecked === 1,
  };
}
