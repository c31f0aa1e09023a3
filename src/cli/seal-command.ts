/** `blockswarm seal resume`: lets sealing go on after a reorganisation that took back sealed segments. */
import { networkParams } from '../native.js';
import { ReorganisationRecord } from '../node/reorganisation-record.js';
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
  const record = ReorganisationRecord.open(folder, network);
  const reorganisation = record.resume();
  await record.write();
  output.result({ network, wasPaused: reorganisation !== null, reorganisation }, () =>
    reorganisation
      ? `sealing goes on from segment ${reorganisation.firstSegment} on; a running seed notices within seconds`
      : 'sealing is not paused',
  );
}
