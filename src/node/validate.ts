/**
 * Proves a chain, level by level (DESIGN §2): a node's data directory, or a folder of segment files. Blocks are judged
 * natively, in any order and on every core; a run that was stopped goes on where it was.
 */
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import { segmentFileName } from '../metainfo/segment.js';
import {
  type HeaderChain,
  type Network,
  networkParams,
  type SegmentPaths,
  type ValidationPlan,
  type ValidationVerdict,
  validateSegments,
} from '../native.js';
import { readCatalogueFile } from './catalogue.js';
import type { Report } from './report.js';
import { findSegmentFiles } from './segment-folder.js';
import { Source } from './source.js';
import { StateFolder } from './state.js';

/** What can be proven; `chain` always is. */
export type Level = 'chain' | 'scripts' | 'set';

export interface ValidateOptions {
  readonly network: string;
  /** What `bitcoind -datadir` takes; or `segments`. */
  readonly datadir?: string | undefined;
  /** Where the block files are, when not below the data directory. */
  readonly blocks?: string | undefined;
  /** A folder of segment files. */
  readonly segments?: string | undefined;
  /** A catalogue's file: its headers say which chain the segment files are of. */
  readonly catalogue?: string | undefined;
  readonly levels: ReadonlySet<Level>;
  /** The first height; 0 when absent. */
  readonly firstHeight?: number | undefined;
  /** The height behind the last; of the hints or the snapshot, or of what is held, when absent. */
  readonly endHeight?: number | undefined;
  readonly hints?: string | undefined;
  readonly snapshot?: string | undefined;
  /** The coins before the first block, when that is not genesis. */
  readonly startSnapshot?: string | undefined;
  readonly threads?: number | undefined;
  readonly stateDir: string;
}

/** Levels that hold for heights. */
export interface Proven {
  readonly firstHeight: number;
  readonly endHeight: number;
  readonly levels: readonly Level[];
}

export interface Validated extends Omit<ValidationVerdict, 'set' | 'warnings'> {
  readonly network: string;
  readonly path: string;
  readonly seconds: number;
  readonly proven: readonly Proven[];
}

/** A run's part of the state folder: a seed of the same directory keeps the rest. */
const statePart = 'validation';

/**
 * @throws BlockswarmError ERR_NETWORK_UNKNOWN, ERR_STATE_LOCKED, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE,
 *   ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_PRUNED, ERR_BLOCK_DAMAGED, ERR_CATALOGUE, ERR_HEADERS,
 *   ERR_HINTS, ERR_SNAPSHOT, ERR_USAGE, ERR_IO
 */
export async function validateChain(
  options: ValidateOptions,
  signal: AbortSignal,
  report: Report,
): Promise<Validated> {
  const network = networkParams(options.network);
  const path = options.datadir ?? options.segments ?? '';
  const state = StateFolder.open(options.stateDir, path, statePart);
  try {
    const plan = planOf(options, join(state.path, 'run.redb'));
    const run = options.datadir === undefined ? segmentsRun : datadirRun;
    const startedMs = performance.now();
    const verdict = await run(network, options, plan, join(state.path, 'index.redb'), signal, report);
    const seconds = (performance.now() - startedMs) / 1000;
    for (const warning of verdict.warnings) report.warn(warning);
    return { ...verdict, network: network.name, path, seconds, proven: provenOf(verdict, options.levels) };
  } finally {
    state.close();
  }
}

function planOf(options: ValidateOptions, recordPath: string): ValidationPlan {
  const { levels, firstHeight = 0, endHeight = null, startSnapshot = null, threads = 0 } = options;
  const isSet = levels.has('set');
  const { hints = null, snapshot = null } = isSet ? options : {};
  if (isSet && hints === null && snapshot === null) {
    const text =
      'to prove `set` takes the coins that are left: --hints FILE (`blockswarm hints make` makes one) or --snapshot FILE';
    throw new BlockswarmError('ERR_USAGE', text);
  }
  const scripts = levels.has('scripts');
  return { firstHeight, endHeight, scripts, hints, snapshot, startSnapshot, threads, recordPath };
}

type Run = (
  network: Network,
  options: ValidateOptions,
  plan: ValidationPlan,
  indexPath: string,
  signal: AbortSignal,
  report: Report,
) => Promise<ValidationVerdict>;

const datadirRun: Run = async (network, options, plan, indexPath, signal, report) => {
  const { datadir = '', blocks, stateDir } = options;
  report.progress({ stage: 'scanning', done: 0, total: 0, unit: 'heights' });
  const source = await Source.open({ datadir, blocks, network: network.name, stateDir }, signal, indexPath);
  for (const warning of source.datadir.warnings()) report.warn(warning);
  try {
    return await source.datadir.validate(plan, { progress: shown(plan, report), signal });
  } finally {
    await source.datadir.close();
  }
};

const segmentsRun: Run = async (network, options, plan, _indexPath, signal, report) => {
  const folder = options.segments ?? '';
  const found = await findSegmentFiles(folder, network.name);
  const chain = await catalogueChain(network, options.catalogue, signal);
  const numbers = neighbours(found.blocks, chain ? Math.floor(plan.firstHeight / network.interval) : 0);
  if (numbers.length === 0) {
    const why = chain
      ? 'that holds the first height'
      : 'and without it nothing says which chain the others are of';
    const text = `${folder} has no segment ${Math.floor((chain ? plan.firstHeight : 0) / network.interval)}: ${why}`;
    throw new BlockswarmError('ERR_DATADIR_EMPTY', chain ? text : `${text}. Name a catalogue (--catalogue)`);
  }
  const file = (index: number, kind: 'blocks' | 'spent') =>
    join(folder, segmentFileName(network.name, index, kind));
  const paths = numbers.map(
    (segment): SegmentPaths => ({
      segment,
      blocks: file(segment, 'blocks'),
      spent: found.spent.has(segment) ? file(segment, 'spent') : null,
    }),
  );
  return validateSegments(network.name, paths, chain, plan, { progress: shown(plan, report), signal });
};

async function catalogueChain(
  network: Network,
  path: string | undefined,
  signal: AbortSignal,
): Promise<HeaderChain | null> {
  return path === undefined ? null : (await readCatalogueFile(path, network, signal)).chain;
}

/** The numbers without a gap around one of them, rising. */
function neighbours(numbers: ReadonlySet<number>, around: number): number[] {
  if (!numbers.has(around)) return [];
  let first = around;
  while (numbers.has(first - 1)) first--;
  const run: number[] = [];
  for (let number = first; numbers.has(number); number++) run.push(number);
  return run;
}

function shown({ firstHeight }: ValidationPlan, report: Report) {
  return ({ blocks, inputs, endHeight }: { blocks: number; inputs: number; endHeight: number }) =>
    report.progress({
      stage: 'validating',
      done: blocks,
      total: Math.max(0, endHeight - firstHeight),
      unit: 'heights',
      detail: `${inputs} inputs`,
    });
}

function provenOf(verdict: ValidationVerdict, asked: ReadonlySet<Level>): Proven[] {
  const { firstHeight, provenEndHeight: endHeight, set } = verdict;
  if (endHeight <= firstHeight) return [];
  const levels: Level[] = ['chain'];
  if (asked.has('scripts')) levels.push('scripts');
  if (set) levels.push('set');
  return [{ firstHeight, endHeight, levels }];
}
