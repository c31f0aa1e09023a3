/** What is made of the coins that a chain leaves: hints and UTXO snapshots; and whether a snapshot is right. */
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { sealedSegments } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import { hintsFileName, snapshotFileName, sumsFileName } from '../metainfo/segment.js';
import {
  type CoinCulprit,
  type CoinTotals,
  type CoreSnapshot,
  coreSnapshots,
  type Network,
  networkParams,
  type ReadSnapshot,
  readSnapshot,
} from '../native.js';
import { displayHash, sameBytes } from '../units.js';
import { type ChainOptions, checkRowsSpace, type OpenChain, openChain } from './chain-records.js';
import type { Report } from './report.js';
import { checkWritable } from './whole-file.js';

export interface HintsOptions extends ChainOptions {
  /** A file, or a folder in which it gets the name of its segments. */
  readonly out: string;
  /** The last block; the last one of the sealed segments when absent. */
  readonly to?: number | undefined;
  /** The coins that are left, when a file has them: undo records are not read then. */
  readonly snapshot?: string | undefined;
}

/** `file` is null when something does not add up: `culprits` says what. */
export interface HintsResult {
  readonly network: string;
  readonly firstHeight: number;
  readonly endHeight: number;
  readonly file: string | null;
  readonly survivors: number;
  readonly lengthBytes: number;
  readonly culprits: readonly CoinCulprit[];
}

/** @throws BlockswarmError as `openChain` and `ChainRecords.makeHints`; ERR_NOT_SEALED, ERR_USAGE */
export async function makeHints(
  options: HintsOptions,
  signal: AbortSignal,
  report: Report,
): Promise<HintsResult> {
  const chain = await openChain(options, signal, report);
  const { network } = chain;
  const endHeight = options.to === undefined ? wholeSegmentsEnd(chain, options) : options.to + 1;
  const file = await outPath(options.out, () => hintsName(network, endHeight));
  const { snapshot } = options;
  if (snapshot !== undefined) {
    const { height } = await placed(snapshot, chain, signal, report);
    if (height + 1 !== endHeight) {
      const text = `${snapshot} is of height ${height}, and the hints are of the blocks up to ${endHeight - 1}: give --to ${height}`;
      throw new BlockswarmError('ERR_USAGE', text);
    }
  }
  const reading = chain.pass('reading', endHeight - 1);
  if (snapshot === undefined) await checkRowsSpace(reading.scratch, await chain.blocksLengthBytes(endHeight));
  const made = await chain.records.makeHints(endHeight, snapshot, file, reading);
  const { survivors, lengthBytes, culprits } = made;
  return {
    network: network.name,
    firstHeight: 0,
    endHeight,
    file: culprits.length > 0 ? null : file,
    survivors,
    lengthBytes,
    culprits,
  };
}

function wholeSegmentsEnd({ records, network }: OpenChain, { segments }: ChainOptions): number {
  const { interval } = network;
  const endHeight = records.endHeight();
  const count =
    segments === undefined ? sealedSegments(endHeight - 1, interval) : Math.floor(endHeight / interval);
  if (count > 0) return count * interval;
  const text = `no segment is sealed (tip ${endHeight - 1}): say up to where (--to, --last-segment)`;
  throw new BlockswarmError('ERR_NOT_SEALED', text);
}

function hintsName({ name, interval }: Network, endHeight: number): string {
  if (endHeight % interval === 0) return hintsFileName(name, endHeight / interval);
  const text = `the blocks up to ${endHeight - 1} are no whole segments of ${interval}: name a file with --out`;
  throw new BlockswarmError('ERR_USAGE', text);
}

/** The file to write: `out`, or a name in it when it is a folder. @throws BlockswarmError ERR_USAGE, ERR_IO */
async function outPath(out: string, name: () => string): Promise<string> {
  const found = await stat(out).catch(() => null);
  const path = found?.isDirectory() ? join(out, name()) : out;
  await checkWritable(path, true);
  return path;
}

export interface SumsOptions extends ChainOptions {
  /** A file, or a folder in which it gets the name of its segments. */
  readonly out: string;
  /** All that are sealed when absent. */
  readonly lastSegment?: number | undefined;
}

export interface SumsResult {
  readonly network: string;
  readonly segments: number;
  readonly file: string;
  readonly lengthBytes: number;
}

/** @throws BlockswarmError as `openChain` and `ChainRecords.makeSums`; ERR_NOT_SEALED, ERR_USAGE */
export async function makeSums(
  options: SumsOptions,
  signal: AbortSignal,
  report: Report,
): Promise<SumsResult> {
  const chain = await openChain(options, signal, report);
  const { network, records } = chain;
  const { lastSegment } = options;
  const { interval, name } = network;
  const segments = lastSegment === undefined ? wholeSegmentsEnd(chain, options) / interval : lastSegment + 1;
  const file = await outPath(options.out, () => sumsFileName(name, segments));
  const lengthBytes = await records.makeSums(segments, file, chain.pass('adding up', segments * interval));
  return { network: name, segments, file, lengthBytes };
}

export interface SnapshotOptions extends ChainOptions {
  /** A file, or a folder in which it gets the name of its height. */
  readonly out: string;
  /** The last block. */
  readonly to: number;
  /** Which coins survive, when a file says so: it is believed. */
  readonly hints?: string | undefined;
}

/** `totals` and `file` are null when something does not add up: `culprits` says what. */
export interface SnapshotResult {
  readonly network: string;
  readonly height: number;
  readonly blockHash: Uint8Array;
  readonly file: string | null;
  readonly totals: CoinTotals | null;
  readonly lengthBytes: number;
  /** Whether Core knows these coins; null when it knows none of that block. */
  readonly knownToCore: boolean | null;
  readonly culprits: readonly CoinCulprit[];
}

/** @throws BlockswarmError as `openChain` and `ChainRecords.makeSnapshot` */
export async function makeSnapshot(
  options: SnapshotOptions,
  signal: AbortSignal,
  report: Report,
): Promise<SnapshotResult> {
  const chain = await openChain(options, signal, report);
  const { network, records } = chain;
  const { to: height, hints } = options;
  const blockHash = records.hashAt(height);
  if (!blockHash) {
    const text = `block ${height} is not held: the blocks up to ${records.endHeight() - 1} are`;
    throw new BlockswarmError('ERR_SEGMENT_RANGE', text);
  }
  const file = await outPath(options.out, () => snapshotFileName(network.name, height));
  // Without hints, what survives is found in a pass before.
  const pass = chain.pass('reading', height * (hints === undefined ? 2 : 1));
  const made = await records.makeSnapshot(height + 1, hints, file, pass);
  const totals = made.totals ?? null;
  return {
    network: network.name,
    height,
    blockHash,
    file: totals ? file : null,
    totals,
    lengthBytes: made.lengthBytes,
    knownToCore: totals && isKnown(network, blockHash, totals),
    culprits: made.culprits,
  };
}

export interface SnapshotCheckOptions extends Omit<ChainOptions, 'stateDir'> {
  readonly file: string;
  readonly stateDir: string;
}

export interface SnapshotCheck {
  readonly network: string;
  readonly file: string;
  readonly blockHash: Uint8Array;
  /** Null when neither a chain nor Core tells it. */
  readonly height: number | null;
  readonly totals: CoinTotals;
  readonly knownToCore: boolean | null;
  /** Whether they are the coins that a chain leaves; null when none was given. */
  readonly isOfChain: boolean | null;
  readonly culprits: readonly CoinCulprit[];
}

/**
 * Reads a snapshot, compares it with those that Core knows, and, when a chain is given, with what its blocks create and
 * spend.
 * @throws BlockswarmError ERR_SNAPSHOT, ERR_IO, ERR_NETWORK_MISMATCH, and as `openChain` and `ChainRecords.findCulprits`
 */
export async function checkSnapshot(
  options: SnapshotCheckOptions,
  signal: AbortSignal,
  report: Report,
): Promise<SnapshotCheck> {
  const network = networkParams(options.network);
  const { file } = options;
  const hasChain = options.datadir !== undefined || options.segments !== undefined;
  if (!hasChain && options.blocks !== undefined)
    throw new BlockswarmError('ERR_USAGE', '--blocks belongs to --datadir');
  const chain = hasChain ? await openChain(options, signal, report) : null;
  const { blockHash, totals } = await readOf(file, network, options.threads, signal, report);
  const result = {
    network: network.name,
    file,
    blockHash,
    height: knownAt(network, blockHash)?.height ?? null,
    totals,
    knownToCore: isKnown(network, blockHash, totals),
    isOfChain: null,
    culprits: [],
  };
  if (!chain) return result;
  const height = heightIn(chain, blockHash, file);
  const endHeight = height + 1;
  const sides = { firstHeight: 0, endHeight, snapshot: file };
  const culprits = await chain.records.findCulprits(sides, chain.pass('reading', height));
  return { ...result, height, isOfChain: culprits.length === 0, culprits };
}

/** A snapshot and its place in a chain. */
async function placed(
  file: string,
  chain: OpenChain,
  signal: AbortSignal,
  report: Report,
): Promise<{ readonly height: number }> {
  const { blockHash } = await readOf(file, chain.network, undefined, signal, report);
  return { height: heightIn(chain, blockHash, file) };
}

function heightIn({ records }: OpenChain, blockHash: Uint8Array, file: string): number {
  const height = records.heightOf(blockHash);
  if (height !== null) return height;
  const text = `${file} is of block ${displayHash(blockHash)}, which this chain, up to height ${records.endHeight() - 1}, does not have`;
  throw new BlockswarmError('ERR_SNAPSHOT', text);
}

async function readOf(
  file: string,
  network: Network,
  threads = availableParallelism(),
  signal: AbortSignal,
  report: Report,
): Promise<ReadSnapshot> {
  const { size: total } = await stat(file).catch((cause: Error) => {
    throw new BlockswarmError('ERR_IO', `cannot read ${file}: ${cause.message}`, { cause });
  });
  const progress = (done: number) =>
    report.progress({ stage: 'reading the snapshot', done, total, unit: 'bytes' });
  const read = await readSnapshot(file, { threads, progress, signal });
  if (sameBytes(read.magic, network.magic)) return read;
  throw new BlockswarmError(
    'ERR_NETWORK_MISMATCH',
    `${file} has the magic ${Buffer.from(read.magic).toString('hex')}, and ${network.name}'s is ${Buffer.from(network.magic).toString('hex')}`,
  );
}

function knownAt({ name }: Network, blockHash: Uint8Array): CoreSnapshot | undefined {
  return coreSnapshots(name).find((snapshot) => sameBytes(snapshot.blockHash, blockHash));
}

function isKnown(network: Network, blockHash: Uint8Array, totals: CoinTotals): boolean | null {
  const known = knownAt(network, blockHash);
  return known ? sameBytes(known.hashSerialized, totals.hashSerialized) : null;
}
