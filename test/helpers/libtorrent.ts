/** libtorrent as a maker, judge, leecher and seeder that shares no line with us (see libtorrent_peer.py). */
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { outputOf, Program } from './program.js';

const script = fileURLToPath(new URL('libtorrent_peer.py', import.meta.url));

/** The Python that has libtorrent: `npm test` sets it. */
export const python = process.env['BLOCKSWARM_PYTHON'] ?? '';

/** For tap's `skip`: why a test that needs libtorrent does not run, or `false`. */
export const noLibtorrent: string | false = python === '' && 'no libtorrent: BLOCKSWARM_PYTHON is not set';

/** What libtorrent says of a torrent. */
export interface TorrentFacts {
  readonly name: string;
  readonly lengthBytes: number;
  readonly infoHashV1: string | null;
  readonly infoHashV2: string | null;
}

/** Makes the hybrid torrents of flat files. */
export async function makeTorrents(t: Test, files: readonly string[]): Promise<TorrentFacts[]> {
  return jsonLines(await outputOf(t, python, ['-BW', 'ignore', script, 'make', ...files]));
}

/** Makes the torrent of a file or folder. */
export async function makeTreeTorrent(
  t: Test,
  kind: 'v1' | 'v2' | 'hybrid',
  pieceLengthBytes: number,
  path: string,
): Promise<TorrentFacts | undefined> {
  const args = ['-BW', 'ignore', script, 'tree', kind, String(pieceLengthBytes), path];
  return jsonLines<TorrentFacts>(await outputOf(t, python, args))[0];
}

/** Loads .torrent files; rejects when libtorrent refuses one or finds its piece layer wrong. */
export async function loadTorrents(t: Test, torrents: readonly string[]): Promise<TorrentFacts[]> {
  return jsonLines(await outputOf(t, python, ['-BW', 'ignore', script, 'load', ...torrents]));
}

/** How libtorrent meets its peer, and in no other way; in plain over TCP when nothing is said. */
export interface Carriage {
  readonly encrypted?: boolean;
  readonly utp?: boolean;
  /** `host:port` of a SAM bridge: through I2P. */
  readonly sam?: string;
}

function flags({ encrypted, utp, sam }: Carriage): string[] {
  const i2p = sam === undefined ? [] : [`--sam=${sam}`];
  return [...(encrypted ? ['--encrypted'] : []), ...(utp ? ['--utp'] : []), ...i2p];
}

export interface Download extends Carriage {
  /** A .torrent file or a magnet link. */
  readonly source: string;
  readonly outFolder: string;
  /** `host:port` each. */
  readonly peers: readonly string[];
}

/** Downloads a torrent to the last byte. */
export async function downloadWithLibtorrent(t: Test, download: Download): Promise<void> {
  const { source, outFolder, peers } = download;
  const args = [...flags(download), 'get', outFolder, peers.join(','), source];
  await outputOf(t, python, ['-BW', 'ignore', script, ...args]);
}

/** Seeds torrents whose files lie in a folder; returns `host:port` once libtorrent has checked them. */
export async function seedWithLibtorrent(
  t: Test,
  folder: string,
  torrents: readonly string[],
  carriage: Carriage = {},
): Promise<string> {
  const args = [...flags(carriage), 'seed', folder, ...torrents];
  const program = new Program(t, python, ['-BW', 'ignore', script, ...args]);
  const [, port] = await program.printed(/"port": (\d+)/);
  return `127.0.0.1:${port}`;
}

function jsonLines<T>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T);
}
