/** A chain whose blocks and undo records can be read by height: of a node's data directory, or of segment files. */
import { mkdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import { segmentFileName } from '../metainfo/segment.js';
import { ChainRecords, type CoinSetOptions, type Network, networkParams } from '../native.js';
import { checkFreeSpace } from './free-space.js';
import type { Report } from './report.js';
import { Source } from './source.js';
import { StateFolder } from './state.js';

export interface ChainOptions {
  /** What `bitcoind -datadir` takes; or else `segments`. */
  readonly datadir?: string | undefined;
  /** Where the block files are, when not below the data directory. */
  readonly blocks?: string | undefined;
  /** A folder of segment files. */
  readonly segments?: string | undefined;
  readonly network: string;
  readonly stateDir: string;
  /** Keeps what is known of a data directory's files between runs; see `Source.open`. */
  readonly indexPath?: string | undefined;
  /** All cores when absent. */
  readonly threads?: number | undefined;
}

export interface OpenChain {
  readonly network: Network;
  readonly records: ChainRecords;
  /** Bytes of the blocks below a height, as their records have them: about, where only files say it. */
  blocksLengthBytes(endHeight: number): Promise<number>;
  /** The options of a pass that reports its progress as `stage`, `heights` of them in all. */
  pass(stage: string, heights: number): CoinSetOptions;
  /** Keeps what is known of the files for the next run. */
  close(): Promise<void>;
}

/** For rows that are sorted. Blocks in work take some more. */
const MEMORY_BYTES = 256 * 2 ** 20;
/**
 * Sorted rows on disk for each byte of blocks: 40 GB for mainnet's 750, and less than that is no reason to refuse.
 */
const ROWS_SHARE = 0.04;

/**
 * Opens the one of both that the options name.
 * @throws BlockswarmError ERR_USAGE, ERR_HEADERS, ERR_IO, and as `Source.open` and `ChainRecords.ofSegments`
 */
export async function openChain(
  options: ChainOptions,
  signal: AbortSignal,
  report: Report,
): Promise<OpenChain> {
  const { datadir, segments } = options;
  const network = networkParams(options.network);
  if (datadir !== undefined && segments === undefined) {
    const source = await Source.open({ ...options, datadir }, signal, options.indexPath);
    for (const warning of source.datadir.warnings()) report.warn(warning);
    const records = await source.datadir.chainRecords(signal);
    return {
      ...opened(network, records, options, datadir, signal, report),
      blocksLengthBytes: async (endHeight) => source.datadir.recordsLength(0, endHeight) ?? 0,
      close: () => source.close(),
    };
  }
  if (segments !== undefined && datadir === undefined) {
    if (options.blocks !== undefined) throw new BlockswarmError('ERR_USAGE', '--blocks belongs to --datadir');
    const records = await ChainRecords.ofSegments(segments, network.name, signal);
    return {
      ...opened(network, records, options, segments, signal, report),
      blocksLengthBytes: (endHeight) => segmentsLengthBytes(segments, network, endHeight),
    };
  }
  throw new BlockswarmError('ERR_USAGE', 'say where the chain is: --datadir DIR or --segments DIR');
}

function opened(
  network: Network,
  records: ChainRecords,
  options: ChainOptions,
  subject: string,
  signal: AbortSignal,
  report: Report,
): Omit<OpenChain, 'blocksLengthBytes'> {
  const scratch = StateFolder.pathOf(options.stateDir, subject);
  try {
    mkdirSync(scratch, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new BlockswarmError('ERR_IO', `cannot make the state folder ${scratch}`, { cause });
  }
  if (records.isBelowWorkFloor()) {
    report.warn(
      'the chain has less work than the floor of its network: whether it is the real one is not proven',
    );
  }
  const threads = options.threads ?? availableParallelism();
  return {
    network,
    records,
    pass: (stage, heights) => ({
      scratch,
      memoryBytes: MEMORY_BYTES,
      threads,
      progress: (done) => report.progress({ stage, done, total: heights, unit: 'heights' }),
      signal,
    }),
    close: async () => {},
  };
}

async function segmentsLengthBytes(folder: string, network: Network, endHeight: number): Promise<number> {
  let lengthBytes = 0;
  for (let index = 0; index * network.interval < endHeight; index++) {
    const found = await stat(join(folder, segmentFileName(network.name, index, 'blocks'))).catch(() => null);
    lengthBytes += found?.size ?? 0;
  }
  return lengthBytes;
}

/**
 * Whether a folder can take the rows that are sorted to find out which outputs survive. Less than what is taken in the end is
 * asked for: whoever has hardly enough is let try.
 * @throws BlockswarmError ERR_DISK_FULL
 */
export async function checkRowsSpace(scratch: string, blocksLengthBytes: number): Promise<void> {
  const rowsBytes = Math.max(0, blocksLengthBytes * ROWS_SHARE - MEMORY_BYTES);
  await checkFreeSpace(scratch, rowsBytes, 'finding which outputs survive');
}
