/** `blockswarm bootstrap`: makes a data directory that Bitcoin Core opens. */
import { fileURLToPath } from 'node:url';
import { BlockswarmError } from '../errors.js';
import type { ScriptsVerdict } from '../node/arriving-scripts.js';
import {
  type BootstrapOptions,
  type BootstrapResult,
  bootstrap,
  type ProvenRange,
} from '../node/bootstrap.js';
import type { Level } from '../node/proof.js';
import type { HeightRange } from '../node/source.js';
import { formatBytes, formatDuration } from '../units.js';
import { coreDatadir, stateDir, stopped } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

interface Options
  extends Omit<
    BootstrapOptions,
    | 'stateDir'
    | 'coreDatadir'
    | 'enginePath'
    | 'timeoutSeconds'
    | 'scratchBytes'
    | 'checkpointBytes'
    | 'finished'
    | 'proveScripts'
  > {
  readonly stateDir?: string;
  readonly timeout: number;
  /** MiB. */
  readonly scratchSize: number;
  /** MiB. */
  readonly checkpoint: number;
  readonly stay?: boolean;
  readonly prove?: ReadonlySet<Level>;
}

export async function bootstrapCommand({ env, output, options }: CommandContext<Options>): Promise<void> {
  if (options.prove?.has('set')) {
    throw new BlockswarmError(
      'ERR_USAGE',
      "--prove of bootstrap takes chain and scripts: Core's engine proves the set",
    );
  }
  const settings = {
    ...options,
    proveScripts: options.prove?.has('scripts') ?? false,
    stateDir: stateDir(env, options.stateDir),
    coreDatadir: coreDatadir(env),
    enginePath: fileURLToPath(new URL('../bridge/engine/child.js', import.meta.url)),
    timeoutSeconds: options.timeout,
    scratchBytes: options.scratchSize * 2 ** 20,
    checkpointBytes: options.checkpoint * 2 ** 20,
    finished: async (result: BootstrapResult) => {
      output.result(result, () => bootstrapText(result));
      if (options.stay) await stopped(env);
    },
  };
  await bootstrap(settings, env.signal, jobReport(output));
}

/** The report of a bootstrapped directory, for a person. */
export function bootstrapText(result: BootstrapResult): string {
  const { levels, assumedValidBelow, ownScripts } = result;
  const rate = result.downloadedBytes / Math.max(result.seconds, 0.001);
  return [
    `done: ${result.datadir} opens in Bitcoin Core`,
    `  tip       ${result.tipHash}, height ${result.height} (${result.network})`,
    `  bytes     ${levelText(levels.bytes)}`,
    `  chain     ${levelText(levels.chain)}`,
    `  scripts   ${levelText(levels.scripts)}`,
    ...(ownScripts ? [`            ${ownText(ownScripts, result.height + 1)}`] : []),
    ...(assumedValidBelow
      ? [`            assumed valid below ${assumedValidBelow.hash} (height ${assumedValidBelow.height})`]
      : []),
    `  set       ${levelText(levels.set)}`,
    `  fetched   ${formatBytes(result.downloadedBytes)} from ${result.peers} ${result.peers === 1 ? 'peer' : 'peers'} ` +
      `in ${formatDuration(result.seconds * 1000)} (${formatBytes(rate)}/s)`,
    ...(result.chainWorkFloorLowered
      ? ["  WARNING   the floor for the chain's work was lowered: use this for tests only"]
      : []),
  ].join('\n');
}

function ownText({ valid, inputs, failure }: ScriptsVerdict, endHeight: number): string {
  if (failure) {
    const { height, reason, blame } = failure;
    return `NOT VALID as judged here: block ${height}: ${reason} (to blame: ${blame})`;
  }
  // A run that failed or was killed may have left some to the engine alone.
  const others = gaps(valid, endHeight);
  const not = others.length > 0 ? `; NOT judged valid here: ${heightsText(others)}` : '';
  if (valid.length === 0) return `judged here too: nothing${not}`;
  return `judged here too for heights ${heightsText(valid)}: ${inputs} inputs (spent outputs not yet proven)${not}`;
}

/** Heights up to an end that are in none of the ranges, which are in order. */
function gaps(ranges: readonly HeightRange[], endHeight: number): HeightRange[] {
  const starts = [0, ...ranges.map((range) => range.endHeight)];
  const ends = [...ranges.map((range) => range.firstHeight), endHeight];
  const between = starts.map((firstHeight, at) => ({ firstHeight, endHeight: ends[at] ?? endHeight }));
  return between.filter((range) => range.firstHeight < range.endHeight);
}

function heightsText(ranges: readonly HeightRange[]): string {
  return ranges.map(({ firstHeight, endHeight }) => `${firstHeight} to ${endHeight - 1}`).join(', ');
}

function levelText(ranges: readonly ProvenRange[]): string {
  if (ranges.length === 0) return 'not proven';
  return ranges
    .map(({ firstHeight, endHeight, by }) => `proven for heights ${firstHeight} to ${endHeight - 1}: ${by}`)
    .join('; ');
}
