import fc from 'fast-check';
import t from 'tap';
import { safeName, safePaths, staysBelow } from '../../src/metainfo/safe-path.js';

const joined = (paths: readonly string[]) =>
  safePaths(paths.map((path) => path.split('/'))).map(({ path }) => path.join('/'));

t.test('a name that every disk takes stays', async (t) => {
  const names = [
    'a',
    'a b.txt',
    '.hidden',
    'größe',
    '日本語.mkv',
    '👩‍👧',
    '~x',
    "it's",
    'a..b',
    ' a',
    'x'.repeat(255),
    'console',
    'com10',
    'com',
    '-',
    '$MFT',
    'é',
    'e\u0301',
  ];
  for (const name of names) t.same(safeName(name), { name, reason: null }, name);
});

t.test('a name that some disk takes amiss is repaired, and it is said why', async (t) => {
  const repaired: [raw: string, name: string, reason: string][] = [
    ['', '_', 'empty name'],
    ['.', '_', 'name of a parent folder'],
    ['..', '_', 'name of a parent folder'],
    ['...', '_', 'dot or space at the end'],
    ['a. .', 'a_', 'dot or space at the end'],
    ['/etc/passwd', '_etc_passwd', 'forbidden character'],
    ['..\\..\\x', '.._.._x', 'forbidden character'],
    ['C:x', 'C_x', 'forbidden character'],
    ['a<b>c"d|e?f*g', 'a_b_c_d_e_f_g', 'forbidden character'],
    ['a\0b', 'a_b', 'control character'],
    ['\u001b[2J', '_[2J', 'control character'],
    ['a\u0085\u2028', 'a__', 'control character'],
    ['exe.\u202egpj', 'exe._gpj', 'direction of text changed'],
    ['gr\ufffd\ufffde', 'gr__e', 'not UTF-8'],
    ['CON', '_CON', 'device name'],
    ['nul.tar.gz', '_nul.tar.gz', 'device name'],
    ['Com1 .txt', '_Com1 .txt', 'device name'],
    ['lpt¹', '_lpt¹', 'device name'],
    ['CONIN$', '_CONIN$', 'device name'],
    ['aux ', 'aux_', 'dot or space at the end'],
    [`${'x'.repeat(300)}.txt`, `${'x'.repeat(251)}.txt`, 'name too long'],
    ['₿'.repeat(86), '₿'.repeat(85), 'name too long'],
    [`${'x'.repeat(254)}.${'y'.repeat(20)}`, `${'x'.repeat(254)}_`, 'name too long'],
  ];
  for (const [raw, name, reason] of repaired)
    t.same(safeName(raw), { name, reason }, `${reason}: ${name.slice(0, 20)}`);
});

t.test('no two files share a place', async (t) => {
  t.same(joined(['a.txt', 'a.txt', 'a.txt']), ['a.txt', 'a.1.txt', 'a.2.txt']);
  t.same(joined(['a', 'A', 'b/C', 'B/c']), ['a', 'A.1', 'b/C', 'B/c.1'], 'where case does not count');
  t.same(joined(['é', 'e\u0301', 'É']), ['é', 'e\u0301.1', 'É.2'], 'where normalisation does not count');
  t.same(joined(['straße', 'STRASSE', 'a\u200db', 'ab']), ['straße', 'STRASSE.1', 'a\u200db', 'ab.1']);
  t.same(
    joined(['straẞe', 'straße', 'strasse']),
    ['straẞe', 'straße.1', 'strasse.2'],
    'ẞ folds to ss as ß does',
  );
  t.same(joined(['a', 'a/b', 'A/c']), ['a.1', 'a/b', 'A/c'], 'a file makes way for a folder');
  t.same(joined(['a/b', 'a']), ['a/b', 'a.1']);
  t.same(joined(['a', 'a', 'a.1']), ['a', 'a.2', 'a.1'], 'a name that is free is not taken from its owner');
  t.same(joined(['a?', 'a_']), ['a_.1', 'a_'], 'nor by a repair');
  t.same(joined(['a', 'a/b', 'a.1/c']), ['a.2', 'a/b', 'a.1/c'], 'nor from a folder');
  t.same(joined(['.a', '.a']), ['.a', '.a.1']);
  t.same(safePaths([[], ['a'], ['a']]), [
    { path: ['_'], reason: 'empty name' },
    { path: ['a'], reason: null },
    { path: ['a.1'], reason: 'same name as another file' },
  ]);
  t.match(safePaths([['a'], ['a', 'b']])[0], { reason: 'same name as a folder' });
});

t.test('a path that stays below its folder may still not be safe', async (t) => {
  for (const path of ['a', 'CON', 'a/b:c ', '...', '.a', 'a\\b']) t.ok(staysBelow(path.split('/')), path);
  for (const path of ['', '.', '..', 'a/..', '/a', 'a//b', './a']) t.notOk(staysBelow(path.split('/')), path);
  for (const path of [[], ['a/b'], ['a\0']])
    t.notOk(staysBelow(path), path.length === 0 ? 'no name' : 'one bad name');
});

t.test('a path that is too long loses its innermost folders', async (t) => {
  const folder = 'f'.repeat(255);
  const [deep] = safePaths([[...Array(20).fill(folder), 'a']]);
  t.equal(deep?.reason, 'path too long');
  t.same(deep?.path, [...Array(11).fill(folder), 'a'], 'eleven folders of 255 bytes remain');
  const [wide] = safePaths([[...Array(99).fill('f'), 'a']]);
  t.equal(wide?.reason, null);
});

t.test('a name of a million dots is no work', async (t) => {
  for (const dots of ['. ', '.', ' ']) t.match(safeName(`${dots.repeat(1e6)}x`), { reason: 'name too long' });
  t.same(safeName('.'.repeat(1e6)).name, '_');
});

t.test('many files of one name are no work', async (t) => {
  // A quadratic search would take minutes.
  const long = Array.from({ length: 20_000 }, (_, i) => [`${'x'.repeat(250)}${String(i).padStart(6, '0')}`]);
  const paths = safePaths([...Array(100_000).fill(['a']), ...long]);
  t.equal(new Set(paths.map(({ path }) => path[0])).size, 120_000);
  t.ok(paths.every(({ path }) => Buffer.byteLength(path[0] ?? '') <= 255));
});

const letters = fc.constantFrom(
  'a',
  'A',
  'b',
  '.',
  ' ',
  '/',
  '\\',
  ':',
  '_',
  '1',
  'ß',
  's',
  'S',
  'é',
  'e',
  '\u0301',
  'İ',
  'i',
  'ı',
  'Σ',
  'ς',
  'σ',
  'K',
  'K',
  '\u202e',
  '\u200d',
  '\0',
  '\u009b',
  '\ufffd',
  '𐐀',
  '𐐨',
);
const part = fc.oneof(
  fc.array(letters, { maxLength: 4 }).map((all) => all.join('')),
  fc.constantFrom(
    'CON',
    'con.txt',
    'NUL',
    'Com3',
    'x'.repeat(255),
    'X'.repeat(256),
    `${'x'.repeat(251)}.txt`,
    '..',
    '.',
    '',
  ),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const tree = fc.array(fc.array(part, { maxLength: 4 }), { maxLength: 12 });
const device = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)/i;

t.test('whatever comes in, every path is safe and in a place of its own', async () => {
  fc.assert(
    fc.property(tree, (raw) => {
      const paths = safePaths(raw).map(({ path }) => path);
      const places = paths.map((path) => path.join('/').toLowerCase().normalize('NFC'));
      const inside = (path: string) => places.some((place) => path.startsWith(`${place}/`));
      return (
        paths.length === raw.length &&
        new Set(places).size === places.length &&
        !places.some(inside) &&
        paths.every(
          (path) =>
            path.length > 0 &&
            Buffer.byteLength(path.join('/')) <= 3072 &&
            path.every(
              (name) =>
                name !== '' &&
                Buffer.byteLength(name) <= 255 &&
                !/[<>:"/\\|?*\p{Cc}\u202e]|[. ]$/u.test(name) &&
                !device.test(name),
            ),
        )
      );
    }),
    { numRuns: 2000 },
  );
});

t.test('what is safe is not changed, and nothing is changed without a reason', async () => {
  fc.assert(
    fc.property(tree, (raw) => {
      const once = safePaths(raw);
      const twice = safePaths(once.map(({ path }) => path));
      return (
        twice.every(({ path, reason }, i) => reason === null && path === once[i]?.path) &&
        once.every(({ path, reason }, i) => (reason === null) === (path === raw[i])) &&
        JSON.stringify(safePaths(raw)) === JSON.stringify(once)
      );
    }),
    { numRuns: 2000 },
  );
});
