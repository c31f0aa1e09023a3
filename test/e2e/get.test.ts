/** `blockswarm get` fetches from libtorrent whatever it is given for a torrent. */
import { readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cli, cliJson } from '../helpers/cli.js';
import { bytes, type Content, oddTree, writeContent } from '../helpers/content-folder.js';
import { noLibtorrent, seedWithLibtorrent } from '../helpers/libtorrent.js';
import { tempFolder } from '../helpers/temp.js';

const kinds = ['v1', 'v2', 'hybrid'] as const;
const tree: Readonly<Record<string, Content>> = { ...oddTree, long: bytes(3_000_000, 6) };

interface Made {
  readonly infoHashV1: string | null;
  readonly infoHashV2: string | null;
  readonly magnet: string;
}

interface Got extends Made {
  readonly content: string;
  readonly downloadedBytes: number;
}

/** Torrents of a tree in every version, seeded by libtorrent. */
async function scene(t: Test) {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), tree);
  const made = new Map<string, Made & { torrent: string }>();
  for (const kind of kinds) {
    const torrent = join(folder, `${kind}.torrent`);
    const args = [join(folder, 'tree'), `--${kind}`, '--piece-length', '64KiB', '--out', torrent];
    made.set(kind, { torrent, ...(await cliJson<Made>(t, ['torrent', 'make', ...args])) });
  }
  const torrents = [...made.values()].map(({ torrent }) => torrent);
  const peer = await seedWithLibtorrent(t, folder, torrents);
  const get = (source: string, out: string, ...more: string[]) => {
    const network = ['--peer', peer, '--no-dht', '--listen', '127.0.0.1:0'];
    return ['get', source, '--out', out, ...network, ...more];
  };
  return { folder, made, get };
}

function checkTree(t: Test, folder: string): void {
  for (const [path, what] of Object.entries(tree)) {
    const location = join(folder, path);
    if (!(what instanceof Uint8Array)) t.equal(readlinkSync(location), what.to, path);
    else t.ok(readFileSync(location).equals(what), path);
    if (path.endsWith('.sh')) t.ok(statSync(location).mode & 0o100, 'a program can be run');
  }
}

t.test('every version comes to the last byte, with links and marks', { skip: noLibtorrent }, async (t) => {
  const { folder, made, get } = await scene(t);
  for (const [kind, { torrent, infoHashV1, infoHashV2, magnet }] of made) {
    const out = join(folder, `out-${kind}`);
    const result = await cliJson<Got>(t, get(torrent, out));
    t.match(result, { infoHashV1, infoHashV2, content: join(out, 'tree') }, kind);
    checkTree(t, join(out, 'tree'));
    const byMagnet = join(folder, `magnet-${kind}`);
    t.match(await cliJson<Got>(t, get(magnet, byMagnet)), { infoHashV2 }, `magnet of ${kind}`);
    checkTree(t, join(byMagnet, 'tree'));
    const byHash = join(folder, `hash-${kind}`);
    await cliJson<Got>(t, get(infoHashV1 ?? infoHashV2 ?? '', byHash));
    checkTree(t, join(byHash, 'tree'));
  }
});

t.test('a second run finds all there; nobody answers: exit code 4', { skip: noLibtorrent }, async (t) => {
  const { folder, made, get } = await scene(t);
  const { torrent = '' } = made.get('v1') ?? {};
  const env = { XDG_STATE_HOME: tempFolder(t) };
  await cliJson<Got>(t, get(torrent, join(folder, 'out')), { env });
  const alone = ['--no-dht', '--listen', '127.0.0.1:0', '--timeout', '1'];
  const again = await cliJson<Got>(t, ['get', torrent, '--out', join(folder, 'out'), ...alone], { env });
  t.equal(again.downloadedBytes, 0);
  const lost = await cli(t, ['get', '0'.repeat(40), '--out', join(folder, 'nothing'), ...alone]);
  t.match(lost, { code: 4, stderr: /waited 1 s for a peer/ });
});
