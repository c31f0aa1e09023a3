/** `blockswarm validate`: proves a chain, here or from the swarm. */
import { exitCode, usage } from '../errors.js';
import type { PeerNodeChoice } from '../node/open-peer-node.js';
import type { Level, Proven, Validated } from '../node/proof.js';
import { validateChain } from '../node/validate.js';
import { validateArriving } from '../node/validate-arriving.js';
import { displayHash, formatDuration } from '../units.js';
import { culpritJson, culpritLines } from './culprits.js';
import { coreDatadir, stateDir } from './env.js';
import { jobReport } from './job-report.js';
import { levelSet } from './options.js';
import type { OutputOptions } from './output.js';
import type { CommandContext } from './program.js';

interface Options extends OutputOptions, PeerNodeChoice {
  readonly datadir?: string;
  readonly blocks?: string;
  readonly segments?: string;
  readonly catalogue?: readonly string[];
  readonly network: string;
  readonly prove?: ReadonlySet<Level>;
  readonly from?: number;
  readonly to?: number;
  readonly hints?: string;
  readonly snapshot?: string;
  readonly sums?: string;
  readonly fromSnapshot?: string;
  readonly threads?: number;
  readonly stateDir?: string;
  readonly minChainWork?: string;
  readonly scratch?: string;
  /** MiB. */
  readonly scratchSize: number;
  readonly timeout: number;
}

export async function validateCommand({
  env,
  output,
  options,
  given,
  outcome,
}: CommandContext<Options>): Promise<void> {
  const { datadir, segments, catalogue, from, to, hints, snapshot } = options;
  const isArriving = datadir === undefined && segments === undefined && catalogue !== undefined;
  checkSource(options);
  checkLevels(options);
  if (isArriving) checkArriving(options, given);
  else checkHere(options, given);
  const isSet = hints !== undefined || snapshot !== undefined;
  const proof = {
    levels: options.prove ?? levelSet(isSet ? 'chain,scripts,set' : 'chain,scripts'),
    firstHeight: from,
    endHeight: to === undefined ? undefined : to + 1,
    startSnapshot: options.fromSnapshot,
    stateDir: stateDir(env, options.stateDir),
  };
  const report = jobReport(output);
  const result = isArriving
    ? await validateArriving(
        {
          ...options,
          ...proof,
          coreDatadir: coreDatadir(env),
          timeoutSeconds: options.timeout,
          scratchBytes: options.scratchSize * 2 ** 20,
        },
        env.signal,
        report,
      )
    : await validateChain({ ...options, ...proof, catalogue: catalogue?.[0] }, env.signal, report);
  output.result(json(result), () => text(result));
  if (result.failure) outcome.exitCode = exitCode('ERR_BLOCK_INVALID');
}

function checkSource({ datadir, blocks, segments, catalogue }: Options): void {
  if (datadir === undefined && segments === undefined && catalogue === undefined)
    throw usage('name what to validate: --datadir DIR, --segments DIR or --catalogue SOURCE');
  if (datadir !== undefined && segments !== undefined)
    throw usage('--datadir and --segments exclude each other');
  if (datadir !== undefined && catalogue !== undefined)
    throw usage('--catalogue is for --segments, or stands alone');
  if (blocks !== undefined && datadir === undefined) throw usage('--blocks belongs to --datadir');
}

function checkLevels({ prove, hints, snapshot, fromSnapshot, from = 0, to }: Options): void {
  if (hints !== undefined && snapshot !== undefined) throw usage('--hints and --snapshot exclude each other');
  const coins = hints ?? snapshot ?? fromSnapshot;
  if (coins !== undefined && prove && !prove.has('set')) {
    throw usage('--hints, --snapshot and --from-snapshot belong to --prove set');
  }
  if (fromSnapshot !== undefined && snapshot === undefined) {
    throw usage('--from-snapshot goes with --snapshot: the coins before the first block and after the last');
  }
  if (to !== undefined && to < from) throw usage(`--to ${to} is below --from ${from}`);
}

/** What only a chain that is here can be asked. */
function checkArriving({ prove, hints, snapshot }: Options, given: ReadonlyMap<string, string>): void {
  if (given.has('sums')) throw usage('--sums is for a chain that is here: --datadir DIR or --segments DIR');
  if (prove?.has('set') && hints === undefined && snapshot === undefined) {
    throw usage(
      'set takes --hints FILE or --snapshot FILE here: which coins survive is found only over a chain that is here. ' +
        '`hints make` makes the hints; `get` fetches their torrent',
    );
  }
}

/** What an option means where nothing comes from peers: nothing. */
function checkHere({ catalogue = [] }: Options, given: ReadonlyMap<string, string>): void {
  const [file = '', ...others] = catalogue;
  if (others.length > 0) throw usage('--segments takes one --catalogue FILE');
  if (/^(https?:\/\/|dht:|datadir(:|$)|(rendezvous|known)$)/i.test(file))
    throw usage(`--segments takes a catalogue's file, got \`${file}\``);
  for (const [name, flag] of given) {
    if (!ofAnyChain.has(name)) throw usage(`${flag} is for a chain from peers: --catalogue SOURCE alone`);
  }
}

const ofAnyChain: ReadonlySet<string> = new Set([
  ...['json', 'jsonLines', 'quiet', 'stateDir', 'network', 'threads'],
  ...['datadir', 'blocks', 'segments', 'catalogue'],
  ...['prove', 'from', 'to', 'hints', 'snapshot', 'sums', 'fromSnapshot'],
]);

function json(result: Validated) {
  const { network, firstHeight, endHeight, blocks, transactions, inputs, seconds, proven, failure } = result;
  const culprits = result.culprits.map(culpritJson);
  const { differingSegments } = result;
  return {
    network,
    firstHeight,
    endHeight,
    blocks,
    transactions,
    inputs,
    seconds,
    inputsPerSecond: rate(result),
    proven,
    ...(failure && {
      failure: {
        ...failure,
        txid: failure.txid && displayHash(failure.txid),
        ...(culprits.length > 0 && { culprits }),
        ...(differingSegments && { differingSegments }),
      },
    }),
  };
}

/** Of this run: earlier ones that it went on from had their own time. */
function rate({ newInputs, seconds }: Validated): number {
  return seconds > 0 ? Math.round(newInputs / seconds) : 0;
}

function text(result: Validated): string {
  const { path, network, firstHeight, endHeight, blocks, transactions, inputs, seconds, proven, failure } =
    result;
  const lines = failure
    ? [`${path}: NOT VALID at ${place(failure)}`, `  ${blames[failure.blame] ?? failure.blame}`]
    : [`${path}: ${network}, blocks ${firstHeight} to ${endHeight - 1} are valid`];
  const { differingSegments } = result;
  if (differingSegments) lines.push(`  ${segmentsText(differingSegments)}`);
  lines.push(...culpritLines(result.culprits), ...proven.flatMap(provenLines));
  if (proven.length === 0) lines.push('  nothing is proven');
  lines.push(
    `  ${blocks} blocks, ${transactions} transactions, ${inputs} inputs in ${formatDuration(seconds * 1000)} (${rate(result)} inputs a second)`,
  );
  return lines.join('\n');
}

function segmentsText(segments: readonly number[]): string {
  if (segments.length === 0) return 'all segments come to what the sums say';
  return `other than the sums say: segment ${segments.join(', ')}`;
}

function provenLines({ firstHeight, endHeight, levels: proven }: Proven): string[] {
  const isSet = proven.includes('set');
  const remark = (level: Level) => (level === 'scripts' && !isSet ? ' (spent outputs not yet proven)' : '');
  return [
    `  proven for blocks ${firstHeight} to ${endHeight - 1}: ${proven.map((level) => `${level}${remark(level)}`).join(', ')}`,
  ];
}

function place({ level, height, reason, txid, input }: NonNullable<Validated['failure']>): string {
  const where = [
    level === 'set' && txid === null ? `the coins after block ${height - 1}` : `block ${height}`,
    txid && `transaction ${displayHash(txid)}`,
    input !== null && `input ${input}`,
  ];
  return `${where.filter(Boolean).join(', ')}: ${reason}`;
}

/** Who is to blame, and what to do about it. */
const blames: Readonly<Record<string, string>> = {
  bytes: 'the bytes are not what the header commits to: they are damaged here, the chain may be sound',
  block: 'the block breaks a rule, if what it spends is as claimed',
  'spent-record': 'what the block is said to spend cannot be that: its undo data is damaged or forged',
  header: 'a header breaks a rule: none after it counts',
  hints: 'the hints are wrong',
  coins:
    'what blocks are said to spend, and the hints or snapshot, contradict each other: one of them is wrong',
};
