/** `blockswarm seed` serves any torrents, also a thousand that rest until a peer comes. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parsePeerAddress } from '../../src/connector.js';
import { downloadWithAria2, noAria2 } from '../helpers/aria2.js';
import { cli, cliJson, startCli } from '../helpers/cli.js';
import { bytes, oddTree, writeContent } from '../helpers/content-folder.js';
import { downloadWithLibtorrent, noLibtorrent } from '../helpers/libtorrent.js';
import { manyTorrents } from '../helpers/many-torrents.js';
import { tempFolder } from '../helpers/temp.js';
import { Tracker } from '../helpers/tracker.js';
import { noTransmission, Transmission } from '../helpers/transmission.js';

interface Ready {
  readonly listen: string;
  readonly torrents: number;
  readonly unchecked: number;
}

async function startSeed(t: Test, args: readonly string[], env: Record<string, string> = {}) {
  const fixed = ['seed', '--no-dht', '--listen', '127.0.0.1:0', '--json-lines'];
  const program = startCli(t, [...fixed, ...args], { env });
  const [line] = await program.printed(/^\{.*"event":"ready".*\}$/m);
  return { program, ...(JSON.parse(line) as Ready) };
}

const leech = ['--no-dht', '--listen', '127.0.0.1:0'];

t.test('libtorrent fetches named torrents of every version', { skip: noLibtorrent }, async (t) => {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), { ...oddTree, long: bytes(1_000_000, 6) });
  const torrents: string[] = [];
  for (const kind of ['v1', 'v2', 'hybrid']) {
    const out = join(folder, `${kind}.torrent`);
    const args = [join(folder, 'tree'), `--${kind}`, '--piece-length', '64KiB', '--out', out];
    await cliJson(t, ['torrent', 'make', ...args]);
    torrents.push(out);
  }
  const named = torrents.map((torrent) => `${torrent}=${join(folder, 'tree')}`);
  const { listen } = await startSeed(t, named);
  for (const [n, source] of torrents.entries()) {
    const outFolder = join(folder, `out-${n}`);
    mkdirSync(outFolder);
    await downloadWithLibtorrent(t, { source, outFolder, peers: [listen] });
    t.ok(readFileSync(join(outFolder, 'tree', 'long')).equals(bytes(1_000_000, 6)), source);
  }
});

/** A tree, and its torrents. */
async function treeTorrents(t: Test, ...kinds: readonly string[]) {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), { 'a/short': bytes(7), 'a/long': bytes(1_000_000, 6) });
  const made: { torrent: string; infoHashV1: string }[] = [];
  for (const kind of kinds) {
    const torrent = join(folder, `${kind}.torrent`);
    const args = [join(folder, 'tree'), `--${kind}`, '--piece-length', '64KiB', '--out', torrent];
    const { infoHashV1 } = await cliJson<{ infoHashV1: string }>(t, ['torrent', 'make', ...args]);
    made.push({ torrent, infoHashV1 });
  }
  const check = (t: Test, outFolder: string) => {
    for (const path of ['tree/a/short', 'tree/a/long']) {
      t.ok(readFileSync(join(outFolder, path)).equals(readFileSync(join(folder, path))), path);
    }
  };
  return { folder, made, check };
}

t.test('aria2 fetches a torrent, which wakes for it', { skip: noAria2 }, async (t) => {
  const { folder, made, check } = await treeTorrents(t, 'v1');
  const [{ torrent, infoHashV1 } = { torrent: '', infoHashV1: '' }] = made;
  const { listen } = await startSeed(t, ['--torrents', folder]);
  const { host, port } = parsePeerAddress(listen);
  const tracker = await Tracker.start(t);
  tracker.add(Buffer.from(infoHashV1, 'hex'), host, port);
  const outFolder = join(folder, 'out');
  await downloadWithAria2(t, { torrent, outFolder, trackerUrl: tracker.url });
  check(t, outFolder);
});

t.test('transmission is dialled and fetches torrents', { skip: noTransmission }, async (t) => {
  const { folder, made, check } = await treeTorrents(t, 'v1', 'hybrid');
  const transmission = await Transmission.start(t);
  const outs = made.map(({ torrent }) => ({ torrent, out: `${torrent}-out` }));
  for (const { torrent, out } of outs) await transmission.add(torrent, out);
  const named = made.map(({ torrent }) => `${torrent}=${join(folder, 'tree')}`);
  await startSeed(t, [...named, '--peer', transmission.peerAddress]);
  await transmission.finish();
  for (const { out } of outs) check(t, out);
});

t.test('a folder of a thousand torrents rests; one of them wakes for its peer', async (t) => {
  const folder = tempFolder(t);
  const env = { XDG_STATE_HOME: tempFolder(t) };
  const torrents = manyTorrents(folder, 1000);
  const first = await startSeed(t, ['--torrents', folder], env);
  // All are hashed once; the next start takes that over.
  await first.program.printed(/"event":"all-checked"/);
  t.equal((await first.program.stop()).code, 0);
  const again = await startSeed(t, ['--torrents', folder], env);
  t.match(again, { torrents: 1000, unchecked: 0 });
  const { torrentPath, name, content } = torrents[500] ?? { torrentPath: '', name: '', content: '' };
  const out = join(tempFolder(t), 'out');
  await cliJson(t, ['get', torrentPath, '--out', out, '--peer', again.listen, ...leech]);
  t.ok(readFileSync(join(out, name)).equals(Buffer.from(content)));
  t.notMatch((await again.program.stop()).stdout, /"event":"checked"/, 'nothing was hashed again');
});

t.test('torrents that come are seeded, those that go are not; a bad one is a warning', async (t) => {
  const folder = tempFolder(t);
  const [first, second] = manyTorrents(folder, 2);
  if (!first || !second) throw new Error('two torrents');
  const later = readFileSync(second.torrentPath);
  rmSync(second.torrentPath);
  writeFileSync(join(folder, 'bad.torrent'), 'd4:infoi1ee');
  const { program, listen, torrents } = await startSeed(t, ['--torrents', folder]);
  t.equal(torrents, 1);
  await program.printed(/"event":"checked","name":"file-0.bin"/);
  t.match(program.stderr, /bad\.torrent is not seeded/);
  writeFileSync(second.torrentPath, later);
  await program.printed(/"event":"checked","name":"file-1.bin"/);
  const out = join(folder, 'out');
  const args = ['--out', out, '--peer', listen, ...leech, '--timeout', '5'];
  await cliJson(t, ['get', second.torrentPath, ...args]);
  const kept = join(tempFolder(t), 'first.torrent');
  writeFileSync(kept, readFileSync(first.torrentPath));
  rmSync(first.torrentPath);
  await program.printed(/"event":"removed","torrent":".*file-0\.bin\.torrent"/);
  const refused = await cli(t, ['get', kept, '--out', join(folder, 'other'), ...args.slice(2, -1), '1']);
  t.equal(refused.code, 4);
});

t.test('what excludes each other is a usage error', async (t) => {
  const usage = async (...args: string[]) => (await cli(t, ['seed', ...args])).stderr;
  t.match(await usage(), /name what to seed/);
  t.match(await usage('--torrents', '.', '--datadir', '.'), /exclude each other/);
  t.match(await usage('a.torrent'), /expected TORRENT=PATH/);
  t.match(await usage('a.torrent=b', '--content', '.'), /--content belongs to --torrents/);
  t.equal((await cli(t, ['seed'])).code, 2);
});
