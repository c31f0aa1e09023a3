// Programs that make torrents, ours the last. A peer that is not there says how it can be had.
import { join } from 'node:path';
import { root } from '../scripts/cache.mjs';
import { ensureBenchmarkPeer } from '../scripts/debian-peers.mjs';
import { ensureLibtorrent, ensurePythonMakers } from '../scripts/python-peers.mjs';
import { findRqbit } from '../scripts/rqbit.mjs';
import { ours } from './contest.mjs';

const script = (name) => new URL(name, import.meta.url).pathname;
const all = ['v1', 'v2', 'hybrid'];
const everyPieceLength = () => true;
const fromDebian = 'it cannot be unpacked: apt-get and a Debian mirror are needed';

/**
 * Each: its name; `version`, a command that says it; why it is `missing`; `kinds` that it makes; `makes(pieceLengthBytes, isTree)`; `command(kind, pieceLengthBytes, path, out)`,
 * which writes a torrent to `out`, or prints a magnet link; `lead`: how much faster we want to be.
 */
export function makers() {
  const mktorrent = ensureBenchmarkPeer('mktorrent');
  const transmission = ensureBenchmarkPeer('transmission-create');
  const python = ensurePythonMakers();
  const rqbit = findRqbit();
  const pythonMaker = (name, kinds) => ({
    name,
    missing: python ? '' : 'it cannot be installed from PyPI',
    version: pythonVersion(python, name),
    kinds,
    lead: 1,
    makes: everyPieceLength,
    command: (kind, piece, path, out) => [
      python,
      '-BW',
      'ignore',
      script('python_makers.py'),
      name,
      kind,
      String(piece),
      path,
      out,
    ],
  });
  return [
    {
      name: 'libtorrent',
      version: pythonVersion(ensureLibtorrent(), 'libtorrent'),
      kinds: all,
      lead: 2,
      makes: everyPieceLength,
      command: (kind, piece, path, out) => [
        ensureLibtorrent(),
        '-BW',
        'ignore',
        script('libtorrent_bench.py'),
        'make',
        kind,
        String(piece),
        path,
        out,
      ],
    },
    {
      name: 'mktorrent',
      missing: mktorrent ? '' : fromDebian,
      version: [mktorrent, '-h'],
      kinds: ['v1'],
      lead: 1.5,
      makes: everyPieceLength,
      // It wants a tracker, and takes as many threads as there are cores.
      command: (_, piece, path, out) => [
        mktorrent,
        '--announce=http://tracker.invalid/',
        `--piece-length=${Math.log2(piece)}`,
        `--output=${out}`,
        path,
      ],
    },
    pythonMaker('torf', ['v1']),
    pythonMaker('torrentfile', all),
    {
      name: 'transmission-create',
      missing: transmission ? '' : fromDebian,
      version: [transmission, '--version'],
      kinds: ['v1'],
      lead: 1,
      makes: everyPieceLength,
      command: (_, piece, path, out) => [transmission, '-s', String(piece / 1024), '-o', out, path],
    },
    {
      name: 'rqbit',
      version: [rqbit, '--version'],
      missing: rqbit ? '' : 'it was not built; `node scripts/rqbit.mjs` does it, in minutes',
      kinds: ['v1'],
      lead: 1,
      // It knows no other piece length, and takes the files of a folder as they come.
      makes: (piece, isTree) => piece === 2 ** 21 && !isTree,
      until: 'magnet:',
      command: (_kind, _piece, path) => [rqbit, ...loopbackOnly, 'share', path],
    },
    {
      name: ours,
      kinds: all,
      makes: everyPieceLength,
      command: (kind, piece, path, out) => [
        process.execPath,
        join(root, 'dist', 'cli', 'main.js'),
        'torrent',
        'make',
        path,
        `--${kind}`,
        '--piece-length',
        String(piece),
        '--no-date',
        '--out',
        out,
        '--json',
      ],
    },
  ];
}

/** Says which version of a package a Python has. */
export function pythonVersion(python, name) {
  return [python, '-c', `import importlib.metadata as m; print('${name}', m.version('${name}'))`];
}

const loopbackOnly = [
  '--disable-dht',
  '--disable-lsd',
  '--disable-trackers',
  '--disable-upnp-port-forward',
  '--listen-ip',
  '127.0.0.1',
  '--http-api-listen-addr',
  '127.0.0.1:0',
];
