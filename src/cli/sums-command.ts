/** `blockswarm sums make`. */
import { makeSums, type SumsOptions } from '../node/coin-set.js';
import { formatBytes, formatDuration } from '../units.js';
import { nothingKept, stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

type Options = Omit<SumsOptions, 'stateDir'> & { readonly stateDir?: string };

export async function sumsMakeCommand({ env, output, options }: CommandContext<Options>): Promise<void> {
  const startMs = performance.now();
  const settings = { ...options, stateDir: stateDir(env, options.stateDir) };
  const result = await makeSums(settings, env.signal, jobReport(output)).catch(
    nothingKept(env, 'no file was written'),
  );
  const ms = performance.now() - startMs;
  const { network, segments, file, lengthBytes } = result;
  output.result(
    { ...result, seconds: ms / 1000 },
    () =>
      `${file}: sums of ${segments} segments of ${network}, ${formatBytes(lengthBytes)}, in ${formatDuration(ms)}`,
  );
}
