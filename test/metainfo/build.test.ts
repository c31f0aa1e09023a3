import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { decode, isDict } from '../../src/bencode.js';
import { buildMetainfo, wrapInfo } from '../../src/metainfo/build.js';
import type { TorrentKind } from '../../src/metainfo/info-dict.js';
import { MAX_METAINFO_BYTES, parseInfo, parseMetainfo } from '../../src/metainfo/metainfo.js';
import { type PlanRequest, planTorrent } from '../../src/metainfo/plan.js';
import { toHex } from '../../src/units.js';
import { contentHashes } from '../helpers/torrent-hashes.js';

const LEAF = 16 * 1024;

interface Tree {
  name: string;
  multiFile: boolean;
  pieceLengthBytes: number;
  private: boolean;
  files: {
    path: string;
    lengthBytes: number;
    executable?: boolean;
    hidden?: boolean;
    symlinkTarget?: string;
  }[];
  torrents: { kind: TorrentKind; infoHashV1: string | null; infoHashV2: string | null }[];
}

/** Plans and makes a torrent of files whose bytes are `fill`, or their place in the request plus one. */
function make(request: PlanRequest, fill?: number) {
  const plan = planTorrent(request);
  const place = new Map(request.files.map((file, i) => [file.path.join('/'), i + 1]));
  const content = plan.files.map((file) =>
    new Uint8Array(file.lengthBytes).fill(file.padding ? 0 : (fill ?? place.get(file.path.join('/')) ?? 1)),
  );
  return { plan, hashes: contentHashes(plan, content) };
}

t.test('libtorrent makes the same torrents of the same trees', async (t) => {
  const { trees } = JSON.parse(readFileSync('test/vectors/trees.json', 'utf8')) as { trees: Tree[] };
  t.ok(trees.length >= 6);
  for (const { torrents, files, ...tree } of trees) {
    for (const { kind, infoHashV1, infoHashV2 } of torrents) {
      const { plan, hashes } = make({
        ...tree,
        kind,
        files: files.map(({ symlinkTarget, ...file }) => ({
          ...file,
          path: file.path.split('/'),
          symlinkTarget: symlinkTarget?.split('/') ?? null,
        })),
      });
      const { metainfo } = buildMetainfo(plan, hashes);
      t.equal(metainfo.infoHashV1 && toHex(metainfo.infoHashV1), infoHashV1, `${kind} of ${tree.name}`);
      t.equal(metainfo.infoHashV2 && toHex(metainfo.infoHashV2), infoHashV2, `${kind} of ${tree.name}`);
    }
  }
});

const two: PlanRequest = {
  name: 'folder',
  kind: 'hybrid',
  pieceLengthBytes: 2 * LEAF,
  files: [
    { path: ['a'], lengthBytes: 5 * LEAF },
    { path: ['b'], lengthBytes: 3 },
  ],
  multiFile: true,
};

t.test('fields lie inside or outside of the info dictionary', async (t) => {
  const { plan, hashes } = make({ ...two, private: true, source: 'S' });
  const { metainfo, metainfoBytes } = buildMetainfo(plan, hashes, {
    trackerTiers: [['http://a/1', 'http://b/1'], ['udp://c:1']],
    webSeeds: ['https://d/'],
    nodes: [{ host: 'e', port: 1 }],
    comment: 'größe',
    createdBy: 'me',
    creationDate: 0,
  });
  t.match(metainfo, {
    private: true,
    source: 'S',
    trackerTiers: [['http://a/1', 'http://b/1'], ['udp://c:1']],
    webSeeds: ['https://d/'],
    nodes: [{ host: 'e', port: 1 }],
    comment: 'größe',
    createdBy: 'me',
    creationDate: 0,
  });
  const root = decode(metainfoBytes);
  t.same(isDict(root) && [...root.keys()], [
    'announce',
    'announce-list',
    'comment',
    'created by',
    'creation date',
    'info',
    'nodes',
    'piece layers',
    'url-list',
  ]);
  const plain = buildMetainfo(plan, hashes);
  t.same(plain.metainfo.infoBytes, metainfo.infoBytes, 'what is outside changes no infohash');
  const bare = decode(plain.metainfoBytes);
  t.same(isDict(bare) && [...bare.keys()], ['info', 'piece layers']);
  const one = decode(buildMetainfo(plan, hashes, { trackerTiers: [['http://a/1']] }).metainfoBytes);
  t.notOk(isDict(one) && one.has('announce-list'), 'one tracker needs no list');
});

t.test('hashes that contradict the plan make no torrent', async (t) => {
  const { plan, hashes } = make(two);
  const bad = { code: 'ERR_METAINFO' };
  const [first = null, ...rest] = hashes.files;
  t.throws(() => buildMetainfo(plan, { ...hashes, pieces: null }), bad);
  t.throws(() => buildMetainfo(plan, { ...hashes, pieces: new Uint8Array(20) }), bad);
  t.throws(() => buildMetainfo(plan, { ...hashes, files: [] }), bad);
  t.throws(() => buildMetainfo(plan, { ...hashes, files: [null, ...rest] }), bad);
  const wrong = first && { ...first, pieceLayer: new Uint8Array(96) };
  t.throws(() => buildMetainfo(plan, { ...hashes, files: [wrong, ...rest] }), bad);
});

t.test('the deepest path that can be planned can be read', async (t) => {
  const deep = [...Array(95).fill('a'), 'b'];
  for (const kind of ['v1', 'v2', 'hybrid'] as const) {
    const { plan, hashes } = make({ ...two, kind, files: [{ path: deep, lengthBytes: 3 }] });
    t.same(buildMetainfo(plan, hashes).metainfo.files[0]?.path, deep, kind);
  }
});

const name = fc.stringMatching(/^[a-cä.]{1,3}$/).filter((text) => text !== '.' && text !== '..');
const file = fc.record({
  path: fc.array(name, { minLength: 1, maxLength: 3 }),
  lengthBytes: fc.constantFrom(0, 1, LEAF, LEAF + 1, 5 * LEAF - 1),
  executable: fc.boolean(),
  hidden: fc.boolean(),
});

t.test('what is made is read back as it was planned, and as large as it was planned', async (t) => {
  let made = 0;
  fc.assert(
    fc.property(
      fc.array(file, { minLength: 1, maxLength: 6 }),
      fc.constantFrom<TorrentKind>('v1', 'v2', 'hybrid'),
      fc.constantFrom(LEAF, 4 * LEAF),
      (files, kind, pieceLengthBytes) => {
        const request = { name: 'folder', kind, pieceLengthBytes, files, multiFile: true };
        let result: ReturnType<typeof make>;
        try {
          // All files alike: the same roots and layers stand once.
          result = make(request, 1);
        } catch (error) {
          return (error as { code?: string }).code === 'ERR_METAINFO';
        }
        made += 1;
        const { plan, hashes } = result;
        const { metainfo, metainfoBytes } = buildMetainfo(plan, hashes);
        const read = metainfo.files.map(({ rawPath, piecesRoot, pieceLayer, path, ...rest }) =>
          rest.padding ? { path, ...rest } : { path: rawPath, ...rest },
        );
        return (
          JSON.stringify(read) === JSON.stringify(plan.files) &&
          metainfo.pieceCount === plan.pieceCount &&
          metainfo.infoBytes.length === plan.infoLengthBytes &&
          metainfoBytes.length <= plan.infoLengthBytes + plan.layersLengthBytes + 30 &&
          parseInfo(metainfo.infoBytes).name === 'folder'
        );
      },
    ),
    { numRuns: 300 },
  );
  t.ok(made > 100, `${made} made`);
});

t.test(
  'an info dictionary with its layers is the torrent that was made, and without them what peers sent',
  async (t) => {
    for (const kind of ['v2', 'hybrid'] as const) {
      const { plan, hashes } = make({ ...two, kind });
      const { metainfo, metainfoBytes } = buildMetainfo(plan, hashes);
      const layers = Buffer.concat(
        metainfo.files.map(({ lengthBytes, pieceLayer }) =>
          pieceLayer && lengthBytes > plan.pieceLengthBytes ? pieceLayer : Buffer.alloc(0),
        ),
      );
      t.ok(layers.length > 0);
      const info = parseInfo(metainfo.infoBytes);
      t.equal(toHex(wrapInfo(info, layers) ?? new Uint8Array()), toHex(metainfoBytes));
      const alone = wrapInfo(info, null) ?? new Uint8Array();
      t.equal(toHex(parseMetainfo(alone, { needsLayers: false }).infoBytes), toHex(metainfo.infoBytes));
      if (kind === 'v2') t.throws(() => parseMetainfo(alone), { code: 'ERR_METAINFO' });
      t.equal(wrapInfo(info, new Uint8Array(MAX_METAINFO_BYTES)), null, 'longer than a .torrent may be');
    }
  },
);
