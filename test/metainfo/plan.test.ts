import fc from 'fast-check';
import t from 'tap';
import { type PlanRequest, planTorrent, type SourceFile } from '../../src/metainfo/plan.js';

const LEAF = 16 * 1024;
const MIB = 2 ** 20;
const file = (path: string, lengthBytes = 1, more: Partial<SourceFile> = {}): SourceFile => ({
  path: path.split('/'),
  lengthBytes,
  ...more,
});
const plan = (files: SourceFile[], more: Partial<PlanRequest> = {}) =>
  planTorrent({ name: 'folder', kind: 'hybrid', pieceLengthBytes: LEAF, files, multiFile: true, ...more });
const paths = (files: readonly { path: readonly string[]; lengthBytes: number; padding: boolean }[]) =>
  files.map(({ path, lengthBytes, padding }) => (padding ? `(${lengthBytes})` : path.join('/')));

t.test('files come in the order of the tree, whatever the order they are given in', async (t) => {
  const names = ['Z', 'a/b', 'a/b.c', 'a.txt', 'a', 'é', 'z', '日', '\u{10000}', '\uffff'].filter(
    (name) => name !== 'a',
  );
  const sorted = ['Z', 'a/b', 'a/b.c', 'a.txt', 'z', 'é', '日', '\uffff', '\u{10000}'];
  fc.assert(
    fc.property(fc.shuffledSubarray(names, { minLength: names.length }), (shuffled) => {
      const planned = plan(shuffled.map((name) => file(name, LEAF)));
      return JSON.stringify(paths(planned.files)) === JSON.stringify(sorted);
    }),
  );
  t.equal(sorted.indexOf('a/b') < sorted.indexOf('a.txt'), true, 'a folder stands where its name does');
});

t.test('a hybrid of several files has padding behind each that needs it', async (t) => {
  const files = [file('a', 1), file('b', 0), file('c', LEAF), file('d', LEAF + 2)];
  t.same(paths(plan(files).files), ['a', `(${LEAF - 1})`, 'b', 'c', 'd', `(${LEAF - 2})`]);
  for (const kind of ['v1', 'v2'] as const)
    t.same(paths(plan(files, { kind }).files), ['a', 'b', 'c', 'd'], kind);
  t.same(paths(plan([file('a', 1)]).files), ['a'], 'one alone needs none');
  t.same(
    paths(plan([file('x', 1)], { multiFile: false }).files),
    ['folder'],
    'a single file has the name of the torrent',
  );
});

t.test('counts pieces as each version lays them', async (t) => {
  const files = [file('a', 1), file('b', LEAF), file('c', LEAF + 2)];
  t.equal(plan(files, { kind: 'v1' }).pieceCount, 3);
  t.equal(plan(files, { kind: 'v2' }).pieceCount, 4);
  t.equal(plan(files).pieceCount, 4);
});

t.test('what makes no torrent is refused before anything is hashed', async (t) => {
  const refused: Record<string, () => unknown> = {
    'no files': () => plan([]),
    'no content': () => plan([file('a', 0)]),
    'a path of no names': () => plan([{ path: [], lengthBytes: 1 }]),
    'a step up': () => plan([file('../a')]),
    'an empty name': () => plan([file('a//b')]),
    'a name that is no text': () => plan([file('\ud800')]),
    'a NUL': () => plan([file('a\0')]),
    'a path of 97 names': () => plan([file(`${'a/'.repeat(96)}b`)]),
    'two files at one path': () => plan([file('a'), file('b'), file('a')]),
    'a file inside a file': () => plan([file('a/b'), file('a.b'), file('a')]),
    'a name with a separator': () => plan([file('a')], { name: 'a/b' }),
    'no name': () => plan([file('a')], { name: '' }),
    'two single files': () => plan([file('a'), file('b')], { multiFile: false }),
    'a length that is none': () => plan([file('a', -1)]),
    'a link that leads out': () => plan([file('a'), file('l', 0, { symlinkTarget: ['..', 'x'] })]),
    'a link with a length': () => plan([file('a'), file('l', 1, { symlinkTarget: ['a'] })]),
  };
  for (const [what, make] of Object.entries(refused)) t.throws(make, { code: 'ERR_METAINFO' }, what);
});

t.test('names that other systems cannot keep are told', async (t) => {
  t.same(plan([file('a'), file('b')]).warnings, []);
  const [warning] = plan([file('sub/CON'), file('x'), file('X')]).warnings;
  t.match(warning, /2 of the names/);
  t.match(warning, /`X` becomes|`x` becomes|`sub\/CON` becomes `sub\/_CON`/);
  t.match(plan([file('a')], { name: 'a:b' }).warnings, [/`a:b` becomes `a_b` \(forbidden character\)/]);
  t.match(plan([file('folder')], { kind: 'v2' }).warnings, [/cannot tell a folder/]);
});

const auto = (lengthBytes: number, kind: PlanRequest['kind'] = 'hybrid') =>
  plan([file('a', lengthBytes)], { kind, multiFile: false, pieceLengthBytes: 'auto' });

t.test('chooses a piece length for about 1,000 to 2,000 pieces, and then for every limit', async (t) => {
  const choices: [lengthBytes: number, pieceLengthBytes: number][] = [
    [1, LEAF],
    [32 * MIB, LEAF],
    [32 * MIB + 1, 2 * LEAF],
    [700 * MIB, 512 * 1024],
    [4 * 2 ** 30, 2 * MIB],
    [32 * 2 ** 30, 16 * MIB],
    [2 ** 40 - 16 * MIB, 16 * MIB],
    [2 ** 40, 32 * MIB],
    [10 * 2 ** 40, 256 * MIB],
  ];
  for (const [lengthBytes, expected] of choices) {
    for (const kind of ['v1', 'v2', 'hybrid'] as const) {
      const { pieceLengthBytes, warnings, pieceCount } = auto(lengthBytes, kind);
      t.equal(pieceLengthBytes, expected, `${kind} of ${lengthBytes}`);
      t.same(warnings, []);
      t.ok(pieceCount < 65_536);
    }
  }
  t.match(auto(20 * 2 ** 40).warnings, [/rain/], 'past 16 TiB not everybody can join');
  t.throws(() => auto(100 * 2 ** 40, 'v1'), { code: 'ERR_METAINFO' });
  t.equal(auto(100 * 2 ** 40, 'v2').pieceLengthBytes, 256 * MIB, 'v2 has no hashes in its info dictionary');
});

t.test('many small files are no reason for long pieces', async (t) => {
  const files = Array.from({ length: 20_000 }, (_, i) => file(`${i}`, 1000));
  t.equal(plan(files, { pieceLengthBytes: 'auto' }).pieceLengthBytes, LEAF);
});

t.test('a piece length that is asked for is judged', async (t) => {
  const asked = (pieceLengthBytes: number, lengthBytes: number, kind: PlanRequest['kind'] = 'v1') =>
    plan([file('a', lengthBytes)], { kind, multiFile: false, pieceLengthBytes });
  const bad = { code: 'ERR_CONFIG' };
  for (const length of [0, -1, 1.5, 2 ** 29 + 1, Number.NaN])
    t.throws(() => asked(length, 1), bad, String(length));
  t.throws(() => asked(LEAF / 2, 1, 'v2'), bad);
  t.throws(() => asked(3 * LEAF, 1, 'hybrid'), bad);
  t.throws(() => asked(LEAF, 2 ** 33), { ...bad, message: /info dictionary of .*; 64\.0 KiB is needed/ });
  t.throws(() => asked(LEAF, 2 ** 35, 'v2'), { ...bad, message: /2097152 pieces/ });
  t.throws(() => asked(LEAF, 2 ** 34 - 1, 'v2'), { ...bad, message: /torrent file of 32/ });
  t.match(asked(LEAF, 2 ** 31).warnings, [/rain/]);
  t.match(asked(LEAF, 2 ** 33 - 2 ** 32 + 2 ** 30, 'v2').warnings, [/rain/, /rqbit/, /libtorrent/]);
  t.match(asked(2 ** 29, 1).warnings, [/256 MiB/]);
  t.match(asked(1000, 1).warnings, [/power of two/]);
});
