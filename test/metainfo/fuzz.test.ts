/**
 * Mutated torrents: each is refused with our codes or is a value that agrees with itself, and soon.
 *
 * A test of a second with one seed; by hand for longer and with another:
 * `BLOCKSWARM_FUZZ_SECONDS=600 BLOCKSWARM_FUZZ_SEED=7 npx tap run --disable-coverage --timeout=700 test/metainfo/fuzz.test.ts`.
 * What it finds is told as hex; it becomes a case of a test.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  type BencodeDict,
  type BencodeValue,
  decode,
  type Encodable,
  encode,
  isDict,
} from '../../src/bencode.js';
import { BlockswarmError } from '../../src/errors.js';
import { type Metainfo, parseInfo, parseMetainfo } from '../../src/metainfo/metainfo.js';
import { safePaths } from '../../src/metainfo/safe-path.js';
import { sameBytes, toHex } from '../../src/units.js';
import {
  content,
  dict,
  file,
  LEAF,
  layers,
  leaf,
  multiV1,
  singleV1,
  singleV2,
} from '../helpers/info-dicts.js';

const SECONDS = Number(process.env['BLOCKSWARM_FUZZ_SECONDS'] ?? 1);
const SEED = Number(process.env['BLOCKSWARM_FUZZ_SEED'] ?? 1);
/** Longest time for one input, far above what is needed: a loop without end shows. */
const PATIENCE_MS = 3000;
const DATA = '../shared/data/bittorrent';
const LIMITS = { maxBytes: 2 ** 24, maxDepth: 100, maxTokens: 1e6 };

/** mulberry32: numbers in [0, 1) from a seed. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

const next = random(SEED);
const below = (end: number) => Math.floor(next() * end);
const pick = <T>(items: readonly T[]): T => items[below(items.length)] as T;

function corpus(): Uint8Array[] {
  const pad = dict({ attr: 'p', length: LEAF - 3, path: ['.pad', 'x'] });
  const link = dict({ attr: 'lx', length: 0, path: ['sub', 'l'], 'symlink path': ['a'] });
  const tree = dict({ a: leaf(), b: leaf(), e: dict({ '': dict({ length: 0 }) }) });
  const files = [file(content.length, 'a'), pad, file(content.length, 'b'), file(0, 'e')];
  const outer = {
    announce: 'http://a/',
    'announce-list': [['http://a/'], ['udp://b:1']],
    'url-list': ['http://c/'],
    nodes: [['d', 1]],
  };
  const built = [
    dict({ info: singleV1({ private: 1, source: 'S' }), ...outer }),
    dict({ info: multiV1([file(9, 'sub', 'A'), file(0, 'sub', 'a'), link, file(0, 'a')]) }),
    dict({ info: singleV2(), 'piece layers': layers() }),
    dict({ info: singleV2({ 'file tree': tree, name: 'x' }), 'piece layers': layers() }),
    dict({
      info: singleV2({ 'file tree': tree, name: 'x', files, pieces: new Uint8Array(120) }),
      'piece layers': layers(),
    }),
  ].map(encode);
  if (!existsSync(DATA)) return built;
  const real = readdirSync(DATA, { recursive: true, encoding: 'utf8' }).filter((name) =>
    name.endsWith('.torrent'),
  );
  return [
    ...built,
    ...built,
    ...real.map((name) => readFileSync(join(DATA, name))).filter((bytes) => bytes.length < 50_000),
  ];
}

const inputs = corpus();
const NUMBERS = [-1, 0, 1, 5, LEAF, LEAF + 1, 2 ** 21, 2 ** 29, 2 ** 53 - 1, 2n ** 53n, 2n ** 64n - 1n];
const TEXTS = [
  '',
  '.',
  '..',
  'a',
  'A',
  '/',
  'CON',
  'p',
  'l',
  'a\0',
  '\xff',
  'x'.repeat(300),
  '\u202e',
  'é',
  'e\u0301',
];
const KEYS = [
  '',
  'attr',
  'length',
  'path',
  'files',
  'file tree',
  'name',
  'pieces',
  'pieces root',
  'symlink path',
  'meta version',
  'private',
];

function mutateBytes(bytes: Uint8Array): Uint8Array {
  const at = below(bytes.length);
  const end = Math.min(bytes.length, at + 1 + below(20));
  const other = pick(inputs);
  const from = below(other.length);
  const middle = [
    () => Uint8Array.of((bytes[at] ?? 0) ^ (1 << below(8)), ...bytes.subarray(at + 1, end)),
    () => new Uint8Array(0),
    () => Buffer.concat([bytes.subarray(at, end), bytes.subarray(at, end)]),
    () => Buffer.from(pick(['i-1e', 'le', 'de', '0:', 'e', '9:', 'i9999999999999999999e', 'd0:', '1:a'])),
    () => other.subarray(from, from + below(100)),
  ];
  return Buffer.concat([bytes.subarray(0, at), pick(middle)(), bytes.subarray(end)]);
}

/** Changes one place in a value, and keeps `pieces` as long as it must be where it can. */
function mutateValue(value: BencodeValue): Encodable {
  if (Array.isArray(value) && value.length > 0 && next() < 0.8) {
    const at = below(value.length);
    const changed: Encodable[] = [...value];
    const one = value[at] as BencodeValue;
    if (next() < 0.6) changed[at] = mutateValue(one);
    else if (next() < 0.5) changed.splice(at, 1);
    else changed.splice(below(value.length), 0, next() < 0.5 ? one : mutateValue(one));
    return changed;
  }
  if (isDict(value) && value.size > 0 && next() < 0.9) {
    const changed: Map<string, Encodable> = new Map(value);
    const key = pick([...value.keys()]);
    const one = value.get(key) as BencodeValue;
    if (next() < 0.75) changed.set(key, mutateValue(one));
    else if (next() < 0.4) changed.delete(key);
    else if (next() < 0.5) changed.set(pick(KEYS), one);
    else changed.set(Buffer.from(pick(TEXTS)).toString('latin1'), one);
    return changed;
  }
  if (value instanceof Uint8Array && value.length > 0 && next() < 0.4) return mutateBytes(value);
  return pick<() => Encodable>([
    () => pick(NUMBERS),
    () => pick(TEXTS),
    () => [],
    () => new Map(),
    () => [pick(TEXTS)],
  ])();
}

function fitPieces(root: Encodable): Encodable {
  const info = root instanceof Map ? (root as BencodeDict).get('info') : undefined;
  if (!isDict(info) || !info.has('pieces')) return root;
  const list = info.get('files');
  const lengths = Array.isArray(list)
    ? list.map((one) => (isDict(one) ? one.get('length') : 0))
    : [info.get('length')];
  const total = lengths.reduce<number>((sum, length) => sum + (typeof length === 'number' ? length : 0), 0);
  const pieces = Math.ceil(total / Number(info.get('piece length')));
  if (pieces >= 0 && pieces < 10_000) info.set('pieces', new Uint8Array(pieces * 20));
  return root;
}

function mutate(): Uint8Array {
  const bytes = pick(inputs);
  if (next() < 0.3) return mutateBytes(bytes);
  let value: Encodable;
  try {
    value = decode(bytes, LIMITS);
  } catch {
    return mutateBytes(bytes);
  }
  for (let changes = 1 + below(3); changes > 0; changes -= 1) value = mutateValue(value as BencodeValue);
  return encode(next() < 0.7 ? fitPieces(value) : value);
}

/** What is wrong with a parsed torrent, or `null`. */
function contradiction(metainfo: Metainfo): string | null {
  const { files, infoBytes, pieceLengthBytes, pieceCount, pieces } = metainfo;
  const bare = parseInfo(infoBytes);
  if (bare.pieceCount !== pieceCount || bare.files.length !== files.length) return 'differs from its info';
  if (!sameBytes(encode(decode(infoBytes, LIMITS)), infoBytes)) return 'its info is not canonical';
  const onDisk = files.filter((one) => !one.padding);
  if (onDisk.reduce((sum, one) => sum + one.lengthBytes, 0) !== metainfo.lengthBytes) return 'its length';
  if (metainfo.lengthBytes === 0) return 'no content';
  const space = files.reduce((sum, one) => sum + one.lengthBytes, 0);
  if (
    pieces !== null &&
    (pieces.length !== pieceCount * 20 || pieceCount !== Math.ceil(space / pieceLengthBytes))
  )
    return 'its pieces';
  if (files.some((one) => one.padding && one.path.length > 0)) return 'padding with a place';
  if (metainfo.multiFile && safePaths(onDisk.map((one) => one.path)).some(({ reason }) => reason !== null))
    return 'a path';
  const places = new Set(onDisk.flatMap(({ path }) => path.map((_, i) => path.slice(0, i + 1).join('/'))));
  for (const { symlinkTarget, piecesRoot, pieceLayer, lengthBytes } of onDisk) {
    // A target may lead through other links: then it begins at a path that is there.
    if (symlinkTarget !== null && !places.has(symlinkTarget[0] ?? '')) return 'a link';
    if (symlinkTarget?.some((part) => part === '..' || part.includes('/'))) return 'a link that leads out';
    if (metainfo.infoHashV2 === null ? piecesRoot !== null : (piecesRoot === null) !== (lengthBytes === 0))
      return 'a root';
    const layerBytes = lengthBytes > pieceLengthBytes ? Math.ceil(lengthBytes / pieceLengthBytes) * 32 : 0;
    if (pieceLayer !== null && pieceLayer.length !== layerBytes) return 'a layer';
  }
  return null;
}

t.test(`mutated torrents, seed ${SEED}`, async (t) => {
  let loaded = 0;
  let refused = 0;
  const found: string[] = [];
  const end = performance.now() + SECONDS * 1000;
  for (let now = performance.now(); now < end && found.length < 10; ) {
    const bytes = mutate();
    const begin = performance.now();
    let problem: string | null = null;
    try {
      problem = contradiction(parseMetainfo(bytes));
      loaded += 1;
    } catch (error) {
      refused += 1;
      if (!(error instanceof BlockswarmError && /^ERR_(BENCODE|METAINFO)$/.test(error.code)))
        problem = String(error);
    }
    now = performance.now();
    if (now - begin > PATIENCE_MS) problem ??= `${now - begin} ms`;
    if (problem !== null) found.push(`${problem}: ${toHex(bytes)}`);
  }
  t.same(found, []);
  t.ok(loaded > 10 && refused > 10, `${loaded} loaded, ${refused} refused`);
  t.comment(`${loaded} loaded, ${refused} refused`);
});
