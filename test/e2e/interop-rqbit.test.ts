/** rqbit, both ways, to the last byte. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseHostPort } from '../../src/connector.js';
import { cliJson, startCli } from '../helpers/cli.js';
import { bytes, writeContent } from '../helpers/content-folder.js';
import { noRqbit, startRqbit } from '../helpers/rqbit.js';
import { tempFolder } from '../helpers/temp.js';

const tree = { 'a.bin': bytes(3_000_001, 3), 'sub/b.bin': bytes(70_000, 4) };
const network = ['--no-dht', '--listen', '127.0.0.1:0'];

async function scene(t: Test) {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), tree);
  const torrent = join(folder, 'tree.torrent');
  const args = [join(folder, 'tree'), '--v1', '--piece-length', '64KiB', '--out', torrent];
  await cliJson(t, ['torrent', 'make', ...args]);
  return { folder, torrent, content: join(folder, 'tree') };
}

function checkTree(t: Test, folder: string): void {
  for (const [path, wanted] of Object.entries(tree)) {
    t.ok(readFileSync(join(folder, path)).equals(wanted), path);
  }
}

t.test('we fetch from rqbit', { skip: noRqbit }, async (t) => {
  const { folder, torrent } = await scene(t);
  const { port } = await startRqbit(t, { torrent, folder });
  const out = join(folder, 'out');
  // It hashes its files before it listens: dialled again until it does.
  await cliJson(t, ['get', torrent, '--out', out, '--peer', `127.0.0.1:${port}`, ...network]);
  checkTree(t, join(out, 'tree'));
});

t.test('rqbit fetches from us', { skip: noRqbit }, async (t) => {
  const { folder, torrent, content } = await scene(t);
  const seeder = startCli(t, ['seed', `${torrent}=${content}`, ...network, '--json-lines']);
  const [line] = await seeder.printed(/^\{.*"event":"ready".*\}$/m);
  const { host, port } = parseHostPort((JSON.parse(line) as { listen: string }).listen);
  const out = join(folder, 'out');
  mkdirSync(out);
  const { program } = await startRqbit(t, { torrent, folder: out, peer: `${host}:${port}`, exits: true });
  t.equal((await program.finished).code, 0);
  checkTree(t, join(out, 'tree'));
});
