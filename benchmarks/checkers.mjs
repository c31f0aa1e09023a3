import { mkdtempSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { root } from '../scripts/cache.mjs';
import { ensureBenchmarkPeer } from '../scripts/debian-peers.mjs';
import { ensureLibtorrent } from '../scripts/python-peers.mjs';
import { ours } from './contest.mjs';
import { pythonVersion } from './makers.mjs';
import { measured } from './programs.mjs';
import { Transmission } from './transmission.mjs';

const script = new URL('libtorrent_bench.py', import.meta.url).pathname;
const cli = join(root, 'dist', 'cli', 'main.js');
const cores = availableParallelism();

export function checkers() {
  const daemon = ensureBenchmarkPeer('transmission-daemon');
  const python = ensureLibtorrent();
  const libtorrent = (threads) => ({
    kinds: ['v1', 'v2', 'hybrid'],
    open: async ({ torrent, folder }) => ({
      check: () => measured([python, '-BW', 'ignore', script, 'verify', String(threads), folder, torrent]),
      close: async () => {},
    }),
  });
  return [
    { name: 'libtorrent', version: pythonVersion(python, 'libtorrent'), lead: 2, ...libtorrent(1) },
    { name: `libtorrent, ${cores} hashing threads`, lead: 1, ...libtorrent(cores) },
    {
      name: 'transmission',
      version: [daemon, '--version'],
      missing: daemon ? '' : 'it cannot be unpacked: apt-get and a Debian mirror are needed',
      lead: 2,
      // It takes a hybrid torrent for a v1 torrent.
      kinds: ['v1', 'hybrid'],
      open: async ({ torrent, folder }) => {
        const home = mkdtempSync(join(folder, 'transmission-'));
        const transmission = await Transmission.start(daemon, home, torrent, folder);
        return { check: () => transmission.verify(), close: () => transmission.close() };
      },
    },
    { name: ours, kinds: ['v1', 'v2', 'hybrid'], open: blockswarm },
  ];
}

async function blockswarm({ torrent, folder, name, pieceBytes }) {
  const args = [cli, 'torrent', 'verify', torrent, join(folder, name), '--json'];
  return {
    check: async () => {
      // It exits with an error when something is damaged.
      const { stdout, ...cost } = await measured([process.execPath, ...args], { mayFail: true });
      const ranges = JSON.parse(stdout).damaged.flatMap((file) => file.ranges);
      const wrong = ranges.map(({ startBytes }) => Math.floor(startBytes / pieceBytes));
      return { ...cost, wrongPieces: [...new Set(wrong)] };
    },
    close: async () => {},
  };
}
