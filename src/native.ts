/**
 * The only importer of the native addon: narrows its types, turns its coded errors into `BlockswarmError`,
 * guards its tasks with signals, and bounds how many of them are in flight.
 *
 * Tasks run on libuv's worker threads. Bytes that come out are owned by the caller; bytes that go in are
 * read before the call returns, so JavaScript may reuse them at once.
 */
import { promisify } from 'node:util';
import { gunzip as gunzipWithCallback, type ZlibOptions } from 'node:zlib';
import * as bindings from '../bindings/index.js';
import { BlockswarmError, isErrorCode } from './errors.js';

/** libuv has 4 workers, shared with fs and dns: leave one for them. */
const maxTasksInFlight = 3;

const gunzip = promisify<Uint8Array, ZlibOptions, Buffer>(gunzipWithCallback);

let tasksInFlight = 0;
const waiting: (() => void)[] = [];

/** Turns an error that crossed the boundary as `ERR_CODE: text` into a `BlockswarmError`. */
function mapped(error: unknown): unknown {
  const match = error instanceof Error ? /^(ERR_[A-Z_]+): ([\s\S]*)$/.exec(error.message) : null;
  const code = match?.[1];
  if (!match || !code || !isErrorCode(code)) return error;
  return new BlockswarmError(code, match[2] ?? '', { cause: error });
}

/** Calls into the addon on this thread. */
function call<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw mapped(error);
  }
}

/**
 * Runs a task on a worker, a few at a time. Aborting keeps a queued task from starting, raises the flag of
 * a running one (it ends at its next step), and rejects at once.
 */
async function task<T>(start: (cancel: bindings.CancelFlag) => Promise<T>, signal?: AbortSignal): Promise<T> {
  signal?.throwIfAborted();
  if (tasksInFlight >= maxTasksInFlight) await new Promise<void>((resolve) => waiting.push(resolve));
  else tasksInFlight++;
  const cancel = new bindings.CancelFlag();
  const running = (async () => {
    signal?.throwIfAborted();
    return start(cancel);
  })().finally(finished);
  if (!signal) return running.catch(rethrow);
  return new Promise<T>((resolve, reject) => {
    const aborted = () => {
      cancel.raise();
      reject(signal.reason);
    };
    signal.addEventListener('abort', aborted, { once: true });
    running
      .then(resolve, (error) => reject(mapped(error)))
      .finally(() => signal.removeEventListener('abort', aborted));
  });
}

function rethrow(error: unknown): never {
  throw mapped(error);
}

/** A finished task hands its place to the next one in line. */
function finished(): void {
  const next = waiting.shift();
  if (next) next();
  else tasksInFlight--;
}

// ---- Networks and headers ------------------------------------------------------------------------------------

/** A network's parameters, from Core's. Hashes are 32 bytes in internal order. */
export type Network = Readonly<bindings.NetworkParams>;

/** @throws BlockswarmError ERR_NETWORK_UNKNOWN */
export function networkParams(name: string): Network {
  return call(() => bindings.networkParams(name));
}

/** A header that breaks a rule; `rule` is Core's reject reason. */
export type HeaderFault = Readonly<bindings.HeaderFault>;

/** A chain of headers from genesis on, each judged by every rule of DESIGN §2 when it is appended. */
export class HeaderChain {
  /** Of the addon; for `BlocksJudge` only. */
  readonly inner: bindings.HeaderChain;

  constructor(network: string) {
    this.inner = call(() => new bindings.HeaderChain(network));
  }

  /** Appends 80-byte headers; those before the first bad one are kept, and the bad one is returned. */
  append(headers: Uint8Array, nowSeconds: number): HeaderFault | null {
    return call(() => this.inner.append(headers, Math.floor(nowSeconds)));
  }

  /** Height of the last header; -1 when empty. */
  height(): number {
    return this.inner.height();
  }

  /** 32 bytes, internal order. */
  hashAt(height: number): Uint8Array {
    return this.#at(height, this.inner.hashAt(height));
  }

  /** Work of the chain up to and with this height, 32 bytes, big-endian. */
  workAt(height: number): Uint8Array {
    return call(() => this.#at(height, this.inner.workAt(height)));
  }

  #at(height: number, bytes: Uint8Array | null): Uint8Array {
    if (!bytes) throw new RangeError(`"height" expected integer in 0..${this.height()}, got ${height}`);
    return bytes;
  }
}

// ---- Blocks ----------------------------------------------------------------------------------------------------

/** Ids, roots and weight of a block: hashes of 32 bytes in internal order, those of its transactions joined. */
export type DecodedBlock = Readonly<bindings.DecodedBlock>;

/**
 * Reads a block in full serialization, of whatever chain; whether it is valid is not looked at.
 * @throws BlockswarmError ERR_BLOCK_DAMAGED
 */
export function decodeBlock(block: Uint8Array): DecodedBlock {
  return call(() => bindings.decodeBlock(block));
}

// ---- Hashing ---------------------------------------------------------------------------------------------------

/** Why hashing is slower than it was asked or expected to be; null when all is well. */
export function hashingWarning(): string | null {
  return call(() => bindings.hashingWarning());
}

// ---- Torrents' bytes -----------------------------------------------------------------------------------------

/** Hashes of a file: SHA-1 of each piece (× 20 bytes), the v2 root (32) and layer (× 32; empty for one piece). */
export type TorrentHashes = Readonly<bindings.TorrentHashes>;

/** Where bytes lie in files. Opaque. */
export type ExtentsHandle = bindings.ExtentsHandle;

/** The first `lengthBytes` of a plain file. */
export function fileExtents(path: string, lengthBytes: number): ExtentsHandle {
  return call(() => bindings.ExtentsHandle.ofFile(path, lengthBytes));
}

/** Hashes what lies under the extents, in order, reading each byte once. */
export function hashExtents(
  extents: ExtentsHandle,
  pieceLengthBytes: number,
  signal?: AbortSignal,
): Promise<TorrentHashes> {
  return task((cancel) => bindings.hashExtents(extents, pieceLengthBytes, cancel), signal);
}

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

// ---- Torrents made and checked --------------------------------------------------------------------------------

/** A file of a torrent where it lies. */
export interface ContentFile {
  /** Empty for padding, which lies nowhere. */
  readonly path: string;
  readonly lengthBytes: number;
}

/** How a torrent is cut, and where its files are. */
export interface TorrentLayout {
  readonly kind: 'v1' | 'v2' | 'hybrid';
  readonly pieceLengthBytes: number;
  /** In the torrent's order, padding included. */
  readonly files: readonly ContentFile[];
}

/** The hashes of a torrent's content, as metainfo has them. A piece layer that is not known is `null`. */
export interface ContentHashes<Layer extends Uint8Array | null = Uint8Array> {
  /** SHA-1 of each piece, pieces × 20 bytes; `null` for v2. */
  readonly pieces: Uint8Array | null;
  /**
   * v2: for each file of the layout; `null` for v1, for an empty file and for padding. The layer is pieces × 32 bytes,
   * empty when the file is no longer than a piece.
   */
  readonly files: readonly ({ readonly piecesRoot: Uint8Array; readonly pieceLayer: Layer } | null)[];
}

export interface HashTorrentOptions {
  /** Default: one a core. */
  readonly threads?: number | undefined;
  /** Leave the page cache as it was found: pages that reading brought into memory leave it. */
  readonly uncached?: boolean | undefined;
  /** Told a few times a second how many bytes of files are done. */
  readonly progress?: (doneBytes: number) => void;
  readonly signal?: AbortSignal;
}

const progressMs = 100;

/**
 * Hashes the files of a torrent on all cores. Memory: the hashes, and half a MiB a thread.
 * @throws BlockswarmError ERR_IO names a file that cannot be read, is not as long as listed or changes meanwhile;
 *   ERR_METAINFO
 */
export async function hashTorrent(
  layout: TorrentLayout,
  options: HashTorrentOptions = {},
): Promise<ContentHashes> {
  const { pieces, roots, layers } = await counted(options, (counter, cancel) =>
    bindings.hashTorrent(flat(layout), hashOptions(options), counter, cancel),
  );
  let [rootOffset, layerOffset] = [0, 0];
  const files = layout.files.map(({ path, lengthBytes }) => {
    if (!roots || !layers || path === '' || lengthBytes === 0) return null;
    const layerBytes = lengthBytes > layout.pieceLengthBytes ? 32 * pieceCount(lengthBytes, layout) : 0;
    const piecesRoot = roots.subarray(rootOffset, rootOffset + 32);
    const pieceLayer = layers.subarray(layerOffset, layerOffset + layerBytes);
    rootOffset += 32;
    layerOffset += layerBytes;
    return { piecesRoot, pieceLayer };
  });
  return { pieces, files };
}

/** A file that is not as the torrent says, whatever its bytes are. */
export interface FileFault extends Readonly<bindings.FaultyFile> {
  readonly fault: 'missing' | 'not-a-file' | 'short' | 'long' | 'unreadable' | 'changed';
}

/**
 * Bytes of a file that are not known to be right: `wrong` (each piece in the range holds a wrong byte), `missing` (the
 * file ends before), `unreadable`, `unproven` (they share a piece with missing or unreadable ones), `contradiction` (the
 * torrent's v1 and v2 hashes disagree).
 */
export interface DamagedRange extends Readonly<bindings.Damage> {
  readonly reason: 'wrong' | 'missing' | 'unreadable' | 'unproven' | 'contradiction';
}

export interface CheckedTorrent {
  readonly pieceCount: number;
  readonly goodPieces: number;
  /** Files are named by their number in the layout. */
  readonly faults: readonly FileFault[];
  readonly damage: readonly DamagedRange[];
}

/**
 * Hashes the files of a torrent on all cores and compares. What is wrong with files is a result.
 * @throws BlockswarmError ERR_METAINFO when the hashes do not fit the layout or each other
 */
export async function checkTorrent(
  layout: TorrentLayout,
  hashes: ContentHashes<Uint8Array | null>,
  options: HashTorrentOptions = {},
): Promise<CheckedTorrent> {
  const checked = await counted(options, (counter, cancel) =>
    bindings.checkTorrent(flat(layout), packed(layout, hashes), hashOptions(options), counter, cancel),
  );
  return checked as CheckedTorrent;
}

/** Runs a task that counts bytes, and tells how far it is. */
async function counted<T>(
  { progress, signal }: Pick<HashTorrentOptions, 'progress' | 'signal'>,
  start: (counter: bindings.Progress, cancel: bindings.CancelFlag) => Promise<T>,
): Promise<T> {
  const counter = new bindings.Progress();
  const timer = setInterval(() => progress?.(counter.doneBytes()), progressMs);
  try {
    return await task(async (cancel) => start(counter, cancel), signal);
  } finally {
    clearInterval(timer);
    progress?.(counter.doneBytes());
  }
}

function hashOptions({ threads = 0, uncached = false }: HashTorrentOptions): bindings.HashOptions {
  return { threads, uncached };
}

function pieceCount(lengthBytes: number, { pieceLengthBytes }: TorrentLayout): number {
  return Math.ceil(lengthBytes / pieceLengthBytes);
}

/** The hashes that the layout's kind has, in few values. */
function packed({ kind }: TorrentLayout, hashes: ContentHashes<Uint8Array | null>): bindings.ContentHashes {
  const v2 = kind === 'v1' ? [] : hashes.files.filter((file) => file !== null);
  const layers = v2.map((file) => file.pieceLayer).filter((layer) => layer !== null);
  return {
    pieces: kind === 'v2' ? null : hashes.pieces,
    roots: kind === 'v1' ? null : Buffer.concat(v2.map((file) => file.piecesRoot)),
    layers: layers.length < v2.length || kind === 'v1' ? null : Buffer.concat(layers),
  };
}

/** A layout as few values: there may be hundreds of thousands of files. */
function flat({ kind, pieceLengthBytes, files }: TorrentLayout): bindings.TorrentLayout {
  const lengthsBytes = files.map(({ lengthBytes }) => lengthBytes);
  const paths = Buffer.from(files.map(({ path }) => `${path}\0`).join(''));
  return { kind, pieceLengthBytes, lengthsBytes, paths };
}

// ---- Resuming ------------------------------------------------------------------------------------------------

/** What a store took over from an earlier run. */
export interface Resumed {
  /** Pieces that are servable now though nobody has looked at their bytes; one bit a piece, high bit first. */
  readonly trusted: Uint8Array;
  /** Ranges `[first, end)` of pieces that may be on disk, and are to be verified. */
  readonly toCheck: readonly (readonly [number, number])[];
  /** The earlier run did not come to its end. */
  readonly crashed: boolean;
  /** Files that are not what they were. */
  readonly changedFiles: number;
}

/** The database of a state folder. No call fails: what it cannot keep is hashed again, and `warnings` says why. */
export class ResumeDb {
  /** Of the addon. */
  readonly inner: bindings.ResumeDb;

  private constructor(inner: bindings.ResumeDb) {
    this.inner = inner;
  }

  /** Opens the file, or makes it. One process at a time. */
  static async open(path: string): Promise<ResumeDb> {
    return new ResumeDb(await task(() => bindings.ResumeDb.open(path)));
  }

  /** What a person should know, since the last call. */
  warnings(): readonly string[] {
    return this.inner.warnings();
  }

  /** Lets go of the file. */
  async close(): Promise<void> {
    await task(() => this.inner.close());
  }

  /** Drops what is known under a key of 32 bytes. */
  async forget(key: Uint8Array): Promise<void> {
    await task(() => this.inner.forget(key));
  }
}

// ---- Blocks --------------------------------------------------------------------------------------------------

/** What is proven of a blocks file at `chain` level. */
export type JudgeReport = Readonly<bindings.JudgeReport>;

/** Judges the blocks of a segment against their headers as pieces arrive, in any order (DESIGN §2). */
export class BlocksJudge {
  readonly #inner: bindings.BlocksJudge;

  constructor(store: Store, chain: HeaderChain, network: string, firstHeight: number, endHeight: number) {
    this.#inner = call(
      () => new bindings.BlocksJudge(store.inner, chain.inner, network, firstHeight, endHeight),
    );
  }

  /** Looks at a piece that became servable. Runs on a worker; calls may overlap. */
  pieceArrived(piece: number, signal?: AbortSignal): Promise<JudgeReport> {
    return task(() => this.#inner.pieceArrived(piece), signal);
  }

  report(): JudgeReport {
    return call(() => this.#inner.report());
  }
}

/** A segment's file as it is published. */
export interface HashedFile {
  readonly extents: ExtentsHandle;
  readonly hashes: TorrentHashes;
  /** Nobody has read the bytes in this run. */
  readonly isRemembered: boolean;
}

/** Bytes `[firstByte, endByte)`. */
export interface ByteRange {
  readonly firstByte: number;
  readonly endByte: number;
}

/** What a node's block files hold. Read-only. */
export class Datadir {
  readonly #inner: bindings.Datadir;

  /** See `scanDatadir`. */
  constructor(inner: bindings.Datadir) {
    this.#inner = inner;
  }

  /** The end of the most-work chain; null when there is not even a genesis block. */
  tip(): Readonly<bindings.DatadirTip> | null {
    return this.#inner.tip();
  }

  /** Places in the files that are no blocks, in words. */
  warnings(): readonly string[] {
    return this.#inner.warnings;
  }

  /** 80-byte headers of `[first, end)` of the most-work chain. */
  headers(first: number, end: number): Uint8Array {
    return call(() => this.#inner.headers(first, end));
  }

  /** 32 bytes, internal order; of the most-work chain. Null above the tip. */
  hashAt(height: number): Uint8Array | null {
    return this.#inner.hashAt(height);
  }

  /**
   * Reads a segment's file at a pace, checks each record of it, and hashes it; or takes its hashes from `db`, when no file
   * under it has changed since. Some may be gone then.
   * @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE
   */
  async hashed(
    segment: number,
    kind: 'blocks' | 'spent',
    pieceLengthBytes: number,
    db: ResumeDb | null,
    pace: HashPace | null,
    signal?: AbortSignal,
  ): Promise<HashedFile> {
    const file = await task(
      (cancel) => this.#inner.hashed(segment, kind, pieceLengthBytes, db?.inner, pace, cancel),
      signal,
    );
    return { extents: file.extents(), hashes: file.hashes(), isRemembered: file.isRemembered };
  }

  /** Bytes of the records of the heights `[first, end)`; null when not all are held. */
  recordsLength(first: number, end: number): number | null {
    return this.#inner.recordsLength(first, end);
  }

  /**
   * Writes the records of the heights `[first, end)` to a file, in order, each block checked before; what the file
   * holds of them from its start on is checked and kept. `isStream`: the path is a pipe or a device, and all is
   * written. Progress counts bytes, those that were there included.
   * @throws ERR_SEGMENT_RANGE, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_DISK_FULL, ERR_IO
   */
  async writeRecords(
    first: number,
    end: number,
    path: string,
    options: { isStream: boolean; progress: (doneBytes: number) => void; signal: AbortSignal },
  ): Promise<void> {
    await counted(options, (counter, cancel) =>
      this.#inner.writeRecords(first, end, path, options.isStream, counter, cancel),
    );
  }

  /**
   * Lets the undo records of an overlay file stand in for the node's from now on; whether there was one that is whole.
   * @throws ERR_DATADIR_UNREADABLE
   */
  useUndoOverlay(path: string): boolean {
    return call(() => this.#inner.useUndoOverlay(path));
  }

  /**
   * Validates blocks of the most-work chain, on threads of its own. What is wrong with them is a result.
   * @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_PRUNED, ERR_DATADIR_UNREADABLE, ERR_HINTS,
   *   ERR_SNAPSHOT, ERR_USAGE, ERR_ENGINE, ERR_IO
   */
  validate(plan: ValidationPlan, options: ValidationOptions): Promise<ValidationVerdict> {
    return validated(options, (counter, cancel) => this.#inner.validate(plan, counter, cancel));
  }

  /**
   * Rewrites undo records that Core before 0.15 wrote to an overlay file, whose folder takes sorted runs meanwhile.
   * Progress counts heights, three times each in the end.
   * @throws ERR_SPENT_MISSING, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_DISK_FULL, ERR_IO
   */
  rewriteOldUndo(
    path: string,
    options: { progress: (heights: number) => void; signal: AbortSignal },
  ): Promise<RewrittenUndo> {
    return counted(options, (counter, cancel) => this.#inner.rewriteOldUndo(path, counter, cancel));
  }

  /**
   * The most-work chain by height, as it was at the last scan; judges its headers.
   * @throws ERR_HEADERS, ERR_DATADIR_UNREADABLE
   */
  async chainRecords(signal: AbortSignal): Promise<ChainRecords> {
    const open = (cancel: bindings.CancelFlag) =>
      bindings.ChainRecords.ofDatadir(this.#inner, nowSeconds(), cancel);
    return new ChainRecords(await task(open, signal));
  }

  /** The 8 bytes that a reader of the files needs; null when they are plain. */
  xorKey(): Uint8Array | null {
    return this.#inner.xorKey();
  }

  /** Blocks that hang on genesis but are not in the most-work chain, and blocks without a line to genesis. */
  strays(): { readonly stale: number; readonly orphans: number } {
    return { stale: this.#inner.staleBlocks, orphans: this.#inner.orphanBlocks };
  }

  /** Where a segment's blocks file lies, unchecked. @throws ERR_SEGMENT_RANGE */
  blocksExtents(segment: number): ExtentsHandle {
    return call(() => this.#inner.extents(segment, 'blocks'));
  }

  /** Where a segment's spent file lies, when its records were checked before. @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING */
  spentExtents(segment: number): ExtentsHandle {
    return call(() => this.#inner.extents(segment, 'spent'));
  }

  /** Where the record of a block of the most-work chain lies; null above the tip. */
  location(height: number): Readonly<bindings.BlockLocation> | null {
    return this.#inner.location(height);
  }

  /**
   * The bytes of a segment's file that are no longer held, because the node has pruned the files they lay in:
   * half-open, in order. The segment's extents still cover them.
   * @throws ERR_SEGMENT_RANGE, ERR_SPENT_MISSING when the spent file was never settled
   */
  goneRanges(segment: number, kind: 'blocks' | 'spent'): readonly ByteRange[] {
    const ends = call(() => this.#inner.goneRanges(segment, kind));
    const ranges: ByteRange[] = [];
    for (let i = 0; i + 1 < ends.length; i += 2)
      ranges.push({ firstByte: ends[i] ?? 0, endByte: ends[i + 1] ?? 0 });
    return ranges;
  }

  /**
   * Opens the folder in which files are kept that the node deletes, at most `budgetBytes` of them.
   * @throws ERR_IO, ERR_DISK_FULL
   */
  async keepFiles(folder: string, budgetBytes: number): Promise<KeptFiles> {
    return new KeptFiles(await task(() => this.#inner.keepFiles(folder, budgetBytes)), this.#inner);
  }

  /** Block files that the node has deleted. */
  goneFiles(): number {
    return this.#inner.goneFiles();
  }

  /** Bytes on disk of files that the node has deleted and that are still open here. */
  unlinkedBytes(): number {
    return this.#inner.unlinkedBytes();
  }

  /**
   * Reads what was written since, and says what that was. Costs some system calls when nothing was. The picture from
   * before stays when it rejects: as `scanDatadir`.
   */
  async rescan(signal?: AbortSignal): Promise<Readonly<bindings.DatadirChanges>> {
    return task(() => this.#inner.rescan(), signal);
  }

  /** Keeps what is new in the file given to `scanDatadir`, and lets go of it. */
  async close(): Promise<void> {
    await task(() => this.#inner.close());
  }
}

// ---- Validation ------------------------------------------------------------------------------------------------

export type ValidationPlan = Readonly<bindings.ValidationPlan>;
export type ValidationVerdict = Readonly<bindings.ValidationVerdict>;
export type ValidationCounts = Readonly<bindings.ValidationCounts>;
export type SegmentPaths = Readonly<bindings.SegmentPaths>;

export interface ValidationOptions {
  readonly progress: (counts: ValidationCounts) => void;
  readonly signal: AbortSignal;
}

/**
 * Validates blocks in segment files, neighbours in the order of their numbers. Without `headers` the first segment is 0 and
 * theirs are judged. @throws as `Datadir.validate`, ERR_BLOCK_DAMAGED
 */
export function validateSegments(
  network: string,
  segments: readonly SegmentPaths[],
  headers: HeaderChain | null,
  plan: ValidationPlan,
  options: ValidationOptions,
): Promise<ValidationVerdict> {
  return validated(options, (counter, cancel) =>
    bindings.validateSegments(network, [...segments], headers?.inner ?? null, plan, counter, cancel),
  );
}

async function validated(
  { progress, signal }: ValidationOptions,
  start: (
    counter: bindings.ValidationProgress,
    cancel: bindings.CancelFlag,
  ) => Promise<bindings.ValidationVerdict>,
): Promise<ValidationVerdict> {
  const counter = new bindings.ValidationProgress();
  const timer = setInterval(() => progress(counter.counts()), progressMs);
  try {
    return await task(async (cancel) => start(counter, cancel), signal);
  } finally {
    clearInterval(timer);
    progress(counter.counts());
  }
}

// ---- Other layouts of blocks -------------------------------------------------------------------------------------

export type RewrittenUndo = Readonly<bindings.RewrittenUndo>;

/**
 * What the first records of a rev*.dat file say of who wrote it; `old`: Core before 0.15. `xorKey`: 8 bytes, or null.
 * @throws BlockswarmError ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN
 */
export function undoAge(
  path: string,
  network: string,
  xorKey: Uint8Array | null,
  signal?: AbortSignal,
): Promise<'old' | 'current' | 'unknown'> {
  return task(() => bindings.undoAge(path, network, xorKey), signal);
}

/** Where each block of btcd's files or a `bootstrap.dat` lies. Read-only. */
export class BlockArchive {
  readonly #inner: bindings.BlockArchive;

  private constructor(inner: bindings.BlockArchive) {
    this.#inner = inner;
  }

  /**
   * Walks btcd's `blocks_ffldb` or a file of records.
   * @throws BlockswarmError ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN
   */
  static async open(
    kind: 'btcd' | 'bootstrap',
    path: string,
    network: string,
    signal?: AbortSignal,
  ): Promise<BlockArchive> {
    return new BlockArchive(
      await task((cancel) => bindings.openBlockArchive(kind, path, network, cancel), signal),
    );
  }

  /** Number of blocks, copies included. */
  get blocks(): number {
    return this.#inner.blocks;
  }

  /** Where bytes were passed over, in words. */
  warnings(): readonly string[] {
    return this.#inner.warnings;
  }

  /** Where the records of these blocks (32 bytes each, internal order) lie, unchecked; null when one is missing. */
  extents(hashes: Uint8Array): ExtentsHandle | null {
    return call(() => this.#inner.extents(hashes));
  }
}

/** A segment's files as files of their own. Nothing of them is believed but what was checked. */
export class SegmentFiles {
  readonly #inner: bindings.SegmentFiles;

  private constructor(inner: bindings.SegmentFiles) {
    this.#inner = inner;
  }

  /**
   * Walks the blocks file from head to head: exactly the segment's number of records.
   * @throws BlockswarmError ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN
   */
  static async open(
    network: string,
    segment: number,
    blocks: string,
    spent: string | null,
    signal?: AbortSignal,
  ): Promise<SegmentFiles> {
    const open = () => bindings.openSegmentFiles(network, segment, blocks, spent);
    return new SegmentFiles(await task(open, signal));
  }

  /** The headers of its blocks, 80 bytes each, as the file has them. */
  headers(): Uint8Array {
    return call(() => this.#inner.headers());
  }

  /**
   * Checks one of the files and hashes it, or takes its hashes from `db` when it is the file that was checked before.
   * Its headers must have been judged.
   * @throws BlockswarmError ERR_BLOCK_DAMAGED, ERR_SPENT_MISSING, ERR_DATADIR_UNREADABLE
   */
  async hashed(
    kind: 'blocks' | 'spent',
    pieceLengthBytes: number,
    db: ResumeDb | null,
    signal?: AbortSignal,
  ): Promise<HashedFile> {
    const file = await task(
      (cancel) => this.#inner.hashed(kind, pieceLengthBytes, db?.inner, cancel),
      signal,
    );
    return { extents: file.extents(), hashes: file.hashes(), isRemembered: file.isRemembered };
  }
}
export type KeptFile = Readonly<bindings.KeptFile>;
export type KeptRound = Readonly<bindings.KeptRound>;

/** Keeps files of a data directory that its node deletes, within a budget. */
export class KeptFiles {
  readonly #inner: bindings.KeptFiles;
  readonly #datadir: bindings.Datadir;

  /** See `Datadir.keepFiles`. */
  constructor(inner: bindings.KeptFiles, datadir: bindings.Datadir) {
    this.#inner = inner;
    this.#datadir = datadir;
  }

  /** Holds what will be deleted next, and keeps what was deleted: after each `rescan`. */
  round(pace: HashPace, signal?: AbortSignal): Promise<KeptRound> {
    return task((cancel) => this.#inner.round(this.#datadir, pace, cancel), signal);
  }

  /** Lets go of the links to files that the node still has: at the end. */
  release(): void {
    this.#inner.release();
  }

  /** What is kept now. */
  kept(): readonly KeptFile[] {
    return this.#inner.kept();
  }
}

/** A rate that background reading shares and that may change meanwhile (bytes a second; 0: as fast as it goes). */
export const HashPace = bindings.HashPace;
export type HashPace = bindings.HashPace;

/**
 * Scans blk*.dat and rev*.dat of a blocks folder: frame heads and headers. With `storePath`, a file in an existing folder,
 * only what has changed since an earlier run is read.
 * @throws BlockswarmError ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_XOR_KEY, ERR_NETWORK_MISMATCH
 */
export async function scanDatadir(
  blocksDir: string,
  network: string,
  signal?: AbortSignal,
  storePath?: string,
): Promise<Datadir> {
  const scan = () => bindings.scanDatadir(blocksDir, network, null, storePath);
  return new Datadir(await task(scan, signal));
}

// ---- The coins that a chain leaves ---------------------------------------------------------------------------

/** One thing about a coin that does not add up; `text` says it all in words. Hashes are 32 bytes in internal order. */
export type CoinCulprit = Readonly<bindings.CoinCulprit>;

/** What a set of coins comes to, as `gettxoutsetinfo` tells. */
export type CoinTotals = Readonly<bindings.CoinTotals>;

/** Outcomes that have culprits, at most ten, have no file. */
export type MadeHints = Readonly<bindings.MadeHints>;
export type MadeSnapshot = Readonly<bindings.MadeSnapshot>;
export type ReadSnapshot = Readonly<bindings.ReadSnapshot>;

/** A snapshot whose hash is in Core's own source. */
export type CoreSnapshot = Readonly<bindings.CoreSnapshot>;

/** How a pass over a chain runs. */
export interface CoinSetOptions {
  /** An existing folder: what does not fit into memory lies there meanwhile, in files without a name. */
  readonly scratch: string;
  readonly memoryBytes: number;
  readonly threads: number;
  /** Heights done in all passes; of a snapshot that is read, bytes. */
  readonly progress: (done: number) => void;
  readonly signal: AbortSignal;
}

/** A chain's blocks and undo records by height, from genesis on; its headers were judged. */
export class ChainRecords {
  readonly #inner: bindings.ChainRecords;

  /** See `Datadir.chainRecords`. */
  constructor(inner: bindings.ChainRecords) {
    this.#inner = inner;
  }

  /**
   * The chain of a folder of segment files, from segment 0 to the last one without a gap; spent files may be missing.
   * @throws BlockswarmError ERR_NETWORK_UNKNOWN, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_BLOCK_DAMAGED,
   *   ERR_SPENT_MISSING, ERR_HEADERS
   */
  static async ofSegments(folder: string, network: string, signal: AbortSignal): Promise<ChainRecords> {
    const open = (cancel: bindings.CancelFlag) =>
      bindings.ChainRecords.ofSegments(folder, network, nowSeconds(), cancel);
    return new ChainRecords(await task(open, signal));
  }

  /** Behind the last block held. */
  endHeight(): number {
    return this.#inner.endHeight();
  }

  /** Whether it has less work than the floor of its network. */
  isBelowWorkFloor(): boolean {
    return this.#inner.isBelowWorkFloor();
  }

  /** 32 bytes, internal order; null beyond the chain. */
  hashAt(height: number): Uint8Array | null {
    return this.#inner.hashAt(height);
  }

  /** Null when the chain has no such block. */
  heightOf(hash: Uint8Array): number | null {
    return this.#inner.heightOf(hash);
  }

  /**
   * Writes to `out` which coins of the blocks below `endHeight` survive: found in blocks and undo records, or taken from a
   * snapshot.
   * @throws BlockswarmError ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_DAMAGED, ERR_BLOCK_PRUNED,
   *   ERR_DATADIR_UNREADABLE, ERR_SNAPSHOT, ERR_IO, ERR_DISK_FULL
   */
  makeHints(
    endHeight: number,
    snapshot: string | undefined,
    out: string,
    options: CoinSetOptions,
  ): Promise<MadeHints> {
    return counted(options, (counter, cancel) =>
      bindings.makeCoinHints(this.#inner, endHeight, snapshot, out, options, counter, cancel),
    );
  }

  /**
   * Writes the coins that the blocks below `endHeight` leave to `out`, in Core's format. Hints are believed.
   * @throws BlockswarmError as `makeHints`, and ERR_HINTS
   */
  makeSnapshot(
    endHeight: number,
    hints: string | undefined,
    out: string,
    options: CoinSetOptions,
  ): Promise<MadeSnapshot> {
    return counted(options, (counter, cancel) =>
      bindings.makeCoinSnapshot(this.#inner, endHeight, hints, out, options, counter, cancel),
    );
  }

  /**
   * Writes to `out` what each of the first segments creates and spends; its length in bytes.
   * @throws BlockswarmError as `makeHints`
   */
  makeSums(segments: number, out: string, options: CoinSetOptions): Promise<number> {
    return counted(options, (counter, cancel) =>
      bindings.makeCoinSums(this.#inner, segments, out, options, counter, cancel),
    );
  }

  /** The segments that come to something else than a file of `makeSums` says. @throws BlockswarmError ERR_SUMS too */
  differingSegments(sums: string, options: CoinSetOptions): Promise<readonly number[]> {
    return counted(options, (counter, cancel) =>
      bindings.differingCoinSegments(this.#inner, sums, options, counter, cancel),
    );
  }

  /** Looks for what makes the coins of a range not add up. @throws BlockswarmError as `makeSnapshot` */
  findCulprits(sides: bindings.CoinSides, options: CoinSetOptions): Promise<readonly CoinCulprit[]> {
    return counted(options, (counter, cancel) =>
      bindings.findCoinCulprits(this.#inner, sides, options, counter, cancel),
    );
  }
}

/** Reads a UTXO snapshot from end to end. @throws BlockswarmError ERR_SNAPSHOT, ERR_IO */
export function readSnapshot(
  path: string,
  options: Pick<CoinSetOptions, 'threads' | 'progress' | 'signal'>,
): Promise<ReadSnapshot> {
  return counted(options, (counter, cancel) =>
    bindings.readCoinSnapshot(path, options.threads, counter, cancel),
  );
}

/** The lowest height first. @throws BlockswarmError ERR_NETWORK_UNKNOWN */
export function coreSnapshots(network: string): readonly CoreSnapshot[] {
  return call(() => bindings.coreSnapshots(network));
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}

// ---- Core's engine: in its child process only ------------------------------------------------------------------

export type EngineTip = Readonly<bindings.EngineTip>;
export type EngineFed = Readonly<bindings.EngineFed>;

/** Core's chain state manager. Its asserts end the process: see `src/bridge/engine`. */
export class Engine {
  readonly #inner: bindings.Engine;

  private constructor(inner: bindings.Engine) {
    this.#inner = inner;
  }

  /**
   * Opens the folder with `blocks/` and `chainstate/`, locked as a node locks it.
   * @throws BlockswarmError ERR_DATADIR_LOCKED, ERR_ENGINE, ERR_NETWORK_UNKNOWN, ERR_DISK_FULL, ERR_IO
   */
  static async open(
    datadirNet: string,
    network: string,
    workerThreads: number,
    signetChallenge: Uint8Array | null = null,
  ): Promise<Engine> {
    // The cargo feature `engine` may be off, whatever the committed types say.
    if (!('Engine' in bindings)) throw new BlockswarmError('ERR_ENGINE', 'this build has no engine');
    return new Engine(
      await task(() => bindings.Engine.open(datadirNet, network, workerThreads, signetChallenge)),
    );
  }

  tip(): EngineTip {
    return call(() => this.#inner.tip());
  }

  /** Whether the block (32 bytes, internal order) was handed over before. */
  knows(hash: Uint8Array): boolean {
    return call(() => this.#inner.knows(hash));
  }

  /** Hands over the whole records in `[offsetBytes, offsetBytes + lengthBytes)` of a file, in order. */
  feed(
    path: string,
    offsetBytes: number,
    lengthBytes: number,
    xorKey: Uint8Array | null = null,
  ): Promise<EngineFed> {
    return task(() => this.#inner.feed(path, offsetBytes, lengthBytes, xorKey));
  }

  /** Ends a running feed after the block it is at. */
  stop(): void {
    this.#inner.stop();
  }

  /** Flushes and frees the locks. */
  async close(): Promise<void> {
    await task(() => this.#inner.close());
  }
}

// ---- Locks ---------------------------------------------------------------------------------------------------

/** A held lock. */
export interface FileLock {
  release(): void;
}

/** Locks a file for this process, making it when missing. @throws BlockswarmError ERR_STATE_LOCKED, ERR_IO */
export function lockFile(path: string): FileLock {
  return call(() => bindings.lockFile(path));
}

// ---- The reactor: every socket -------------------------------------------------------------------------------

export type ReactorOptions = bindings.ReactorOptions;
/** What happened since the last `drain`. */
export type Batch = Readonly<bindings.Batch>;
export type ReactorStats = Readonly<bindings.ReactorStats>;

/** Where a URL may lead, beyond the rest of the world. */
export type HttpReach = Readonly<bindings.HttpReach>;

export interface HttpGetOptions {
  /** Of the body, as it comes and unpacked. */
  readonly maxBytes: number;
  /** For everything, redirects included. */
  readonly timeoutMs: number;
  /** Default 5. Each hop's address is looked at; none leads from the world into this machine or network. */
  readonly maxRedirects?: number;
  /** Requests of one group to one host may be seen to belong together, as on a circuit of Tor; absent: with no other. */
  readonly group?: string;
  readonly reach: HttpReach;
  /** JSON, sent by POST instead; then no redirect is followed. */
  readonly post?: string;
  /** Only these bytes, half-open: 206 is such a part, 416 says that nothing is there, 200 is all of it. */
  readonly range?: { readonly start: number; readonly end: number };
}

/** An answer of any status but a redirect. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string | null;
  /** At most `maxBytes`, unpacked. */
  readonly body: Uint8Array;
  /** Of a part: the length of the whole, where it is told. */
  readonly wholeBytes: number | null;
  /** Where it came from in the end, without credentials. May hold a token: not for logs. */
  readonly finalUrl: string;
  readonly remoteAddress: { readonly host: string; readonly port: number };
}

/** What came of a GET: an answer, or a short code that says why there is none. */
export type HttpResult = { readonly retryAfterMs: number | null } & (
  | ({ readonly failure: null } & HttpAnswer)
  | { readonly failure: string }
);

/** A multicast group on one interface. */
export type MulticastGroup = bindings.MulticastGroup;
/** What came to a multicast group. */
export type GroupDatagram = Readonly<bindings.GroupDatagram>;
export type MappingRequest = bindings.MappingRequest;
export type MappingAnswer = Readonly<bindings.MappingAnswer>;

/** As `WebSeedPlace` of src/swarm/link-host.ts. */
type WebSeedPlace = Omit<bindings.WebSeed, 'paths'> & { readonly paths: readonly string[] };

/**
 * The engine object of the process for everything that touches a socket (DESIGN §4): it owns the network
 * threads, peers' links, and the UDP port. Does not keep the process alive. Commands never block.
 */
export class Reactor {
  readonly #inner: bindings.Reactor;
  readonly #gets = new Map<number, (outcome: bindings.HttpOutcome) => void>();
  readonly #mappings = new Map<number, (answer: bindings.MappingAnswer) => void>();

  /** `wake` is called on the JavaScript thread when there is something to `drain`: once until it is drained. */
  constructor(options: ReactorOptions, wake: () => void) {
    this.#inner = call(() => new bindings.Reactor(options, wake));
  }

  /** Listens for peers; port 0 takes a free one. @throws BlockswarmError ERR_PORT_IN_USE, ERR_LISTEN, ERR_ADDRESS */
  listen(host: string, port: number): { host: string; port: number } {
    return call(() => this.#inner.listen(host, port));
  }

  /** Binds the UDP port, for the DHT and, when `utp` is true, for peers. Errors as `listen`. */
  bindUdp(host: string, port: number, utp = false): { host: string; port: number } {
    return call(() => this.#inner.bindUdp(host, port, utp));
  }

  /** False when the queue is full or no port is bound: datagrams may get lost. */
  sendUdp(payload: Uint8Array, host: string, port: number): boolean {
    return this.#inner.sendUdp(payload, host, port);
  }

  /** Sends a request to a tracker (BEP 15), of which one answer is let in. False as `sendUdp`. */
  askUdpTracker(request: Uint8Array, host: string, port: number): boolean {
    return this.#inner.askUdpTracker(request, host, port);
  }

  /** Takes what happened; outcomes of `httpGet` go to whoever waits for them. */
  drain(): Batch {
    const batch = this.#inner.drain();
    for (const outcome of batch.http) this.#gets.get(outcome.request)?.(outcome);
    for (const answer of batch.mappings) this.#mappings.get(answer.request)?.(answer);
    return batch;
  }

  /**
   * Joins a multicast group on an interface; returns its number.
   * @throws BlockswarmError ERR_LISTEN, ERR_ADDRESS, ERR_PRIVACY behind a proxy
   */
  joinGroup(group: MulticastGroup): number {
    return call(() => this.#inner.joinGroup(group));
  }

  leaveGroup(group: number): void {
    this.#inner.leaveGroup(group);
  }

  /** False when it is not joined; datagrams may get lost. */
  sendToGroup(group: number, payload: Uint8Array): boolean {
    return this.#inner.sendToGroup(group, payload);
  }

  /**
   * Asks the gateway for a port, or to take one back; that it refuses is a result. Ends within ten seconds, while someone
   * drains.
   * @throws BlockswarmError ERR_ADDRESS, ERR_PRIVACY behind a proxy
   */
  async mapPort(request: MappingRequest): Promise<MappingAnswer> {
    const number = call(() => this.#inner.mapPort(request));
    return new Promise<MappingAnswer>((resolve) => this.#mappings.set(number, resolve)).finally(() =>
      this.#mappings.delete(number),
    );
  }

  /**
   * Asks for something short over HTTP(S), of which everything is bounded; that it cannot be had is a result (`busy`:
   * 64 are on their way). Resolves while someone drains.
   * @throws `signal.reason` when aborted
   */
  async httpGet(url: string, options: HttpGetOptions, signal?: AbortSignal): Promise<HttpResult> {
    signal?.throwIfAborted();
    const { maxBytes, timeoutMs, maxRedirects = 5, group, reach, post, range } = options;
    const limits = { maxBytes, timeoutMs, maxRedirects };
    const request = this.#inner.httpGet({
      ...{ url, ...limits, reach },
      ...(group !== undefined && { group }),
      ...(post !== undefined && { post }),
      ...(range && { rangeStart: range.start, rangeEnd: range.end }),
    });
    let aborted = () => {};
    const outcome = await new Promise<bindings.HttpOutcome>((resolve, reject) => {
      aborted = () => {
        this.#inner.cancelHttp(request);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', aborted, { once: true });
      this.#gets.set(request, resolve);
    }).finally(() => {
      signal?.removeEventListener('abort', aborted);
      this.#gets.delete(request);
    });
    const { answer, failure, retryAfterMs = null } = outcome;
    if (!answer) return { failure: failure ?? 'reset', retryAfterMs };
    const body = answer.gzip ? await unpack(answer.body, maxBytes) : answer.body;
    if (typeof body === 'string') return { failure: body, retryAfterMs };
    const { status, contentType = null, wholeBytes = null, finalUrl, remoteAddress } = answer;
    return { failure: null, retryAfterMs, status, contentType, body, wholeBytes, finalUrl, remoteAddress };
  }

  /** Addresses that are not met from now on, but for those that are allowed. Links with them end. */
  setBlocked(blocked: Readonly<bindings.AddressRanges>, allowed: Readonly<bindings.AddressRanges>): void {
    this.#inner.setBlocked(blocked, allowed);
  }

  /**
   * Begins to keep an onion service by Tor's control port: its `port` leads to `targetPort` of 127.0.0.1. By the cookie
   * file that Tor names, unless there is a password.
   */
  keepOnion(
    control: { readonly host: string; readonly port: number },
    password: Uint8Array | null,
    port: number,
    targetPort: number,
  ): void {
    call(() => this.#inner.keepOnion(control.host, control.port, password, port, targetPort));
  }

  /** The onion service: its host name while it is up, and else what is in the way; null when there shall be none. */
  onion(): { readonly host: string | null; readonly fault: string | null } {
    return { host: this.#inner.onionHost(), fault: this.#inner.onionFault() };
  }

  /** Where peers meet us in I2P, by name and as a whole destination; null while they cannot. */
  i2pAddress(): Readonly<bindings.I2pAddress> | null {
    return this.#inner.i2pAddress() ?? null;
  }

  /** The keys of our destination in I2P, once there is one: a secret. */
  i2pKeys(): string | null {
    return this.#inner.i2pKeys() ?? null;
  }

  /** What is wrong with the proxy, as long as nothing went through it since; null when nothing is, or there is none. */
  proxyFault(): string | null {
    return this.#inner.proxyFault() ?? null;
  }

  stats(): ReactorStats {
    return this.#inner.stats();
  }

  /** Closes all links and joins the threads. Idempotent. */
  async shutdown(): Promise<void> {
    for (const [request, settle] of this.#gets) settle({ request, failure: 'shutdown' });
    const none = { error: 'shutdown', externalPort: 0, lifetimeSeconds: 0 };
    for (const [request, settle] of this.#mappings) settle({ request, ...none });
    await this.#inner.shutdown();
  }

  // The commands of `LinkHost` (src/swarm/link-host.ts), which says what each does.

  setEncryption(mode: 'off' | 'allowed' | 'preferred' | 'required'): void {
    call(() => this.#inner.setEncryption(mode));
  }

  knowInfoHash(infoHash: Uint8Array): void {
    call(() => this.#inner.knowInfoHash(infoHash));
  }

  forgetInfoHash(infoHash: Uint8Array): void {
    call(() => this.#inner.forgetInfoHash(infoHash));
  }

  addTorrent(store?: { servable(): Uint8Array }): number {
    return store ? this.#inner.addTorrent(native(store)) : this.#inner.addTorrent();
  }

  attachStore(torrent: number, store: { servable(): Uint8Array }): void {
    call(() => this.#inner.attachStore(torrent, native(store)));
  }

  removeTorrent(torrent: number): void {
    this.#inner.removeTorrent(torrent);
  }

  connect(
    torrent: number,
    host: string,
    port: number,
    hello: bindings.Hello,
    how: { readonly transport?: 'tcp' | 'utp'; readonly encrypted?: boolean } = {},
  ): number {
    return call(() => this.#inner.connect(torrent, host, port, hello, how));
  }

  connectWebSeed(torrent: number, { paths, ...place }: Readonly<WebSeedPlace>): number {
    return this.#inner.connectWebSeed(torrent, { ...place, paths: [...paths] });
  }

  accept(link: number, torrent: number, hello: bindings.Hello): boolean {
    return call(() => this.#inner.accept(link, torrent, hello));
  }

  refuse(link: number): void {
    this.#inner.refuse(link);
  }

  close(link: number, reason: string): void {
    this.#inner.close(link, reason);
  }

  setChoked(link: number, choked: boolean): void {
    this.#inner.setChoked(link, choked);
  }

  setInterested(link: number, interested: boolean): void {
    this.#inner.setInterested(link, interested);
  }

  setRequestLimit(link: number, requests: number): void {
    this.#inner.setRequestLimit(link, requests);
  }

  createRateClass(): number {
    return this.#inner.createRateClass();
  }

  setRateClass(rateClass: number, rates: bindings.Rates): void {
    this.#inner.setRateClass(rateClass, rates);
  }

  dropRateClass(rateClass: number): void {
    this.#inner.dropRateClass(rateClass);
  }

  setLinkRateClasses(link: number, rateClasses: readonly number[]): void {
    if (rateClasses.length > 4)
      throw new RangeError(`"rateClasses" expected at most 4, got ${rateClasses.length}`);
    this.#inner.setLinkRateClasses(link, [...rateClasses]);
  }

  forgetHave(link: number, piece: number): void {
    this.#inner.forgetHave(link, piece);
  }

  fetch(link: number, piece: number, firstBlock: number, endBlock: number): boolean {
    return this.#inner.fetch(link, piece, firstBlock, endBlock);
  }

  cancel(link: number, piece: number, firstBlock: number, endBlock: number): void {
    this.#inner.cancel(link, piece, firstBlock, endBlock);
  }

  sendExtension(link: number, id: number, payload: Uint8Array): boolean {
    return this.#inner.sendExtension(link, id, payload);
  }

  requestHashes(link: number, piece: number, of: 'pieces' | 'leaves'): number {
    return this.#inner.requestHashes(link, piece, of);
  }

  sendHave(link: number, piece: number): void {
    this.#inner.sendHave(link, piece);
  }

  suggest(link: number, piece: number): void {
    this.#inner.suggest(link, piece);
  }

  allowFast(link: number, pieces: readonly number[]): void {
    this.#inner.allowFast(link, [...pieces]);
  }

  announceHave(torrent: number, piece: number): void {
    this.#inner.announceHave(torrent, piece);
  }
}

/** What gzip holds, or why it cannot be had: a bomb stops at the bound. */
async function unpack(body: Uint8Array, maxBytes: number): Promise<Uint8Array | 'long-body' | 'encoded'> {
  try {
    return await gunzip(body, { maxOutputLength: maxBytes });
  } catch (error) {
    const isTooLong = error instanceof RangeError;
    return isTooLong ? 'long-body' : 'encoded';
  }
}

function native(store: { servable(): Uint8Array }): bindings.Store {
  if (!(store instanceof Store)) throw new TypeError('"store" expected a native Store');
  return store.inner;
}
