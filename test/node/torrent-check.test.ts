import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseMetainfo } from '../../src/metainfo/metainfo.js';
import { checkContent } from '../../src/node/torrent-check.js';
import { bytes, type Content, oddTree, writeContent } from '../helpers/content-folder.js';
import { runInMemory } from '../helpers/memory-env.js';
import { tempFolder } from '../helpers/temp.js';

const never = new AbortController().signal;
const silent = { warn: () => {}, progress: () => {}, event: () => {} };

/** A folder of files, and the torrent of it. */
async function scene(t: Test, content: Readonly<Record<string, Content>>, ...flags: string[]) {
  const folder = tempFolder(t);
  const tree = join(folder, 'tree');
  const out = join(folder, 'made.torrent');
  writeContent(tree, content);
  const { code, err } = await runInMemory(['torrent', 'make', tree, '--out', out, ...flags]);
  t.equal(code, 0, err);
  const metainfo = parseMetainfo(readFileSync(out));
  const check = (path = tree) => checkContent({ metainfo, content: path }, never, silent);
  return { folder, tree, check };
}

t.test('links and empty files are held against the torrent too', async (t) => {
  const { tree, check } = await scene(t, oddTree);
  t.same((await check()).damaged, []);
  rmSync(join(tree, 'a/to-deep'));
  symlinkSync('run.sh', join(tree, 'a/to-deep'));
  rmSync(join(tree, 'to-a'));
  writeFileSync(join(tree, 'to-a'), '');
  writeFileSync(join(tree, 'a/empty'), 'x');
  t.match((await check()).damaged, [
    { path: 'a/empty', fault: 'long' },
    { path: 'a/to-deep', fault: 'wrong-link', message: 'not a symlink to a/b/deep' },
    { path: 'to-a', fault: 'wrong-link' },
  ]);
  rmSync(join(tree, 'a/empty'));
  mkdirSync(join(tree, 'a/empty'));
  t.match((await check()).damaged[0], { path: 'a/empty', fault: 'not-a-file' });
});

t.test('names that had to be made safe are found as they were, and as they are made', async (t) => {
  const { tree, check } = await scene(t, { 'CON.txt': bytes(9), 'a:b/c ': bytes(20_000, 2), fine: bytes(3) });
  const first = await check();
  t.same(first.damaged, [], 'as their maker has them');
  rmSync(join(tree, 'a:b'), { recursive: true });
  const [missing] = (await check()).damaged;
  t.not(missing?.path, 'a:b/c ');
  writeContent(tree, { [missing?.path ?? '']: bytes(20_000, 2) });
  t.same((await check()).damaged, [], 'as a client writes them');
});

t.test('a folder that holds one of its own name is not mistaken for it', async (t) => {
  const { folder, tree, check } = await scene(t, { 'tree/inner': bytes(100), outer: bytes(200, 2) });
  t.equal((await check()).content, tree);
  t.equal((await check(folder)).content, tree);
  // Without such a name in the torrent, it is the folder around the content.
  const other = await scene(t, { inner: bytes(100) });
  mkdirSync(join(other.folder, 'x'));
  renameSync(other.tree, join(other.folder, 'x/tree'));
  renameSync(join(other.folder, 'x'), other.tree);
  t.same((await other.check()).damaged, []);
});

t.test('v2 names the leaf where pieces are leaves', async (t) => {
  const { tree, check } = await scene(t, { f: bytes(100_000) }, '--v2', '--piece-length', '16KiB');
  const content = bytes(100_000);
  content[99_999] = 0;
  content[50_000] = 0;
  writeFileSync(join(tree, 'f'), content);
  t.match((await check()).damaged, [
    {
      path: 'f',
      fault: null,
      ranges: [
        { startBytes: 49_152, endBytes: 65_536, reason: 'wrong' },
        { startBytes: 98_304, endBytes: 100_000, reason: 'wrong' },
      ],
    },
  ]);
});
