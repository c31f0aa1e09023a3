/** rqbit (crates.io, v1 only) as a peer. Building it takes minutes: `node scripts/rqbit.mjs`, once. */
import { existsSync } from 'node:fs';
import type { Test } from 'tap';
import { freePort } from './free-port.js';
import { Program } from './program.js';
import { tempFolder } from './temp.js';

const command = process.env['BLOCKSWARM_RQBIT'] ?? '';

/** For tap's `skip`: why a test that needs rqbit does not run, or `false`. */
export const noRqbit: string | false = !existsSync(command) && 'no rqbit: `node scripts/rqbit.mjs` builds it';

export interface Job {
  readonly torrent: string;
  /** The folder in which the content is, or comes to. */
  readonly folder: string;
  /** `host:port`, asked for the torrent. */
  readonly peer?: string;
  /** Ends when it has all. */
  readonly exits?: boolean;
}

/** Downloads a torrent, or looks at what is there and seeds it. `port`: where it listens. */
export async function startRqbit(t: Test, job: Job): Promise<{ program: Program; port: number }> {
  const [port, apiPort] = [await freePort(), await freePort()];
  const args = ['--disable-dht', '--disable-lsd', '--disable-trackers', '--listen-ip', '127.0.0.1'];
  args.push('--listen-port', String(port), '--http-api-listen-addr', `127.0.0.1:${apiPort}`, 'download');
  if (job.exits) args.push('--exit-on-finish');
  args.push('--overwrite', '-o', job.folder);
  if (job.peer) args.push('--initial-peers', job.peer);
  // It keeps state below its home.
  const program = new Program(t, command, [...args, job.torrent], { env: { HOME: tempFolder(t) } });
  return { program, port };
}
