import * as bindings from '../../bindings/index.js';
import type { ExtentsHandle } from './extents.js';
import type { HashPace } from './hashing.js';
import type { ResumeDb, Resumed } from './resume-db.js';
import { call, task } from './task.js';
import { type ContentHashes, flat, packed, type TorrentLayout } from './torrent-files.js';

/** A torrent of one file and its hashes, as metainfo has them: at least one of v1 and v2. */
export interface StoreHashes {
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  readonly pieces: Uint8Array | null;
  readonly piecesRoot: Uint8Array | null;
  readonly pieceLayer: Uint8Array | null;
}

export interface FolderOptions {
  /** Nothing is made and nothing written: what is there is served. */
  readonly readOnly?: boolean;
  /** Take all of the place on the disk at once, as far as the file system can; else files are sparse. */
  readonly preallocate?: boolean;
  /** Good pieces that may wait in memory to be written with their neighbours; 0: none does. */
  readonly writeBehindBytes?: number;
  /** Let every `flush` wait until the data are on the medium. */
  readonly sync?: boolean;
  /** Files kept open at a time. */
  readonly openFiles?: number;
  /** Numbers in the layout of files that are not made when they are missing: none of their pieces is wanted. */
  readonly absent?: readonly number[];
}

/** One torrent's bytes on disk, served and fetched by the reactor; its methods that wait run on a worker. */
export class Store {
  /** Of the addon; for the reactor and `BlocksJudge` only. */
  readonly inner: bindings.Store;

  private constructor(inner: bindings.Store) {
    this.inner = inner;
  }

  /** A read-write file, made when missing. Nothing is servable before `verify`. @throws ERR_DISK_FULL, ERR_IO */
  static openScratch(hashes: StoreHashes, path: string): Store {
    const { layout, content } = oneFile(hashes);
    return new Store(call(() => bindings.Store.openScratch(flat(layout), packed(layout, content), path)));
  }

  /**
   * The torrent's own files below a folder, made when missing. The layout's paths are relative, with slashes; one that
   * leads out of the folder is refused, and no symbolic link is followed. Nothing is servable before `verify`.
   * @throws BlockswarmError ERR_METAINFO, ERR_DISK_FULL, ERR_IO (also when something else is in a file's place)
   */
  static async openFolder(
    layout: TorrentLayout,
    hashes: ContentHashes<Uint8Array | null>,
    root: string,
    options: FolderOptions = {},
  ): Promise<Store> {
    const { readOnly = false, preallocate = false, sync = false } = options;
    const { writeBehindBytes = 32 * 2 ** 20, openFiles = 64, absent = [] } = options;
    const all = { readOnly, preallocate, sync, writeBehindBytes, openFiles, absent: [...absent] };
    const open = () => bindings.Store.openFolder(flat(layout), packed(layout, hashes), root, all);
    return new Store(await task(async () => open()));
  }

  /** Read-only, over extents. */
  static overExtents(hashes: StoreHashes, extents: ExtentsHandle): Store {
    const { layout, content } = oneFile(hashes);
    return new Store(call(() => bindings.Store.overExtents(flat(layout), packed(layout, content), extents)));
  }

  /** Hashes the pieces `[first, end)` where they lie; right ones become servable. Returns how many are right. */
  async verify(first: number, end: number, signal?: AbortSignal): Promise<number> {
    return (await task((cancel) => this.inner.verify(first, end, cancel), signal)).servable;
  }

  /** Hashes the pieces that are not servable, after a fault; returns how many are now. What still fails is a fault. */
  async recheck(signal?: AbortSignal): Promise<number> {
    return (await task((cancel) => this.inner.recheck(cancel), signal)).servable;
  }

  /** Whether its files failed since the last `recheck`. */
  isFaulty(): boolean {
    return this.inner.isFaulty();
  }

  /** Whether all pieces together have the v2 root; all of them must be servable. */
  verifyRoot(signal?: AbortSignal): Promise<boolean> {
    return task((cancel) => this.inner.verifyRoot(cancel), signal);
  }

  /** Says that the bytes were hashed to this torrent just now. */
  setServableAll(): void {
    call(() => this.inner.setServableAll());
  }

  /**
   * Looks which files are there and long enough. On their word the pieces in them are servable, unless something is known
   * against one: each is hashed before a byte of it is sent. Others are not any more.
   */
  survey(): Promise<Readonly<bindings.Survey>> {
    return task(() => this.inner.survey());
  }

  /** Pieces that are servable though nobody has hashed them since their files came or were last written to. */
  assumedCount(): number {
    return this.inner.assumedCount();
  }

  /** Pieces that were hashed and found wrong, and are not had otherwise; one bit a piece (BEP 3). */
  damaged(): Uint8Array {
    return this.inner.damaged();
  }

  /** Where a piece begins in files of others. */
  placeOf(piece: number): Readonly<bindings.PiecePlace> | null {
    return this.inner.placeOf(piece);
  }

  /**
   * Lets pieces that are not servable come in, each into a file of its own in `folder`; those that an earlier run left
   * there are assumed. Returns how many these are. @throws ERR_IO
   */
  repairInto(folder: string): Promise<number> {
    return task(() => this.inner.repairInto(folder));
  }

  /** The fault, forgotten: what fails from now on is told again. */
  takeFault(): Readonly<bindings.StoreFault> | null {
    return this.inner.takeFault();
  }

  /** Hashes at a pace those of `[first, end)` that are servable; wrong ones are not any more. Returns how many are right. */
  async scrub(first: number, end: number, pace: HashPace, signal?: AbortSignal): Promise<number> {
    return (await task((cancel) => this.inner.scrub(first, end, pace, cancel), signal)).servable;
  }

  /** Writes the good pieces that wait in memory. @throws ERR_DISK_FULL, ERR_IO */
  async flush(): Promise<void> {
    await task(() => this.inner.flush());
  }

  /** Writes what waits, and says which pieces are on the medium: what may be remembered over a crash. */
  async checkpoint(): Promise<Uint8Array> {
    return task(() => this.inner.checkpoint());
  }

  /** One bit a piece, high bit first (BEP 3). */
  servable(): Uint8Array {
    return this.inner.servable();
  }

  /** The pieces whose v2 hash is not known, and whether they cannot be judged without; null when there are none. */
  missingHashes(): { pieces: Uint8Array; needed: boolean } | null {
    const pieces = this.inner.missingHashes();
    return pieces && { pieces, needed: !this.inner.hasV1() };
  }

  /**
   * The piece layers of all files that have bytes, in order and end to end (pieces × 32 bytes of each that is longer than
   * a piece): what a `.torrent` needs. Null while one is not known.
   */
  pieceLayers(): Uint8Array | null {
    return this.inner.pieceLayers();
  }

  servableCount(): number {
    return this.inner.servableCount();
  }

  /** Serves the same bytes from other files from now on. */
  moveTo(extents: ExtentsHandle): void {
    call(() => this.inner.moveTo(extents));
  }

  /**
   * Takes over what an earlier run kept under `key` (32 bytes), as far as the files are still the same; to be
   * called before pieces come in. The pieces to check are the caller's to verify.
   */
  async resume(db: ResumeDb, key: Uint8Array, signal?: AbortSignal): Promise<Resumed> {
    const { toCheck, ...rest } = await task(() => this.inner.resume(db.inner, key), signal);
    const ranges: (readonly [number, number])[] = [];
    for (let at = 0; at + 1 < toCheck.length; at += 2) ranges.push([toCheck[at] ?? 0, toCheck[at + 1] ?? 0]);
    return { ...rest, toCheck: ranges };
  }

  /**
   * Writes and syncs what is servable, and only then records it under `key`; `open`: more pieces come in.
   * @throws ERR_DISK_FULL, ERR_IO when the files cannot be written; nothing is recorded then
   */
  async save(db: ResumeDb, key: Uint8Array, open: boolean): Promise<void> {
    await task(() => this.inner.save(db.inner, key, open));
  }

  /**
   * Copies those of the pieces `[first, end)` that are not servable from extents that hold the same torrent; each is
   * judged before it is written. @throws ERR_IO (also for a piece that is not right), ERR_DISK_FULL
   */
  async fillFrom(extents: ExtentsHandle, first: number, end: number, signal?: AbortSignal): Promise<void> {
    await task((cancel) => this.inner.fillFrom(extents, first, end, cancel), signal);
  }

  /** Writes all bytes to a new file, which appears when it is whole. @throws ERR_DISK_FULL, ERR_IO */
  async copyTo(path: string, signal?: AbortSignal): Promise<void> {
    await task((cancel) => this.inner.copyTo(path, cancel), signal);
  }
}

/** A torrent of one file, whose name does not matter. */
function oneFile({ lengthBytes, pieceLengthBytes, pieces, piecesRoot, pieceLayer }: StoreHashes) {
  const kind = piecesRoot === null ? 'v1' : pieces === null ? 'v2' : 'hybrid';
  const layout: TorrentLayout = { kind, pieceLengthBytes, files: [{ path: 'file', lengthBytes }] };
  const content = { pieces, files: [piecesRoot && { piecesRoot, pieceLayer }] };
  return { layout, content };
}
