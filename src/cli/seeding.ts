/** What every kind of `seed` says: that it is ready, and at the end what it sent. */
import { formatBytes } from '../units.js';
import { type Env, stopped } from './env.js';
import type { Output, OutputOptions } from './output.js';

interface Seeding {
  readonly env: Env;
  readonly output: Output;
  readonly options: OutputOptions;
  readonly stats: () => { readonly uploadedBytes: number };
  /** The fields of the ready line. */
  readonly ready: { readonly listen: string | null };
  /** It for a person. */
  readonly text: string;
  readonly startedMs: number;
}

/** Says that peers may come; resolves when it is to stop. */
export async function seeding({
  env,
  output,
  options,
  stats,
  ready,
  text,
  startedMs,
}: Seeding): Promise<void> {
  output.progress.clear();
  // The ready line is data: scripts wait for it, so it goes to stdout in either form.
  if (options.json || options.jsonLines) output.result({ event: 'ready', ...ready }, () => '');
  else env.out(`ready: ${text}\n`);
  await stopped(env);
  const { uploadedBytes } = stats();
  const seconds = (performance.now() - startedMs) / 1000;
  output.event(
    { event: 'stopped', uploadedBytes, seconds },
    `stopped: ${formatBytes(uploadedBytes)} uploaded`,
  );
}
