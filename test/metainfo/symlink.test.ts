import fc from 'fast-check';
import t from 'tap';
import { resolveSymlinks } from '../../src/metainfo/symlink.js';

/** Files of `path` or `link -> target`. */
const files = (lines: readonly string[]) =>
  lines.map((line) => {
    const [path = '', target = null] = line.split(' -> ');
    const rawPath = path.split('/');
    return {
      rawPath,
      path: rawPath.map((name) => name.replace('?', '_')),
      rawTarget: target?.split('/') ?? null,
    };
  });
const targets = (...lines: string[]) =>
  resolveSymlinks(files(lines)).map((target) => target?.join('/') ?? null);

t.test('a link leads to a file or folder of the torrent', async (t) => {
  t.same(targets('a/b', 'l -> a/b', 'm -> a'), [null, 'a/b', 'a']);
  t.same(targets('a?/b?', 'l -> a?/b?'), [null, 'a_/b_'], 'by the name that it has on disk');
  t.same(
    targets('V/A/x', 'V/C -> V/A', 'x -> V/C/x'),
    [null, 'V/A', 'V/C/x'],
    'through a link, as it was made',
  );
  t.same(targets('a', 'l -> a', 'm -> l'), [null, 'a', 'l']);
});

t.test('a link that leads out, nowhere or in a circle is none', async (t) => {
  const dead = ['..', '../a', '/a', 'x', 'a/x', 'a/b/..', '', 'l', 'm', 'n/a', './a'];
  for (const target of dead) t.same(targets('a/b', `l -> ${target}`, 'm -> l', 'n -> m')[1], null, target);
  t.same(resolveSymlinks([{ rawPath: ['l'], path: ['l'], rawTarget: [] }]), [null]);
});

t.test('a way of more than 40 links is too long', async (t) => {
  const chain = Array.from({ length: 42 }, (_, i) => `${i} -> ${i === 0 ? 'a' : i - 1}`);
  const found = targets('a', ...chain);
  t.equal(found[40], '38');
  t.equal(found[42], null);
});

t.test('a link to the whole folder is none, and leads nowhere else', async (t) => {
  const [, through] = resolveSymlinks([
    { rawPath: ['l'], path: ['l'], rawTarget: [] },
    { rawPath: ['m'], path: ['m'], rawTarget: ['l', 'x'] },
    { rawPath: ['x'], path: ['x'], rawTarget: null },
  ]);
  t.equal(through, null);
});

t.test('many links over the same long way are no work', async (t) => {
  const deep = 'd/'.repeat(98);
  const chain = Array.from({ length: 39 }, (_, i) => `${deep}${i} -> ${deep}${i === 0 ? 'f' : i - 1}`);
  const links = Array.from({ length: 60_000 }, (_, i) => `l${i} -> ${deep}38`);
  // Followed anew for each, it would be 200 million steps.
  const found = targets(`${deep}f`, ...chain, ...links);
  t.equal(found.at(-1), `${deep}38`);
  const far = Array.from({ length: 60_000 }, (_, i) => `${i} -> ${i + 1}`);
  t.equal(targets(...far, '60000')[59_999 - 39], `${59_999 - 38}`, 'from the end that is far from the file');
});

t.test('a target is always a path of the torrent without a step up', async () => {
  const name = fc.constantFrom('a', 'b', 'c', '..', '.', '');
  const path = fc.array(name, { minLength: 1, maxLength: 3 });
  const file = fc.record({ rawPath: path, rawTarget: fc.option(path) });
  const tree = fc
    .array(file, { maxLength: 8 })
    .map((all) => all.map((one) => ({ ...one, path: one.rawPath.map((part) => `s${part}`) })));
  fc.assert(
    fc.property(tree, (all) =>
      resolveSymlinks(all).every((target) => target === null || target.every((part) => part.startsWith('s'))),
    ),
  );
});
