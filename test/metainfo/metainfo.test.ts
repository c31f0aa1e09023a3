import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { type Encodable, encode } from '../../src/bencode.js';
import { BlockswarmError } from '../../src/errors.js';
import { makeHybrid } from '../../src/metainfo/hybrid.js';
import { parseInfo, parseMetainfo } from '../../src/metainfo/metainfo.js';
import { toHex } from '../../src/units.js';
import {
  content,
  dict,
  type Fields,
  file,
  hashes,
  LEAF,
  layers,
  leaf,
  multiV1,
  singleV1,
  singleV2,
} from '../helpers/info-dicts.js';
import { torrentHashes } from '../helpers/torrent-hashes.js';

const DATA = '../shared/data/bittorrent';
const noData = !existsSync(DATA) && 'no ../shared/data/bittorrent';

const info = (fields: Map<string, Encodable>) => parseInfo(encode(fields));

const withLayers = (infoDict: Encodable, pieceLayers: Encodable = layers()) =>
  parseMetainfo(encode(dict({ info: infoDict, 'piece layers': pieceLayers })));

t.test('reads a v1 torrent of one file', async (t) => {
  t.match(info(singleV1()), {
    name: 'a.dat',
    lengthBytes: LEAF + 1,
    pieceLengthBytes: LEAF,
    pieceCount: 2,
    piecesRoot: null,
    pieceLayer: null,
    multiFile: false,
    private: false,
    files: [{ path: ['a.dat'], lengthBytes: LEAF + 1 }],
    infoHashV2: null,
  });
  t.equal(info(singleV1({ private: 1 })).private, true);
});

t.test('reads a v2 torrent of one file and proves its piece layer', async (t) => {
  const bare = info(singleV2());
  t.match(bare, { pieces: null, pieceCount: 3, pieceLayer: null, infoHashV1: null, multiFile: false });
  t.same(bare.piecesRoot, hashes.piecesRoot);
  t.same(withLayers(singleV2()).pieceLayer, hashes.pieceLayer);
});

t.test('a file no longer than a piece has an empty layer', async (t) => {
  const made = makeHybrid({ name: 'a', ...torrentHashes(content, 8 * LEAF) });
  t.same(made.pieceLayer, new Uint8Array(0));
  t.same(parseInfo(made.infoBytes).pieceLayer, new Uint8Array(0));
});

t.test('reads several files, padding apart', async (t) => {
  const padded = [
    file(10, 'sub', 'a'),
    dict({ attr: 'p', length: LEAF - 10, path: ['.pad', '16374'] }),
    file(0, 'empty'),
    file(5, 'b'),
  ];
  const read = info(multiV1(padded, { pieces: new Uint8Array(40) }));
  t.match(read, { multiFile: true, lengthBytes: 15, pieceCount: 2, name: 'folder', repairs: [] });
  t.same(read.files[1]?.path, [], 'padding lies nowhere');
  t.same(
    read.files.map((entry) => [entry.rawPath.join('/'), entry.lengthBytes, entry.padding]),
    [
      ['sub/a', 10, false],
      ['.pad/16374', LEAF - 10, true],
      ['empty', 0, false],
      ['b', 5, false],
    ],
  );
});

t.test('reads the tree of a v2 torrent', async (t) => {
  const tree = dict({ 'a.dat': leaf(), sub: dict({ b: dict({ '': dict({ length: 0 }) }), c: leaf() }) });
  const read = withLayers(singleV2({ 'file tree': tree }));
  t.same(
    read.files.map((entry) => entry.path.join('/')),
    ['a.dat', 'sub/b', 'sub/c'],
  );
  t.match(read, { multiFile: true, piecesRoot: null, pieceLayer: null, pieceCount: 6 });
});

t.test('reads a hybrid of several files', async (t) => {
  const root = hashes.piecesRoot;
  const length = content.length;
  const tree = dict({ a: leaf(), b: leaf() });
  const padding = (bytes: number) => dict({ attr: 'p', length: bytes, path: ['.pad', 'x'] });
  const pad = padding(LEAF - 3);
  const both = singleV2({
    'file tree': tree,
    name: 'folder',
    files: [file(length, 'a'), pad, file(length, 'b')],
    pieces: new Uint8Array(20 * 6),
  });
  const read = info(both);
  t.same(
    read.files.map((entry) => [entry.path.join('/'), entry.piecesRoot]),
    [
      ['a', root],
      ['', null],
      ['b', root],
    ],
    'in the order of the v1 half, which has the padding',
  );
  t.equal(read.lengthBytes, 2 * length);
  t.equal(
    info(new Map([...both, ['files', [file(length, 'a'), pad, file(length, 'b'), pad]]])).files.length,
    4,
    'padding at the end may be there',
  );
  const disagree: [string, Encodable][] = [
    ['another order', [file(length, 'b'), pad, file(length, 'a')]],
    ['another length', [file(length, 'a'), pad, file(length - 1, 'b')]],
    ['a file less', [file(length, 'a')]],
    ['a file more', [file(length, 'a'), pad, file(length, 'b'), file(0, 'c')]],
    ['no alignment', [file(length, 'a'), file(length, 'b')]],
    ['padding in two', [file(length, 'a'), padding(LEAF - 4), padding(1), file(length, 'b')]],
    ['a piece of padding too much', [file(length, 'a'), padding(3 * LEAF - 3), file(length, 'b')]],
    ['padding at the start', [padding(2 * LEAF), file(length, 'a'), pad, file(length, 'b')]],
    ['a link in one half', [dict({ attr: 'l', length: 0, path: ['a'], 'symlink path': ['b'] })]],
  ];
  for (const [what, files] of disagree) {
    const total = (files as Map<string, number>[]).reduce(
      (sum, entry) => sum + (entry.get('length') ?? 0),
      0,
    );
    const pieces = new Uint8Array(20 * Math.ceil(total / (2 * LEAF)));
    t.throws(
      () => info(new Map([...both, ['files', files], ['pieces', pieces]])),
      { code: 'ERR_METAINFO' },
      what,
    );
  }
  t.throws(
    () => info(singleV2({ length: content.length + 1, pieces: new Uint8Array(60) })),
    /different files/,
  );
});

t.test('refuses malformed info dictionaries', async (t) => {
  const refused: Record<string, Map<string, Encodable>> = {
    'no name': singleV1({ name: undefined }),
    'a name that is no string': singleV1({ name: 1 }),
    'no piece length': singleV1({ 'piece length': undefined }),
    'piece length 0': singleV1({ 'piece length': 0 }),
    'negative piece length': singleV1({ 'piece length': -LEAF }),
    'piece length over 512 MiB': singleV1({ 'piece length': 2 ** 30 }),
    'no pieces': singleV1({ pieces: undefined }),
    'pieces as a list': singleV1({ pieces: [] }),
    'a piece too few': singleV1({ pieces: new Uint8Array(20) }),
    'a piece too many': singleV1({ pieces: new Uint8Array(60) }),
    'half a hash': singleV1({ pieces: new Uint8Array(39) }),
    'no length': singleV1({ length: undefined }),
    'length 0': singleV1({ length: 0, pieces: new Uint8Array(0) }),
    'negative length': singleV1({ length: -1 }),
    'length of 2^53': singleV1({ length: 2n ** 53n }),
    'length and files': singleV1({ files: [file(1, 'a')] }),
    'too many pieces': singleV1({ length: 2 ** 21 + 1, 'piece length': 1 }),
    'no files': multiV1([]),
    'files as a dictionary': multiV1(dict({})),
    'a file that is none': multiV1([1]),
    'a file without path': multiV1([dict({ length: 1 })]),
    'a file without length': multiV1([dict({ path: ['a'] })]),
    'an empty path': multiV1([file(1)]),
    'a path of a number': multiV1([file(1, 1)]),
    'a path too deep': multiV1([file(1, ...Array(101).fill('a'))]),
    'a sum of 2^53': multiV1([file(2 ** 53 - 1, 'a'), file(1, 'b')]),
    'meta version 1': singleV2({ 'meta version': 1 }),
    'meta version 3': singleV2({ 'meta version': 3 }),
    'v2 without tree': singleV2({ 'file tree': undefined }),
    'an empty tree': singleV2({ 'file tree': dict({}) }),
    'an empty folder': singleV2({ 'file tree': dict({ a: dict({}) }) }),
    'a tree of numbers': singleV2({ 'file tree': dict({ a: 1 }) }),
    'a file and folder': singleV2({ 'file tree': dict({ a: new Map([...leaf(), ['b', leaf()]]) }) }),
    'a leaf that is a number': singleV2({ 'file tree': dict({ a: dict({ '': 1 }) }) }),
    'no pieces root': singleV2({ 'file tree': dict({ a: leaf({ 'pieces root': undefined }) }) }),
    'a zero pieces root': singleV2({ 'file tree': dict({ a: leaf({ 'pieces root': new Uint8Array(32) }) }) }),
    'a short pieces root': singleV2({
      'file tree': dict({ a: leaf({ 'pieces root': new Uint8Array(31) }) }),
    }),
    'an empty file with a root': singleV2({ 'file tree': dict({ a: leaf({ length: 0 }) }) }),
    'v2 piece length no power of two': singleV2({ 'piece length': 3 * LEAF }),
    'v2 piece length under 16 KiB': singleV2({ 'piece length': LEAF / 2 }),
    'one v1 file, two v2 files': singleV2({ length: content.length, pieces: new Uint8Array(60), name: 'b' }),
  };
  for (const [what, fields] of Object.entries(refused)) {
    t.throws(() => info(fields), { code: 'ERR_METAINFO' }, what);
  }
  t.throws(() => parseInfo(encode([])), { code: 'ERR_METAINFO' });
  t.throws(() => parseInfo(new Uint8Array(4 * 1024 * 1024 + 1).fill(0x30)), { code: 'ERR_BENCODE' });
});

t.test('a bad name is made safe and told', async (t) => {
  const latin1 = new Uint8Array(Buffer.from('gr\xf6\xdfe', 'latin1'));
  const one = info(singleV1({ name: latin1 }));
  t.match(one, { name: 'gr__e', rawName: 'gr\ufffd\ufffde', files: [{ path: ['gr__e'] }] });
  const several = info(multiV1([file(1, '..', 'CON'), file(1, 'a')], { name: '../x' }));
  t.match(several, { name: '.._x', rawName: '../x' });
  t.same(several.repairs, [
    { rawPath: ['../x'], path: ['.._x'], reason: 'forbidden character' },
    { rawPath: ['../x', '..', 'CON'], path: ['.._x', '_', '_CON'], reason: 'name of a parent folder' },
  ]);
  t.same(
    several.files.map((entry) => entry.path),
    [['_', '_CON'], ['a']],
  );
  t.match(
    info(singleV1({ name: 'old', 'name.utf-8': 'größe' })),
    { name: 'größe' },
    'the older way to say UTF-8',
  );
});

t.test('refuses piece layers that prove nothing', async (t) => {
  const wrong = Uint8Array.from(hashes.pieceLayer);
  wrong[40] = (wrong[40] ?? 0) ^ 1;
  const key = [...layers().keys()][0] ?? '';
  const bad = { code: 'ERR_METAINFO' };
  t.throws(() => withLayers(singleV2(), new Map([[key, wrong]])), bad, 'another root');
  t.throws(() => withLayers(singleV2(), new Map([[key, hashes.pieceLayer.subarray(32)]])), bad, 'too short');
  t.throws(() => withLayers(singleV2(), new Map([[key, 1]])), bad, 'no string');
  t.throws(() => withLayers(singleV2(), new Map()), bad, 'missing');
  t.throws(() => withLayers(singleV2(), []), bad, 'no dictionary');
  t.throws(() => withLayers(singleV2(), layers().set('x'.repeat(32), wrong)), bad, 'one too many');
  t.throws(() => withLayers(singleV1(), layers()), bad, 'on a v1 torrent');
  t.throws(() => parseMetainfo(encode(dict({ info: singleV2() }))), bad, 'none on a v2 torrent');
  const hybrid = singleV2({ length: content.length, pieces: hashes.pieces });
  t.equal(parseMetainfo(encode(dict({ info: hybrid }))).pieceLayer, null, 'a hybrid may do without');
});

t.test('each file has its own layer', async (t) => {
  const tree = dict({
    a: leaf(),
    b: dict({ '': dict({ length: 0 }) }),
    c: leaf({ length: LEAF, 'pieces root': new Uint8Array(32).fill(1) }),
  });
  const read = withLayers(singleV2({ 'file tree': tree }));
  t.same(
    read.files.map((entry) => entry.pieceLayer),
    [hashes.pieceLayer, null, new Uint8Array(0)],
  );
  t.equal(info(singleV2({ 'file tree': tree })).files[0]?.pieceLayer, null);
});

t.test('a tree that says a folder once for many files takes no more memory than a list', async (t) => {
  const deep = (files: number) => {
    let tree = dict({ a: leaf() });
    for (let i = 0; i < files; i++) tree.set(`f${i}`, dict({ '': dict({ length: 0 }) }));
    for (let i = 0; i < 90; i++) tree = dict({ ['d'.repeat(255)]: tree });
    return singleV2({ 'file tree': tree });
  };
  t.equal(withLayers(deep(1000)).files.length, 1001);
  t.throws(() => withLayers(deep(20_000)), { code: 'ERR_METAINFO', message: /names/ });
});

t.test('reads attributes and links', async (t) => {
  const link = (to: Encodable, fields: Fields = {}) =>
    dict({ attr: 'l', length: 0, path: ['l'], 'symlink path': to, ...fields });
  const read = info(multiV1([dict({ attr: 'hx', length: 1, path: ['sub', 'a'] }), link(['sub'])]));
  t.match(read.files, [
    { executable: true, hidden: true, symlinkTarget: null },
    { symlinkTarget: ['sub'], lengthBytes: 0 },
  ]);
  const dead = info(multiV1([file(1, 'a'), link(['..', 'a'])]));
  t.match(dead.files[1], { symlinkTarget: null, lengthBytes: 0 }, 'an empty file');
  t.match(dead.repairs, [{ path: ['folder', 'l'], reason: 'symlink that leads nowhere in the torrent' }]);
  t.equal(
    info(multiV1([file(1, 'a'), dict({ attr: 'l', length: 0, path: ['l'] })])).files[1]?.symlinkTarget,
    null,
  );
  t.throws(() => info(multiV1([file(1, 'a'), link(['a'], { length: 1 })])), /symlink with a length/);
  t.throws(() => info(multiV1([file(1, 'a'), link([1])])), { code: 'ERR_METAINFO' });
  t.throws(() => info(multiV1([file(1, 'a'), link(1)])), { code: 'ERR_METAINFO' });
  const tree = dict({ a: leaf(), l: dict({ '': dict({ attr: 'l', 'symlink path': ['a'] }) }) });
  t.same(info(singleV2({ 'file tree': tree })).files[1]?.symlinkTarget, ['a'], 'v2 says no length');
});

t.test('reads what else a .torrent says', async (t) => {
  const read = (fields: Fields) =>
    parseMetainfo(encode(dict({ info: singleV1({ source: 'S' }), ...fields })));
  const url = 'https://a.example/x';
  t.match(
    read({
      comment: 'größe\n2',
      'created by': 'me',
      'creation date': 1_700_000_000,
      'url-list': url,
      nodes: [['a.example', 6881], ['b', 0], ['c\n', 1], [1, 1], 'd', ['::1', 65535]],
      'unknown key': [[]],
    }),
    {
      comment: 'größe\n2',
      createdBy: 'me',
      creationDate: 1_700_000_000,
      source: 'S',
      webSeeds: [url],
      nodes: [
        { host: 'a.example', port: 6881 },
        { host: '::1', port: 65535 },
      ],
    },
  );
  t.match(read({ comment: 1, 'creation date': -1, nodes: 1, 'url-list': '' }), {
    comment: null,
    createdBy: null,
    creationDate: null,
    webSeeds: [],
    nodes: [],
  });
  t.same(read({ 'url-list': [url, ' http://b.example/ ', url, 'ftp://c.example', 1] }).webSeeds, [
    url,
    'http://b.example/',
  ]);
});

t.test('trackers are URLs, each once, and bounded', async (t) => {
  const read = (fields: Fields) => parseMetainfo(encode(dict({ info: singleV1(), ...fields }))).trackerTiers;
  const a = 'http://a.example/announce';
  const b = 'udp://b.example:80';
  t.same(read({ announce: a }), [[a]]);
  t.same(
    read({
      announce: 'udp://d.example:1',
      'announce-list': [
        [b, a],
        ['wss://c.example', b],
      ],
    }),
    [[b, a], ['wss://c.example']],
  );
  t.same(read({ announce: a, 'announce-list': [[1], []] }), [[a]], 'a list of nothing is no list');
  t.same(
    read({ announce: 'file:///etc/passwd', 'announce-list': [[1, new Uint8Array([255])], 'http://a b'] }),
    [],
  );
  t.same(read({ announce: 1, 'announce-list': 2 }), []);
  t.equal(
    read({ 'announce-list': [Array.from({ length: 1000 }, (_, i) => `${a}/${i}`)] }).flat().length,
    100,
  );
});

t.test('a .torrent without an info dictionary is refused', async (t) => {
  t.throws(() => parseMetainfo(encode([])), { code: 'ERR_BENCODE' });
  for (const value of [dict({}), dict({ info: 1 })]) {
    t.throws(() => parseMetainfo(encode(value)), { code: 'ERR_METAINFO' });
  }
});

interface Summary {
  file: string;
  bdecode: string;
  infohash_v1: string;
  infohash_v2: string;
  has_v1: boolean;
  has_v2: boolean;
  piece_length: number;
  canonical_keys: boolean;
}

t.test('torrents of the wild have their infohashes', { skip: noData }, async (t) => {
  const summaries: Summary[] = JSON.parse(readFileSync(join(DATA, 'torrents-summary.json'), 'utf8'));
  t.ok(summaries.length > 30);
  for (const summary of summaries) {
    const bytes = readFileSync(join(DATA, summary.file));
    if (summary.bdecode !== 'ok' || !summary.canonical_keys) {
      t.throws(() => parseMetainfo(bytes), { code: 'ERR_BENCODE' }, summary.file);
      continue;
    }
    if (summary.file.endsWith('/corrupt.torrent')) {
      t.throws(() => parseMetainfo(bytes), { code: 'ERR_METAINFO' }, 'it has no name');
      continue;
    }
    const metainfo = parseMetainfo(bytes);
    const { infoHashV1, infoHashV2, pieceLengthBytes } = metainfo;
    t.equal(infoHashV1 && toHex(infoHashV1), summary.has_v1 ? summary.infohash_v1 : null, summary.file);
    t.equal(infoHashV2 && toHex(infoHashV2), summary.has_v2 ? summary.infohash_v2 : null, summary.file);
    t.equal(pieceLengthBytes, summary.piece_length, summary.file);
    t.same(parseInfo(metainfo.infoBytes).infoHashV1, infoHashV1, summary.file);
  }
});

t.test('changed torrents are refused with our codes, whatever the change', { skip: noData }, async () => {
  const bytes = readFileSync(join(DATA, 'anacrolix-torrent/testdata/bittorrent-v2-hybrid-test.torrent'));
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (offset, flip) => {
      const changed = Uint8Array.from(bytes);
      changed[offset] = (changed[offset] ?? 0) ^ flip;
      try {
        parseMetainfo(changed);
        return true;
      } catch (error) {
        return error instanceof BlockswarmError && /^ERR_(BENCODE|METAINFO)$/.test(error.code);
      }
    }),
    { numRuns: 200 },
  );
});
