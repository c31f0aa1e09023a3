import { execFileSync } from 'node:child_process';
import { chmodSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type ContentTreeOptions, contentName, readContentTree } from '../../src/node/content-tree.js';
import { bytes, oddTree, writeContent } from '../helpers/content-folder.js';
import { tempFolder } from '../helpers/temp.js';

const never = new AbortController().signal;

/** Lists a folder: its paths, links with an arrow, and what was warned of. */
async function list(folder: string, options: Partial<ContentTreeOptions> = {}) {
  const warnings: string[] = [];
  const report = { warn: (text: string) => warnings.push(text), progress: () => {}, event: () => {} };
  const tree = await readContentTree({ paths: [folder], without: 'none', ...options }, never, report);
  const paths = tree.files.map(
    ({ path, symlinkTarget }) => path.join('/') + (symlinkTarget ? ` -> ${symlinkTarget.join('/')}` : ''),
  );
  return { tree, paths: paths.sort(), warnings };
}

function odd(t: Test): string {
  const folder = tempFolder(t);
  writeContent(folder, oddTree);
  return folder;
}

t.test('a folder is listed with all that a torrent can hold', async (t) => {
  const folder = odd(t);
  const { tree, paths, warnings } = await list(folder);
  t.same(paths, [
    '.hidden',
    'a/b/deep',
    'a/empty',
    'a/run.sh',
    'a/to-deep -> a/b/deep',
    'größe ₿/日本',
    'to-a -> a',
    'z',
  ]);
  t.same(warnings, []);
  t.equal(tree.multiFile, true);
  t.equal(tree.locate(['a', 'run.sh']), join(folder, 'a/run.sh'));
  const run = tree.files.find(({ path }) => path.at(-1) === 'run.sh');
  t.match(run, { lengthBytes: 5, executable: true });
});

t.test('links out of the torrent, to nothing and in circles are left out, and told', async (t) => {
  const folder = odd(t);
  const links = { absolute: join(folder, 'z'), up: '../x', dead: 'nothing', circle: 'circle', self: '.' };
  for (const [name, to] of Object.entries(links)) symlinkSync(to, join(folder, name));
  const { paths, warnings } = await list(folder);
  t.equal(paths.length, 8);
  t.equal(warnings.length, 5);
  t.ok(warnings.every((text) => /^left out: `\w+` is a symlink that leads/.test(text)));
});

t.test('with --follow-symlinks what links lead to is taken, and circles end', async (t) => {
  const folder = odd(t);
  symlinkSync('.', join(folder, 'self'));
  symlinkSync('../..', join(folder, 'a/b/up'));
  symlinkSync('nothing', join(folder, 'dead'));
  const { tree, paths, warnings } = await list(folder, { followSymlinks: true });
  t.same(paths, [
    '.hidden',
    'a/b/deep',
    'a/empty',
    'a/run.sh',
    'a/to-deep',
    'größe ₿/日本',
    'to-a/b/deep',
    'to-a/empty',
    'to-a/run.sh',
    'to-a/to-deep',
    'z',
  ]);
  t.equal(tree.files.find(({ path }) => path.join('/') === 'a/to-deep')?.lengthBytes, 50_000);
  t.match(warnings.sort(), [/a\/b\/up.*around/, /dead.*nowhere/, /self.*around/, /to-a\/b\/up.*around/]);
});

t.test('what is neither file nor folder is left out, and told', async (t) => {
  const folder = odd(t);
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  const { paths, warnings } = await list(folder);
  t.equal(paths.length, 8);
  t.match(warnings, [/`pipe` is neither a file nor a folder/]);
});

t.test('a name that is not UTF-8 is refused, shown safely, and can be excluded', async (t) => {
  const folder = odd(t);
  writeFileSync(Buffer.concat([Buffer.from(`${folder}/bad\x1b`), Buffer.from([0xff])]), 'x');
  await t.rejects(list(folder), { code: 'ERR_METAINFO', message: /"bad\\u001bÿ" .*not UTF-8/ });
  t.equal((await list(folder, { exclude: ['bad*'] })).paths.length, 8);
});

t.test('a folder that cannot be read is an error that names it', async (t) => {
  const folder = odd(t);
  const secret = join(folder, 'a/b');
  chmodSync(secret, 0);
  t.teardown(() => chmodSync(secret, 0o755));
  if (process.getuid?.() === 0) return t.comment('skipped: root reads everything');
  await t.rejects(list(folder), { code: 'EACCES', path: secret });
});

t.test('a single file is itself, whatever leads to it', async (t) => {
  const folder = odd(t);
  const { tree, paths } = await list(join(folder, 'a/to-deep'));
  t.same([tree.multiFile, paths], [false, ['to-deep']]);
  t.equal(tree.files[0]?.lengthBytes, 50_000);
  t.equal(tree.locate(['any']), join(folder, 'a/to-deep'));
});

t.test('files of several paths lie where each path says', async (t) => {
  const [one, two] = [odd(t), tempFolder(t)];
  writeFileSync(join(two, 'file'), bytes(3));
  const { tree, paths } = await list(one, { paths: [join(one, 'a/b'), join(two, 'file')] });
  t.same(paths, ['b/deep', 'file']);
  t.equal(tree.locate(['b', 'deep']), join(one, 'a/b/deep'));
  t.equal(tree.locate(['file']), join(two, 'file'));
});

t.test('a torrent is called as its only path, or as it is told', async (t) => {
  t.equal(contentName({ paths: ['/x/y/'] }), 'y');
  t.equal(contentName({ paths: ['/x/y', '/z'], name: 'n' }), 'n');
  for (const paths of [['/'], ['/x', '/y']]) t.throws(() => contentName({ paths }), { code: 'ERR_USAGE' });
});

t.test('a signal stops the listing', async (t) => {
  const report = { warn: () => {}, progress: () => {}, event: () => {} };
  const listing = readContentTree({ paths: [odd(t)], without: 'none' }, AbortSignal.abort(), report);
  await t.rejects(listing, { name: 'AbortError' });
});
