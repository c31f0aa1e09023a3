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
    ...(ownScripts ? [`            ${ownText(ownScripts)}`] : []),
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

function ownText({ valid, inputs, failure }: ScriptsVerdict): string {
  if (failure) {
    const { height, reason, blame } = failure;
    return `NOT VALID as judged here: block ${height}: ${reason} (to blame: ${blame})`;
  }
  if (valid.length === 0) return 'judged here too: nothing';
  const heights = valid.map(({ firstHeight, endHeight }) => `${firstHeight} to ${endHeight - 1}`);
  return `judged here too for heights ${heights.join(', ')}: ${inputs} inputs (spent outputs not yet proven)`;
}

function levelText(ranges: readonly ProvenRange[]): string {
  if (ranges.length === 0) return 'not proven';
  return ranges
    .map(({ firstHeight, endHeight, by }) => `proven for heights ${firstHeight} to ${endHeight - 1}: ${by}`)
    .join('; ');
}
