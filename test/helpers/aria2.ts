/** aria2 (v1 only) as a leecher, which learns of peers from trackers only, and as a seeder. */
import { spawnSync } from 'node:child_process';
import type { Test } from 'tap';
import { freePort } from './free-port.js';
import { outputOf, Program } from './program.js';

/** `npm test` sets it where the system's own aria2 is too old. */
const command = process.env['BLOCKSWARM_ARIA2'] || 'aria2c';

/** For tap's `skip`: why a test that needs aria2 does not run, or `false`. */
export const noAria2: string | false = missing();

function missing(): string | false {
  const { stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
  const version = /aria2 version (\d+)\.(\d+)/.exec(stdout ?? '');
  if (!version) return 'no aria2: install the Debian package aria2';
  // aria2 before 1.37 drops the empty key of `file tree` and announces a wrong infohash (aria2#1903).
  return (
    Number(version[1]) === 1 &&
    Number(version[2]) < 37 &&
    'aria2 is older than 1.37 and cannot read hybrid torrents'
  );
}

export interface Download {
  readonly torrent: string;
  readonly outFolder: string;
  readonly trackerUrl: string;
  /** With nothing but RC4. */
  readonly encrypted?: boolean;
}

const quiet = ['--no-conf', '--enable-dht=false', '--enable-dht6=false', '--bt-enable-lpd=false'];
quiet.push('--enable-peer-exchange=false', '--disable-ipv6=true', '--interface=127.0.0.1');

/** Seeds what is in a folder, unchecked; resolves with where it listens. */
export async function seedWithAria2(t: Test, torrent: string, folder: string): Promise<string> {
  const args = ['--check-integrity=false', '--bt-seed-unverified=true', '--seed-ratio=0.0'];
  args.push(`--listen-port=${await freePort()}`, '--dir', folder, torrent);
  const program = new Program(t, command, [...quiet, ...args]);
  const [, port] = await program.printed(/listening on TCP port (\d+)/);
  return `127.0.0.1:${port}`;
}

/** Downloads a torrent to the last byte. */
export async function downloadWithAria2(
  t: Test,
  { torrent, outFolder, trackerUrl, encrypted = false }: Download,
): Promise<void> {
  const port = await freePort();
  const args = [...quiet, '--file-allocation=none'];
  args.push('--summary-interval=0', '--seed-time=0', `--listen-port=${port}`, `--bt-tracker=${trackerUrl}`);
  if (encrypted) args.push('--bt-require-crypto=true', '--bt-min-crypto-level=arc4');
  await outputOf(t, command, [...args, '--dir', outFolder, torrent]);
}
