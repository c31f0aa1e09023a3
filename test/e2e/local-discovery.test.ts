/** Peers of one network find each other by local service discovery, and by nothing else. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cli, programPath } from '../helpers/cli.js';
import { bytes, writeContent } from '../helpers/content-folder.js';
import { noLibtorrent, python } from '../helpers/libtorrent.js';
import { LAN_HOST, LocalNetwork, noLocalNetwork } from '../helpers/local-network.js';
import { tempFolder } from '../helpers/temp.js';

const CONTENT = bytes(300_000);
/** libtorrent, with its own local discovery. */
const LT = [
  '-BW',
  'ignore',
  join(import.meta.dirname, '../helpers/libtorrent_peer.py'),
  '--lsd',
  `--listen=${LAN_HOST}:0`,
];
const skip = noLocalNetwork;

interface Place {
  readonly network: LocalNetwork;
  readonly folder: string;
  readonly torrent: string;
}

async function place(t: Test, ...flags: string[]): Promise<Place> {
  const folder = tempFolder(t);
  writeContent(folder, { 'seed/data.bin': CONTENT });
  mkdirSync(join(folder, 'out'));
  const torrent = join(folder, 'data.torrent');
  await cli(t, ['torrent', 'make', join(folder, 'seed/data.bin'), '--out', torrent, ...flags]);
  return { network: await LocalNetwork.make(t), folder, torrent };
}

async function seed({ network, folder }: Place, listen: string) {
  const args = ['seed', '--torrents', folder, '--content', join(folder, 'seed'), '--listen', listen];
  const state = ['--no-dht', '--state-dir', join(folder, 'seed-state'), '--json'];
  const program = network.start(process.execPath, [programPath, ...args, ...state]);
  await program.printed(/"event":"ready"/);
}

function get({ network, folder, torrent }: Place, listen: string, ...more: string[]) {
  const args = ['get', torrent, '--out', join(folder, 'out'), '--listen', listen, '--no-dht'];
  const state = ['--state-dir', join(folder, 'get-state'), ...more];
  return network.start(process.execPath, [programPath, ...args, ...state]).finished;
}

const fetched = ({ folder }: Place) => readFileSync(join(folder, 'out/data.bin')).equals(CONTENT);

for (const [family, listen] of [
  ['IPv4', '0.0.0.0:0'],
  ['IPv6', '[fd77::1]:0'],
  ['both families', '[::]:0'],
]) {
  t.test(`a torrent is found on the local network over ${family}`, { skip }, async (t) => {
    const here = await place(t);
    await seed(here, listen ?? '');
    const { code, stderr } = await get(here, listen ?? '');
    t.equal(code, 0, stderr);
    t.ok(fetched(here));
  });
}

t.test('neither with --no-lsd nor when it is private', { skip }, async (t) => {
  for (const [flags, more] of [
    [['--private', '--tracker', 'http://192.168.77.1:1/announce'], []],
    [[], ['--no-lsd']],
  ]) {
    const here = await place(t, ...(flags ?? []));
    await seed(here, '0.0.0.0:0');
    const { code } = await get(here, '0.0.0.0:0', '--timeout', '4', ...(more ?? []));
    t.equal(code, 4, 'nobody was found');
  }
});

t.test('libtorrent finds us, or we it', { skip: skip || noLibtorrent }, async (t) => {
  const here = await place(t);
  const { network, folder, torrent } = here;
  await t.test('it fetches', async (t) => {
    await seed(here, `${LAN_HOST}:0`);
    const out = join(folder, 'out');
    const lt = network.start(python, [...LT, 'get', out, '-', torrent]);
    const { code, stderr } = await lt.finished;
    t.equal(code, 0, stderr);
    t.ok(fetched(here));
  });
  await t.test('it seeds', async (t) => {
    const other = await place(t);
    const args = [...LT, 'seed', join(other.folder, 'seed'), other.torrent];
    await other.network.start(python, args).printed(/"port"/);
    const { code, stderr } = await get(other, `${LAN_HOST}:0`);
    t.equal(code, 0, stderr);
    t.ok(fetched(other));
  });
});
