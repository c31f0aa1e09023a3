/**
 * The cases of libtorrent's test torrents (test/test_torrents, by name), rebuilt by hand: what loads, under which names,
 * and what is refused. Where the outcome is another than libtorrent's, the sentence says so.
 */
import t from 'tap';
import { type Encodable, encode } from '../../src/bencode.js';
import { BlockswarmError } from '../../src/errors.js';
import { type Metainfo, parseMetainfo } from '../../src/metainfo/metainfo.js';
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

const torrent = (info: Encodable, fields: Fields = {}) => encode(dict({ info, ...fields }));
const v2 = (info: Encodable) => torrent(info, { 'piece layers': layers() });
/** A v2 torrent of a tree of small files. */
const tree = (files: Encodable, fields: Fields = {}) =>
  torrent(dict({ 'file tree': files, 'meta version': 2, name: 'test', 'piece length': LEAF, ...fields }), {
    'piece layers': dict({}),
  });
const small = (fields: Fields = {}) =>
  dict({ '': dict({ length: 5, 'pieces root': new Uint8Array(32).fill(7), ...fields }) });
const one = (...path: Encodable[]) => torrent(multiV1([file(LEAF, ...path)]));
const bytes = (...octets: number[]) => new Uint8Array(octets);
const link = (at: string, ...to: Encodable[]) =>
  dict({ attr: 'l', length: 0, path: at.split('/'), 'symlink path': to });
const latin1 = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));

const hybridFields = (fields: Fields) =>
  singleV2({
    'file tree': dict({ a: leaf(), b: leaf() }),
    name: 'test',
    pieces: new Uint8Array(120),
    ...fields,
  });
const pad = (length: number) => dict({ attr: 'p', length, path: ['.pad', String(length)] });
const hybrid = (...files: Encodable[]) => v2(hybridFields({ files }));

const REFUSED: Record<string, [what: string, bytes: Uint8Array]> = {
  missing_piece_len: ['no piece length', torrent(singleV1({ 'piece length': undefined }))],
  invalid_piece_len: ['a piece length that is text', torrent(singleV1({ 'piece length': 'x' }))],
  negative_piece_len: ['a negative piece length', torrent(singleV1({ 'piece length': -1 }))],
  no_name: ['no name', torrent(singleV1({ name: undefined }))],
  bad_name: ['a file called `..` only', torrent(singleV1({ name: '..' }))],
  invalid_name: ['a name that is a number', torrent(singleV1({ name: 1 }))],
  invalid_info: ['an info that is no dictionary', torrent('x')],
  string: ['a torrent that is a string', encode('x')],
  negative_size: ['a negative length', torrent(singleV1({ length: -1 }))],
  negative_file_size: ['a file of negative length', torrent(multiV1([file(-1, 'a')]))],
  invalid_file_size: ['a file whose length is text', torrent(multiV1([dict({ length: 'x', path: ['a'] })]))],
  invalid_path_list: ['a path that is a number', torrent(multiV1([dict({ length: 1, path: 1 })]))],
  missing_path_list: ['a file without a path', torrent(multiV1([dict({ length: 1 })]))],
  empty_path_list: ['a path of no names', one()],
  invalid_pieces: ['pieces that are a number', torrent(singleV1({ pieces: 1 }))],
  unaligned_pieces: ['pieces that are no whole hashes', torrent(singleV1({ pieces: new Uint8Array(39) }))],
  many_pieces: ['2^21 pieces', torrent(singleV1({ length: 2 ** 21, 'piece length': 1 }))],
  no_files: ['a list of no files', torrent(multiV1([]))],
  zero: ['a file of no bytes alone', torrent(singleV1({ length: 0, pieces: bytes() }))],
  zero2: ['only files of no bytes', torrent(multiV1([file(0, 'a'), file(0, 'b')], { pieces: bytes() }))],
  invalid_symlink: ['a link to a number', torrent(multiV1([file(LEAF, 'a'), link('l', 1)]))],
  large_piece_size: ['pieces of more than 512 MiB', torrent(singleV1({ 'piece length': 2 ** 29 + 1 }))],
  large_file: ['a length over 2^53', torrent(singleV1({ length: 2n ** 53n }))],
  huge_length: ['a length over 64 bits', latin1('d4:infod6:lengthi99999999999999999999eee')],
  'too-few-pieces': ['a hash too few (Transmission)', torrent(singleV1({ pieces: new Uint8Array(20) }))],
  'too-many-pieces': ['a hash too many (Transmission)', torrent(singleV1({ pieces: new Uint8Array(60) }))],
  'dup-pieces-key': ['a key twice (Transmission)', latin1('d4:infod6:lengthi1e6:lengthi1eee')],
  unordered: [
    'keys out of order, which libtorrent loads: our bencoding has one form',
    latin1('d1:bi1e4:info2:xx1:ai1ee'),
  ],
  v2_mismatching_metadata: [
    'halves of different lengths',
    hybrid(file(content.length, 'a'), pad(LEAF - 3), file(content.length - 1, 'b')),
  ],
  v2_bad_file_alignment: [
    'halves without alignment',
    hybrid(file(content.length, 'a'), file(content.length, 'b')),
  ],
  v2_no_power2_piece: ['a piece length that is no power of two', v2(singleV2({ 'piece length': 3 * LEAF }))],
  v2_piece_size: ['a piece shorter than a leaf', v2(singleV2({ 'piece length': LEAF / 2 }))],
  v2_invalid_file: ['a file that is a number', tree(dict({ a: dict({ '': 1 }) }))],
  v2_file_and_folder: ['a file that is a folder', tree(dict({ a: new Map([...small(), ['b', small()]]) }))],
  v2_deep_recursion: [
    'folders in folders, 101 deep',
    tree(Array.from({ length: 101 }).reduce<Encodable>((inner) => dict({ a: inner }), small())),
  ],
  v2_non_multiple_piece_layer: [
    'a layer that is no whole hashes',
    torrent(singleV2(), {
      'piece layers': new Map([...layers()].map(([key, layer]) => [key, layer.subarray(1)])),
    }),
  ],
  v2_invalid_piece_layer: ['layers that are a list', torrent(singleV2(), { 'piece layers': [] })],
  v2_invalid_piece_layer_root: [
    'a layer under a key that is no root',
    torrent(singleV2(), { 'piece layers': new Map([['x', hashes.pieceLayer]]) }),
  ],
  v2_invalid_piece_layer_size: [
    'a layer of a piece too few',
    torrent(singleV2(), {
      'piece layers': new Map([...layers()].map(([key, layer]) => [key, layer.subarray(32)])),
    }),
  ],
  v2_unknown_piece_layer_entry: [
    'a layer of no file',
    torrent(singleV2(), { 'piece layers': layers().set('x'.repeat(32), hashes.pieceLayer) }),
  ],
  v2_piece_layer_invalid_file_hash: [
    'a layer that is not under its root',
    torrent(singleV2(), { 'piece layers': new Map([...layers()].map(([key]) => [key, new Uint8Array(96)])) }),
  ],
  v2_no_piece_layers: [
    'no layers where they are needed, which libtorrent loads and asks its peers for',
    torrent(singleV2()),
  ],
  v2_incomplete_piece_layer: ['a layer too few, likewise', torrent(singleV2(), { 'piece layers': dict({}) })],
  v2_unordered_files: ['files out of order', latin1('d4:infod9:file treed1:bde1:adeeee')],
  v2_overlong_integer: ['a length with a leading zero', latin1('d4:infod6:lengthi01eee')],
  v2_missing_file_root_invalid_symlink: [
    'a file without a root',
    tree(dict({ a: small({ 'pieces root': undefined }) })),
  ],
  v2_zero_root: [
    'a root of zeros',
    v2(singleV2({ 'file tree': dict({ 'a.dat': leaf({ 'pieces root': new Uint8Array(32) }) }) })),
  ],
  v2_zero_root_small: [
    'a root of zeros of a small file',
    tree(dict({ a: small({ 'pieces root': new Uint8Array(32) }) })),
  ],
  v2_invalid_root_hash: [
    'a root that is no hash',
    tree(dict({ a: small({ 'pieces root': new Uint8Array(31) }) })),
  ],
  v2_large_file: ['a length over 2^53', tree(dict({ a: small({ length: 2n ** 53n }) }))],
  v2_large_offset: [
    'lengths whose sum is over 2^53',
    tree(dict({ a: small({ length: 2 ** 53 - 1 }), b: small() })),
  ],
  v2_invalid_pad_file: ['padding in a tree', tree(dict({ a: small({ attr: 'p' }) }))],
  v2_empty_filename: ['a file without a name', tree(dict({ '': dict({ length: 5 }) }))],
  v2_empty_file: ['an empty file with a root', tree(dict({ a: small({ length: 0 }), b: small() }))],
};

/** Loaded, with these paths on disk. */
const LOADED: Record<string, [what: string, bytes: Uint8Array, paths: string[]]> = {
  parent_path: ['a step up', one('..', 'bar'), ['_/bar']],
  hidden_parent_path: ['a step up in between', one('foo', '..', '..', 'bar'), ['foo/_/_/bar']],
  absolute_filename: ['a path from the root', one('/bar'), ['_bar']],
  slash_path: ['a separator as a name', one('/', 'bar'), ['_/bar']],
  slash_path2: ['separators in names', one('a/b', 'c//d'), ['a_b/c__d']],
  backslash_path: ['separators of Windows', one('..\\..\\bar'), ['.._.._bar']],
  invalid_name2: ['a file that is called `..` in part', torrent(singleV1({ name: '../a' })), ['.._a']],
  invalid_name3: ['a name that is not UTF-8', torrent(singleV1({ name: bytes(0x61, 0xff) })), ['a_']],
  folder_name: ['a folder called `..`', torrent(multiV1([file(LEAF, 'a')], { name: '..' })), ['a']],
  invalid_filename: ['a file that is not UTF-8', one(bytes(0xe3, 0x81)), ['_']],
  invalid_directory_name: ['a folder that is not UTF-8', one(bytes(0xff), 'a'), ['_/a']],
  v2_invalid_filename: ['a v2 file that is not UTF-8', tree(new Map([['\xff', small()]])), ['_']],
  empty_path: ['a file with an empty name', one(''), ['_']],
  empty_path_multi: ['an empty name in between', one('a', '', 'b'), ['a/_/b']],
  long_name: ['a name over 255 bytes', one(`${'x'.repeat(300)}.mkv`), [`${'x'.repeat(251)}.mkv`]],
  duplicate_files: [
    'files of one name',
    torrent(multiV1([file(LEAF, 'a.txt'), file(0, 'a.txt'), file(0, 'A.TXT')])),
    ['a.txt', 'a.1.txt', 'A.2.TXT'],
  ],
  duplicate_files2: [
    'a thousand files of one name, which libtorrent refuses: here each costs as much as any',
    torrent(multiV1([file(LEAF, 'a'), ...Array(1000).fill(file(0, 'a'))])),
    ['a', ...Array.from({ length: 1000 }, (_, i) => `a.${i + 1}`)],
  ],
  file_and_folder: [
    'a file that is a folder',
    torrent(multiV1([file(LEAF, 'a'), file(0, 'a', 'b')])),
    ['a.1', 'a/b'],
  ],
  symlink1: ['a link', torrent(multiV1([file(LEAF, 'a', 'b'), link('l', 'a', 'b')])), ['a/b', 'l -> a/b']],
  symlink2: [
    'a link to a folder',
    torrent(multiV1([file(LEAF, 'a', 'b'), link('l', 'a')])),
    ['a/b', 'l -> a'],
  ],
  symlink_outside: [
    'a link that leads out, as an empty file',
    torrent(multiV1([file(LEAF, 'a'), link('l', '..', 'a')])),
    ['a', 'l'],
  ],
  symlink_filtered_path: [
    'a link to a repaired name',
    torrent(multiV1([file(LEAF, 'a:b'), link('l', 'a:b')])),
    ['a_b', 'l -> a_b'],
  ],
  overlapping_symlinks: [
    'a link where a folder is',
    torrent(multiV1([file(LEAF, 'a', 'b'), link('a', 'a', 'b')])),
    ['a/b', 'a.1 -> a/b'],
  ],
  v2_symlinks: [
    'a link of v2',
    tree(dict({ a: small(), l: dict({ '': dict({ attr: 'l', 'symlink path': ['a'] }) }) })),
    ['a', 'l -> a'],
  ],
  pad_file: ['padding', torrent(multiV1([file(LEAF - 5, 'a'), pad(5), file(0, 'b')])), ['a', '', 'b']],
  pad_file_no_path: [
    'padding without a path',
    torrent(multiV1([file(LEAF - 5, 'a'), dict({ attr: 'p', length: 5 })])),
    ['a', ''],
  ],
  large: [
    'a length of 2^45',
    torrent(singleV1({ length: 2 ** 45, 'piece length': 2 ** 29, pieces: new Uint8Array(20 * 2 ** 16) })),
    ['a.dat'],
  ],
  v2_only: ['a v2 torrent', v2(singleV2()), ['a.dat']],
  v2_multiple_files: [
    'small files need no layers',
    tree(dict({ a: small(), b: dict({ c: small() }) })),
    ['a', 'b/c'],
  ],
  v2_hybrid: [
    'a hybrid with padding at the end',
    hybrid(file(content.length, 'a'), pad(LEAF - 3), file(content.length, 'b'), pad(LEAF - 3)),
    ['a', '', 'b', ''],
  ],
  'v2_hybrid-missing-tailpad': [
    'a hybrid without',
    hybrid(file(content.length, 'a'), pad(LEAF - 3), file(content.length, 'b')),
    ['a', '', 'b'],
  ],
  v2_hybrid_no_piece_layers: [
    'a hybrid without layers, which v1 can do without',
    torrent(hybridFields({ files: [file(content.length, 'a'), pad(LEAF - 3), file(content.length, 'b')] })),
    ['a', '', 'b'],
  ],
  'empty-files': [
    'empty files anywhere in a hybrid, before or behind the padding',
    v2(
      hybridFields({
        'file tree': dict({
          '0': dict({ '': dict({ length: 0 }) }),
          a: leaf(),
          a1: dict({ '': dict({ length: 0 }) }),
          b: leaf(),
          c: dict({ '': dict({ length: 0 }) }),
        }),
        files: [
          file(0, '0'),
          file(content.length, 'a'),
          file(0, 'a1'),
          pad(LEAF - 3),
          file(content.length, 'b'),
          pad(LEAF - 3),
          file(0, 'c'),
        ],
      }),
    ),
    ['0', 'a', 'a1', '', 'b', '', 'c'],
  ],
};

const web = (fields: Fields) => parseMetainfo(torrent(singleV1(), fields)).webSeeds;

t.test('refused', async (t) => {
  for (const [name, [what, input]] of Object.entries(REFUSED)) {
    let code: string = 'loaded';
    try {
      parseMetainfo(input);
    } catch (error) {
      code = error instanceof BlockswarmError ? error.code : String(error);
    }
    t.match(code, /^ERR_(METAINFO|BENCODE)$/, `${name}: ${what}`);
  }
});

t.test('loaded, under safe names', async (t) => {
  const paths = (metainfo: Metainfo) =>
    metainfo.files.map(
      ({ path, symlinkTarget }) => path.join('/') + (symlinkTarget ? ` -> ${symlinkTarget.join('/')}` : ''),
    );
  for (const [name, [what, input, expected]] of Object.entries(LOADED)) {
    t.same(paths(parseMetainfo(input)), expected, `${name}: ${what}`);
  }
});

t.test('fields', async (t) => {
  t.same(web({ 'url-list': 'http://a/' }), ['http://a/'], 'url_seed');
  t.same(
    web({ 'url-list': ['http://a/', 'http://b/', 'http://a/'] }),
    ['http://a/', 'http://b/'],
    'duplicate_web_seeds',
  );
  t.same(web({ 'url-list': ['', 1, [], 'ftp://a', 'http://'] }), [], 'url_list of what is none');
  t.same(web({ httpseeds: ['http://a/'], 'url-list': bytes() }), [], 'httpseed (BEP 17) is passed over');
  const spaced = parseMetainfo(torrent(singleV1(), { announce: '   udp://a:1/announce ' }));
  t.same(spaced.trackerTiers, [['udp://a:1/announce']], 'whitespace_url');
  const other = parseMetainfo(torrent(singleV1({ collections: ['x'], similar: [bytes()] }), { similar: 1 }));
  t.equal(other.name, 'a.dat', 'similar and collection are passed over');
});
