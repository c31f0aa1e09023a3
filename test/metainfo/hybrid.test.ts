import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { decode, encode, isDict } from '../../src/bencode.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { parseMetainfo } from '../../src/metainfo/metainfo.js';
import { toHex } from '../../src/units.js';
import { torrentHashes } from '../helpers/torrent-hashes.js';

interface Vector {
  name: string;
  lengthBytes: number;
  infoHashV1: string;
  infoHashV2: string;
}

/** SHA-256 of the numbers 0, 1, 2 … as 8 little-endian bytes: the content of the synthetic vectors. */
function stream(lengthBytes: number): Uint8Array {
  const parts: Buffer[] = [];
  const number = Buffer.alloc(8);
  for (let n = 0; n * 32 < lengthBytes; n += 1) {
    number.writeBigUInt64LE(BigInt(n));
    parts.push(createHash('sha256').update(number).digest());
  }
  return Buffer.concat(parts).subarray(0, lengthBytes);
}

t.test('libtorrent makes the same torrents', async (t) => {
  const vectors = JSON.parse(readFileSync('test/vectors/infohashes.json', 'utf8')) as { synthetic: Vector[] };
  t.ok(vectors.synthetic.length >= 5);
  for (const { name, lengthBytes, infoHashV1, infoHashV2 } of vectors.synthetic) {
    const made = makeHybrid({ name, ...torrentHashes(stream(lengthBytes), PIECE_LENGTH_BYTES) });
    t.equal(made.infoHashV1 && toHex(made.infoHashV1), infoHashV1, name);
    t.equal(made.infoHashV2 && toHex(made.infoHashV2), infoHashV2, name);
  }
});

const hashes = torrentHashes(stream(5 * 16384 + 7), 2 * 16384);

t.test('has exactly the keys of the format', async (t) => {
  const root = decode(makeHybrid({ name: 'a.dat', ...hashes }).metainfoBytes);
  t.ok(isDict(root));
  if (!isDict(root)) return;
  t.same([...root.keys()], ['info', 'piece layers']);
  const info = root.get('info');
  const keys = ['file tree', 'length', 'meta version', 'name', 'piece length', 'pieces'];
  t.same(isDict(info) && [...info.keys()], keys);
  const short = decode(makeHybrid({ name: 'a.dat', ...torrentHashes(stream(3), 16384) }).metainfoBytes);
  t.same(isDict(short) && short.get('piece layers'), new Map(), 'the layers are there when empty');
});

t.test('gives the same bytes every time, and reads them back', async (t) => {
  const made = makeHybrid({ name: 'größe.dat', ...hashes });
  t.same(makeHybrid({ name: 'größe.dat', ...hashes }).metainfoBytes, made.metainfoBytes);
  const { metainfoBytes, ...metainfo } = made;
  t.same(parseMetainfo(metainfoBytes), metainfo);
  t.match(metainfo, { name: 'größe.dat', multiFile: false, pieceCount: 3, trackerTiers: [], private: false });
  t.same(encode(decode(metainfoBytes)), metainfoBytes);
});

t.test('refuses hashes that contradict each other', async (t) => {
  const bad = { code: 'ERR_METAINFO' };
  t.throws(() => makeHybrid({ name: 'a', ...hashes, lengthBytes: 1 }), bad);
  t.throws(() => makeHybrid({ name: 'a', ...hashes, lengthBytes: hashes.lengthBytes + 2 ** 20 }), bad);
  t.throws(() => makeHybrid({ name: 'a', ...hashes, piecesRoot: new Uint8Array(32).fill(1) }), bad);
  t.throws(() => makeHybrid({ name: 'a', ...hashes, pieceLayer: new Uint8Array(96) }), bad);
  t.throws(() => makeHybrid({ name: '../a', ...hashes }), bad);
  t.throws(() => makeHybrid({ name: 'a', ...hashes, pieceLengthBytes: 3 * 16384 }), { code: 'ERR_CONFIG' });
});
