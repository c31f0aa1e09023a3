/** `blockswarm seal resume`: lets sealing go on after a reorganisation that took back sealed segments. */
import { networkParams } from '../native.js';
import { SealingPause } from '../node/sealing-pause.js';
import { StateFolder } from '../node/state.js';
import { stateDir } from './env.js';
import type { CommandContext } from './program.js';

interface ResumeOptions {
  readonly datadir: string;
  readonly network: string;
  readonly stateDir?: string;
}

export async function sealResumeCommand({
  env,
  output,
  options,
}: CommandContext<ResumeOptions>): Promise<void> {
  const network = networkParams(options.network).name;
  const folder = StateFolder.pathOf(stateDir(env, options.stateDir), options.datadir);
  const pause = await SealingPause.end(folder, network);
  output.result({ network, wasPaused: pause !== null, pause }, () =>
    pause
      ? `sealing goes on from segment ${pause.firstSegment} on; a running seed notices within seconds`
      : 'sealing is not paused',
  );
}
