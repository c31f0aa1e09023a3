/** `blockswarm get`: fetches a torrent. */
import { type GetOptions, type GetResult, get } from '../node/get.js';
import { formatBytes, formatDuration, formatRate } from '../units.js';
import { stateDir, stopped } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

interface Options extends Omit<GetOptions, 'source' | 'stateDir' | 'timeoutSeconds' | 'finished'> {
  readonly stateDir?: string;
  readonly timeout: number;
  readonly seed?: boolean;
}

export async function getCommand({ env, output, options, args }: CommandContext<Options>): Promise<void> {
  const { timeout, seed, ...rest } = options;
  const settings: GetOptions = {
    ...rest,
    source: args[0] ?? '',
    stateDir: stateDir(env, options.stateDir),
    timeoutSeconds: timeout,
    finished: async (result) => {
      output.result({ event: 'complete', ...result }, () => getText(result));
      if (seed) await stopped(env);
    },
  };
  await get(settings, env.signal, jobReport(output));
}

function getText({ content, selectedBytes, downloadedBytes, seconds, peers, webSeeds }: GetResult): string {
  if (downloadedBytes === 0) return `${content}: all here, ${formatBytes(selectedBytes)}`;
  const count = (what: string, many: number) =>
    many === 0 ? [] : [`${many} ${what}${many === 1 ? '' : 's'}`];
  const from = [...count('peer', peers), ...count('web seed', webSeeds)].join(' and ');
  const rate = formatRate(downloadedBytes / Math.max(seconds, 0.001));
  return `${content}: ${formatBytes(downloadedBytes)} from ${from} in ${formatDuration(seconds * 1000)} (${rate})`;
}
