/** Magnet links of v2 and hybrid torrents: their piece layers come from peers (BEP 52), in both directions. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cliJson, startCli } from '../helpers/cli.js';
import { bytes, writeContent } from '../helpers/content-folder.js';
import { downloadWithLibtorrent, noLibtorrent, seedWithLibtorrent } from '../helpers/libtorrent.js';
import { tempFolder } from '../helpers/temp.js';

/** Hashes of the long file come in two parts: 512, and the rest. */
const tree = {
  long: bytes(9_000_000, 1),
  copy: bytes(200_000, 2),
  again: bytes(200_000, 2),
  small: bytes(9, 3),
};
const local = ['--no-dht', '--listen', '127.0.0.1:0'];

interface Made {
  readonly torrent: string;
  readonly infoHashV1: string | null;
  readonly infoHashV2: string | null;
}

async function scene(t: Test): Promise<{ folder: string; made: Made[] }> {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), tree);
  const made: Made[] = [];
  for (const [kind, pieceLength] of [
    ['v2', '16KiB'],
    ['v2', '64KiB'],
    ['hybrid', '16KiB'],
  ] as const) {
    const torrent = join(folder, `${kind}-${pieceLength}.torrent`);
    const args = [join(folder, 'tree'), `--${kind}`, '--piece-length', pieceLength, '--out', torrent];
    made.push({ ...(await cliJson<Made>(t, ['torrent', 'make', ...args])), torrent });
  }
  return { folder, made };
}

const magnetV2 = ({ infoHashV2 }: Made) => `magnet:?xt=urn:btmh:1220${infoHashV2}`;

function checkTree(t: Test, folder: string, what: string): void {
  for (const [name, expected] of Object.entries(tree)) {
    t.ok(readFileSync(join(folder, 'tree', name)).equals(expected), `${name} of ${what}`);
  }
}

async function startSeed(t: Test, { folder, made }: { folder: string; made: Made[] }): Promise<string> {
  const named = made.map(({ torrent }) => `${torrent}=${join(folder, 'tree')}`);
  const program = startCli(t, ['seed', ...local, '--json-lines', ...named]);
  const [, listen = ''] = await program.printed(/"event":"ready".*"listen":"([^"]+)"/);
  return listen;
}

t.test('`get` fetches v2 magnets from libtorrent', { skip: noLibtorrent }, async (t) => {
  const { folder, made } = await scene(t);
  const peer = await seedWithLibtorrent(
    t,
    folder,
    made.map(({ torrent }) => torrent),
  );
  for (const [n, torrent] of made.entries()) {
    const out = join(folder, `out-${n}`);
    const { infoHashV1, infoHashV2 } = torrent;
    const got = await cliJson(t, ['get', magnetV2(torrent), '--out', out, '--peer', peer, ...local]);
    t.match(got, { infoHashV1, infoHashV2 });
    checkTree(t, out, torrent.torrent);
  }
});

t.test('libtorrent fetches v2 magnets from `seed`', { skip: noLibtorrent }, async (t) => {
  const { folder, made } = await scene(t);
  const peers = [await startSeed(t, { folder, made })];
  for (const [n, torrent] of made.entries()) {
    const outFolder = join(folder, `out-${n}`);
    mkdirSync(outFolder);
    await downloadWithLibtorrent(t, { source: magnetV2(torrent), outFolder, peers });
    checkTree(t, outFolder, torrent.torrent);
  }
});

t.test('a second run asks nobody: info and piece layers of the first are kept', async (t) => {
  const { folder, made } = await scene(t);
  const peer = await startSeed(t, { folder, made });
  const env = { XDG_STATE_HOME: tempFolder(t) };
  for (const [n, torrent] of made.entries()) {
    const get = ['get', magnetV2(torrent), '--out', join(folder, `out-${n}`), ...local];
    await cliJson(t, [...get, '--peer', peer], { env });
    // Every byte is hashed again, and there is nobody to ask what it should be.
    const again = await cliJson(t, [...get, '--check', '--timeout', '5'], { env });
    t.match(again, { downloadedBytes: 0, infoHashV2: torrent.infoHashV2 });
  }
});

t.test('`get` fetches v2 magnets from `seed`', async (t) => {
  const { folder, made } = await scene(t);
  const peer = await startSeed(t, { folder, made });
  for (const [n, torrent] of made.entries()) {
    const out = join(folder, `out-${n}`);
    await cliJson(t, ['get', magnetV2(torrent), '--out', out, '--peer', peer, ...local]);
    checkTree(t, out, torrent.torrent);
  }
});
