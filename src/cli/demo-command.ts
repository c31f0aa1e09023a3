/** `blockswarm demo`: what `npm start` runs. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BlockswarmError } from '../errors.js';
import { type DemoResult, demo } from '../node/demo.js';
import { formatBytes } from '../units.js';
import { bootstrapText } from './bootstrap-command.js';
import { stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

export async function demoCommand({ env, output, options }: CommandContext<{ readonly stateDir?: string }>) {
  const { execPath, programPath, pid } = env;
  const enginePath = fileURLToPath(new URL('../bridge/engine/child.js', import.meta.url));
  const folder = join(stateDir(env, options.stateDir), 'demo');
  const result = await demo(
    { folder, execPath, programPath, pid, enginePath },
    env.signal,
    jobReport(output),
  );
  if (!result.opensAtSealedHash) {
    throw new BlockswarmError(
      'ERR_ENGINE',
      `the bootstrapped directory does not open at block ${result.source.sealedHash}`,
    );
  }
  output.result(result, () => demoText(result));
}

function demoText({ source, result, newerBlocks, seconds, peakMemoryBytes }: DemoResult): string {
  const memory =
    peakMemoryBytes === null ? '' : `, at most ${formatBytes(peakMemoryBytes)} of memory over all processes`;
  return [
    '',
    `source: ${source.datadir}`,
    `  tip       ${source.tipHash}, height ${source.height} (mainnet)`,
    `  sealed    ${source.sealedHash}, height ${source.sealedHeight}`,
    '',
    bootstrapText(result),
    '',
    `Core's engine opens it at the same block as the source has at height ${source.sealedHeight}. The ${newerBlocks.toLocaleString('en')} newer blocks are not sealed yet:`,
    "they travel over Bitcoin's own P2P network, from which the bootstrapped node fetches them as usual.",
    `The whole demo took ${seconds.toFixed(1)} s${memory}.`,
  ].join('\n');
}
