/** `blockswarm hints make`. */
import { exitCode } from '../errors.js';
import { type HintsOptions, type HintsResult, makeHints } from '../node/coin-set.js';
import { formatBytes, formatDuration } from '../units.js';
import { culpritJson, culpritLines } from './culprits.js';
import { nothingKept, stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

type Options = Omit<HintsOptions, 'stateDir'> & { readonly stateDir?: string };

export async function hintsMakeCommand({
  env,
  output,
  options,
  outcome,
}: CommandContext<Options>): Promise<void> {
  const startMs = performance.now();
  const settings = { ...options, stateDir: stateDir(env, options.stateDir) };
  const result = await makeHints(settings, env.signal, jobReport(output)).catch(
    nothingKept(env, 'no file was written'),
  );
  const ms = performance.now() - startMs;
  if (result.file === null) outcome.exitCode = exitCode('ERR_COINS');
  const { culprits, ...rest } = result;
  const json = {
    ...rest,
    seconds: ms / 1000,
    ...(culprits.length > 0 && { culprits: culprits.map(culpritJson) }),
  };
  output.result(json, () => hintsText(result, ms));
}

function hintsText({ network, endHeight, file, survivors, lengthBytes, culprits }: HintsResult, ms: number) {
  const blocks = `the blocks 0 to ${endHeight - 1} of ${network}`;
  if (file === null)
    return [`no hints: the coins of ${blocks} do not add up`, ...culpritLines(culprits)].join('\n');
  return (
    `${file}: hints for ${blocks}, ${formatBytes(lengthBytes)}, in ${formatDuration(ms)}\n` +
    `  ${survivors} outputs survive`
  );
}
