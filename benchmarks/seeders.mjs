// Programs that seed a torrent whose file is at hand, each set up for throughput and for many peers, plaintext over TCP.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../scripts/cache.mjs';
import { ensureDebianPeers } from '../scripts/debian-peers.mjs';
import { ensureLibtorrent } from '../scripts/python-peers.mjs';
import { findRqbit } from '../scripts/rqbit.mjs';
import { freePort, start } from './programs.mjs';
import { Transmission } from './transmission.mjs';

export const cli = join(root, 'dist', 'cli', 'main.js');
const script = new URL('libtorrent_bench.py', import.meta.url).pathname;

/** libtorrent's Python with the script that makes torrents and seeds them. */
export function libtorrentCommand() {
  return [ensureLibtorrent(), '-BW', 'ignore', script];
}

/** `blockswarm seed` with some more arguments; it says where it listens. */
export function blockswarm(home, ...args) {
  const common = ['--listen', '127.0.0.1:0', '--no-dht', '--state-dir', join(home, 'state'), '--json'];
  return started(process.execPath, [cli, 'seed', ...args, ...common], /"listen":"127\.0\.0\.1:(\d+)"/);
}

/** libtorrent, every byte encrypted with RC4 (`rc4`) or over uTP (`utp`). */
export function libtorrentBy(carriage, { folder, torrent }) {
  const [python, ...options] = libtorrentCommand();
  return started(python, [...options, `seed-${carriage}`, folder, torrent], /"port": (\d+)/);
}

/**
 * By name: starts the program on a torrent of one file, which is in `folder`; `home` is an empty folder for what it
 * keeps. `slots`: it serves no more peers at a time. Null where it cannot be had.
 */
export function seeders() {
  const { aria2, transmission } = ensureDebianPeers();
  const rqbit = findRqbit();
  const [python, ...options] = libtorrentCommand();
  return {
    libtorrent: {
      begin: ({ folder, torrent }) => started(python, [...options, 'seed', folder, torrent], /"port": (\d+)/),
    },
    transmission: transmission
      ? { begin: (content) => seedWithTransmission(transmission, content) }
      : { missing: 'no package of Debian 13 at hand' },
    rqbit: rqbit
      ? { begin: (content) => seedWithRqbit(rqbit, content) }
      : { missing: 'not built: node scripts/rqbit.mjs' },
    aria2: aria2
      ? { begin: (content) => seedWithAria2(aria2, content), slots: 4 }
      : { missing: 'no package of Debian 13 at hand' },
  };
}

async function started(command, args, ready, options) {
  const program = await start(command, args, ready, options);
  return { pid: program.pid, port: Number(program.match[1]), stop: program.stop };
}

async function seedWithTransmission(command, { folder, torrent, home }) {
  mkdirSync(home, { recursive: true });
  const daemon = await Transmission.start(command, home, torrent, folder);
  await daemon.verify();
  await daemon.seed();
  return { pid: daemon.pid, port: daemon.peerPort, stop: () => daemon.close() };
}

/** It hashes the file before it listens to anybody. */
async function seedWithRqbit(command, { folder, torrent, home }) {
  mkdirSync(home, { recursive: true });
  const [port, apiPort] = [await freePort(), await freePort()];
  const listen = ['--listen-ip', '127.0.0.1', '--listen-port', String(port)];
  const args = [
    '--disable-dht',
    '--disable-lsd',
    ...listen,
    '--http-api-listen-addr',
    `127.0.0.1:${apiPort}`,
  ];
  const program = await start(command, [...args, 'download', '-o', folder, '--overwrite', torrent], /./, {
    env: { ...process.env, HOME: home },
  });
  return { pid: program.pid, port, stop: program.stop };
}

async function seedWithAria2(command, { folder, torrent }) {
  const quiet = ['enable-dht', 'enable-dht6', 'bt-enable-lpd', 'enable-peer-exchange', 'check-integrity'];
  const args = ['--no-conf', ...quiet.map((name) => `--${name}=false`), '--bt-seed-unverified=true'];
  args.push(
    '--disable-ipv6=true',
    `--listen-port=${await freePort()}`,
    '--seed-ratio=0.0',
    '--bt-max-peers=0',
  );
  return started(command, [...args, '-d', folder, torrent], /listening on TCP port (\d+)/);
}
