/**
 * DESIGN §1 against an independent implementation. `vectors/infohashes.json` was made by `make-infohashes.py`
 * from Core's own files with libtorrent, without a line of ours; our code must give the same.
 */
import { createHash } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { type HybridTorrent, makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { fileExtents, hashExtents } from '../../src/native.js';
import { sameBytes } from '../../src/units.js';
import { type ChainTorrents, chainTorrents, facts, writeTorrents } from '../helpers/chain-torrents.js';
import { cliJson } from '../helpers/cli.js';
import {
  loadTorrents,
  makeTorrents,
  noLibtorrent,
  python,
  type TorrentFacts,
} from '../helpers/libtorrent.js';
import { outputOf } from '../helpers/program.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { noSharedData, unpackShared } from '../helpers/shared-data.js';
import { tempFolder } from '../helpers/temp.js';

interface ChainVectors {
  readonly sealed: number;
  readonly blocks: readonly TorrentFacts[];
  readonly spent: readonly TorrentFacts[];
  readonly catalogues: readonly TorrentFacts[];
}

const vectorsFolder = fileURLToPath(new URL('../vectors', import.meta.url));
const vectorsText = readFileSync(join(vectorsFolder, 'infohashes.json'), 'utf8');
const vectors: { mainnet: ChainVectors; regtest: ChainVectors; synthetic: readonly TorrentFacts[] } =
  JSON.parse(vectorsText);

function sameTorrents(t: Test, made: ChainTorrents, expected: ChainVectors): void {
  t.equal(made.segments.length, expected.sealed, 'sealed segments');
  t.same(made.blocks.map(facts), expected.blocks, 'blocks files');
  t.same(made.spent.map(facts), expected.spent, 'spent files');
  t.same(made.catalogues.map(facts), expected.catalogues, 'catalogues');
}

/** libtorrent reads every one, checks its piece layers, and reports the same two infohashes. */
async function libtorrentAgrees(t: Test, torrents: readonly HybridTorrent[]): Promise<void> {
  if (noLibtorrent) return t.comment(noLibtorrent);
  t.same(
    await loadTorrents(t, writeTorrents(tempFolder(t), torrents)),
    torrents.map(facts),
    'libtorrent reads the same',
  );
}

t.test('the torrents of the mainnet sample are those of the vectors', async (t) => {
  const made = await chainTorrents(t, 'mainnet', await sampleDatadir());
  sameTorrents(t, made, vectors.mainnet);
  await libtorrentAgrees(t, [...made.blocks, ...made.spent, ...made.catalogues]);
});

t.test('a data directory that bitcoind wrote gives the same torrents', { skip: noSharedData }, async (t) => {
  const blocks = await unpackShared(t, 'chain-mainnet/core-blocksdir-0-14131-xor.tar.zst');
  sameTorrents(t, await chainTorrents(t, 'mainnet', tempFolder(t), blocks), vectors.mainnet);
});

t.test('the torrents of the regtest chain, of several pieces, are those of the vectors', async (t) => {
  const { datadir } = await regtestChain(t);
  const made = await chainTorrents(t, 'regtest', datadir);
  sameTorrents(t, made, vectors.regtest);
  await libtorrentAgrees(t, [...made.blocks, ...made.spent, ...made.catalogues]);
});

t.test(
  'files whose ends fall on the edges of leaves and pieces give the torrents of the vectors',
  async (t) => {
    const folder = tempFolder(t);
    const content = countedStream(Math.max(...vectors.synthetic.map(({ lengthBytes }) => lengthBytes)));
    const files: string[] = [];
    const made: HybridTorrent[] = [];
    for (const { name, lengthBytes } of vectors.synthetic) {
      const path = join(folder, name);
      writeFileSync(path, content.subarray(0, lengthBytes));
      files.push(path);
      const hashes = await hashExtents(fileExtents(path, lengthBytes), PIECE_LENGTH_BYTES);
      made.push(makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes }));
    }
    t.same(made.map(facts), vectors.synthetic, 'our torrents');
    await libtorrentAgrees(t, made);
    if (!noLibtorrent) t.same(await makeTorrents(t, files), vectors.synthetic, 'torrents of libtorrent');
  },
);

t.test(
  'libtorrent makes the vectors again from flat files cut by no code of ours',
  { skip: noLibtorrent },
  async (t) => {
    const script = join(vectorsFolder, 'make-infohashes.py');
    const mainnet = join(await sampleDatadir(), 'blocks');
    const { datadir } = await regtestChain(t);
    const regtest = join(datadir, 'regtest', 'blocks');
    const made = await outputOf(t, python, ['-BW', 'ignore', script, mainnet, regtest]);
    t.same(JSON.parse(made), JSON.parse(vectorsText));
  },
);

t.test('each catalogue is a byte prefix of the next', async (t) => {
  const { catalogueBytes, catalogues } = await chainTorrents(t, 'mainnet', await sampleDatadir());
  for (const { lengthBytes, pieces } of catalogues) {
    const digest = createHash('sha1').update(catalogueBytes.subarray(0, lengthBytes)).digest();
    t.ok(pieces && sameBytes(digest, pieces), `the first ${lengthBytes} bytes are a catalogue`);
  }
});

t.test('`segments --json` names the torrents of the vectors', async (t) => {
  const { datadir } = await regtestChain(t);
  const said = await cliJson(t, ['segments', '--network', 'regtest', '--datadir', datadir]);
  t.match(said, {
    schema: 1,
    network: 'regtest',
    interval: 144,
    sealed: vectors.regtest.sealed,
    segments: vectors.regtest.blocks.map((blocks, index) => ({
      index,
      firstHeight: index * 144,
      endHeight: (index + 1) * 144,
      blocks,
      spent: vectors.regtest.spent[index],
    })),
  });
});

t.test('`catalogue make` writes the file of the vectors', async (t) => {
  const { datadir } = await regtestChain(t);
  const expected = vectors.regtest.catalogues.at(-1);
  const { name = '' } = expected ?? {};
  const out = join(tempFolder(t), name);
  await cliJson(t, ['catalogue', 'make', '--network', 'regtest', '--datadir', datadir, '--out', out]);
  const hashes = await hashExtents(fileExtents(out, statSync(out).size), PIECE_LENGTH_BYTES);
  t.same(facts(makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes })), expected);
});

/** The stream that the synthetic files are cut from: SHA-256 of 0, 1, 2 … as 8 little-endian bytes. */
function countedStream(lengthBytes: number): Buffer {
  const stream = Buffer.alloc(Math.ceil(lengthBytes / 32) * 32);
  const counter = Buffer.alloc(8);
  for (let offset = 0; offset < stream.length; offset += 32) {
    counter.writeUInt32LE(offset / 32);
    createHash('sha256').update(counter).digest().copy(stream, offset);
  }
  return stream.subarray(0, lengthBytes);
}
