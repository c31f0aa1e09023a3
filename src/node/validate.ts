/**
 * Proves a chain, level by level (DESIGN §2): a node's data directory, or a folder of segment files. Blocks are judged
 * natively, in any order and on every core; a run that was stopped goes on where it was.
 */
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import { segmentFileName } from '../metainfo/segment.js';
import {
  type CoinCulprit,
  type HeaderChain,
  type Network,
  networkParams,
  type SegmentPaths,
  type ValidationPlan,
  type ValidationVerdict,
  validateSegments,
} from '../native.js';
import { displayHash } from '../units.js';
import { readCatalogueFile } from './catalogue.js';
import { checkRowsSpace, type OpenChain, openChain } from './chain-records.js';
import { type ProofOptions, planOf, provenOf, type Validated } from './proof.js';
import type { Report } from './report.js';
import { findSegmentFiles } from './segment-folder.js';
import { Source } from './source.js';
import { StateFolder } from './state.js';

export interface ValidateOptions extends ProofOptions {
  readonly network: string;
  /** What `bitcoind -datadir` takes; or `segments`. */
  readonly datadir?: string | undefined;
  /** Where the block files are, when not below the data directory. */
  readonly blocks?: string | undefined;
  /** A folder of segment files. */
  readonly segments?: string | undefined;
  /** A catalogue's file: its headers say which chain the segment files are of. */
  readonly catalogue?: string | undefined;
  /** What each segment creates and spends, as somebody says: names the segment when the set is not proven. */
  readonly sums?: string | undefined;
  readonly stateDir: string;
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
    const indexPath = join(state.path, 'index.redb');
    const startedMs = performance.now();
    const outcome = async (
      verdict: ValidationVerdict,
      culprits: readonly CoinCulprit[],
    ): Promise<Validated> => {
      const differingSegments = verdict.failure?.blame === 'coins' ? await coins.differingSegments() : null;
      const seconds = (performance.now() - startedMs) / 1000;
      for (const warning of verdict.warnings) report.warn(warning);
      const proven = provenOf(verdict, options.levels);
      return { ...verdict, network: network.name, path, seconds, proven, culprits, differingSegments };
    };
    const coins = new ChainCoins({ ...options, indexPath }, state.path, signal, report);
    const { hints, failure } = await coins.hintsFor(options);
    const plan = planOf({ ...options, hints }, join(state.path, 'run.redb'));
    const run = options.datadir === undefined ? segmentsRun : datadirRun;
    const verdict = await run(network, options, plan, indexPath, signal, report);
    // The search reads the hints as well, those that were made for this run among them.
    const isOfCoins = failure === undefined && verdict.failure?.blame === 'coins';
    const culprits = isOfCoins ? await coins.culprits(plan, verdict) : [];
    await coins.forget();
    if (failure instanceof Error) {
      // The run reads the same blocks, and says more of what is wrong with them.
      if (verdict.failure) return await outcome(verdict, []);
      throw failure;
    }
    if (failure)
      return await outcome({ ...verdict, failure: verdict.failure ?? coinsFailure(verdict) }, failure);
    return await outcome(verdict, culprits);
  } finally {
    state.close();
  }
}

/** What only the coins of the whole chain tell: which survive, and which do not add up. */
class ChainCoins {
  readonly #options: ValidateOptions & { readonly indexPath: string };
  readonly #statePath: string;
  readonly #signal: AbortSignal;
  readonly #report: Report;
  #made: string | null = null;

  constructor(
    options: ValidateOptions & { readonly indexPath: string },
    statePath: string,
    signal: AbortSignal,
    report: Report,
  ) {
    this.#options = options;
    this.#statePath = statePath;
    this.#signal = signal;
    this.#report = report;
  }

  /**
   * The hints that were given, or, where `set` takes some, those that an earlier run has made or this one makes; or why
   * none could be made of the chain.
   */
  async hintsFor({ levels, hints, snapshot, firstHeight = 0, endHeight }: ValidateOptions): Promise<{
    readonly hints: string | undefined;
    readonly failure?: readonly CoinCulprit[] | BlockswarmError;
  }> {
    if (!levels.has('set') || hints !== undefined || snapshot !== undefined) return { hints };
    if (firstHeight > 0) {
      const text = `to prove \`set\` from block ${firstHeight} on takes the coins before it and after the last: --from-snapshot FILE and --snapshot FILE`;
      throw new BlockswarmError('ERR_USAGE', text);
    }
    return this.#withChain(async ({ records, pass, blocksLengthBytes }) => {
      const end = endHeight ?? records.endHeight();
      const tip = records.hashAt(end - 1);
      // Beyond the chain: the run says so.
      if (!tip) return { hints: undefined };
      const file = join(this.#statePath, `survivors-${displayHash(tip)}.dat`);
      this.#made = file;
      if (existsSync(file)) return { hints: file };
      const finding = pass('finding survivors', end - 1);
      await checkRowsSpace(finding.scratch, await blocksLengthBytes(end));
      const { culprits } = await records.makeHints(end, undefined, file, finding);
      return culprits.length > 0 ? { hints: undefined, failure: culprits } : { hints: file };
    }).catch((error: unknown) => {
      if (!isAboutBlocks(error)) throw error;
      return { hints: undefined, failure: error };
    });
  }

  /** What does not add up. */
  async culprits(plan: ValidationPlan, { endHeight }: ValidationVerdict): Promise<readonly CoinCulprit[]> {
    const { firstHeight, hints, snapshot, startSnapshot } = plan;
    const sides = {
      firstHeight,
      endHeight,
      ...(startSnapshot && { start: startSnapshot }),
      ...(hints && { hints }),
      ...(snapshot && { snapshot }),
    };
    try {
      return await this.#withChain(({ records, pass }) =>
        records.findCulprits(sides, pass('looking for the coin', endHeight - firstHeight)),
      );
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#report.warn(`which coin it is cannot be told: ${(error as Error).message}`);
      return [];
    }
  }

  /** The segments that `sums` contradicts; null when none were given. */
  async differingSegments(): Promise<readonly number[] | null> {
    const { sums } = this.#options;
    if (sums === undefined) return null;
    return this.#withChain(({ records, pass }) =>
      records.differingSegments(sums, pass('looking for the segment', records.endHeight())),
    );
  }

  /** Lets go of hints that were made for a run that has ended. */
  async forget(): Promise<void> {
    if (this.#made) await rm(this.#made, { force: true });
  }

  async #withChain<T>(work: (chain: OpenChain) => Promise<T>): Promise<T> {
    const quiet = { ...this.#report, warn: () => {} };
    const chain = await openChain(this.#options, this.#signal, quiet);
    try {
      return await work(chain);
    } finally {
      await chain.close();
    }
  }
}

/** Whether an error says that blocks or undo records are not what they should be. */
function isAboutBlocks(error: unknown): error is BlockswarmError {
  return (
    error instanceof BlockswarmError && /^ERR_(BLOCK_DAMAGED|SPENT_MISSING|HEADERS|COINS)$/.test(error.code)
  );
}

function coinsFailure({ endHeight }: ValidationVerdict): NonNullable<ValidationVerdict['failure']> {
  const reason = 'coins created and spent do not add up';
  return { level: 'set', height: endHeight, reason, txid: null, input: null, blame: 'coins' };
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
    const first = Math.floor((chain ? plan.firstHeight : 0) / network.interval);
    const why = chain
      ? `which holds block ${plan.firstHeight}`
      : 'and without it nothing says which chain the others are of. Name a catalogue (--catalogue)';
    throw new BlockswarmError('ERR_DATADIR_EMPTY', `${folder} has no segment ${first}, ${why}`);
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
