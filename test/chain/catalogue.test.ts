import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import {
  CatalogueReader,
  catalogueHead,
  catalogueRecord,
  checkChainWork,
} from '../../src/chain/catalogue.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { type SegmentKind, segmentFileName } from '../../src/metainfo/segment.js';
import { networkParams } from '../../src/native.js';
import { fromHex, toHex } from '../../src/units.js';
import { recordOffsets, samplePath } from '../helpers/engine.js';

const mainnet = networkParams('mainnet');
const nowSeconds = 1_800_000_000;
const sample = readFileSync(samplePath);
const headers = Buffer.concat(
  recordOffsets(sample)
    .slice(0, -1)
    .map((at) => sample.subarray(at + 8, at + 88)),
);

/** Metainfo of the right form; its hashes are of no real file. */
function metainfo(index: number, kind: SegmentKind): Uint8Array {
  return makeHybrid({
    name: segmentFileName('mainnet', index, kind),
    lengthBytes: 1000 + index,
    pieceLengthBytes: PIECE_LENGTH_BYTES,
    pieces: new Uint8Array(20).fill(index + 1),
    piecesRoot: new Uint8Array(32).fill(index + 1),
    pieceLayer: new Uint8Array(0),
  }).metainfoBytes;
}

function record(
  index: number,
  own: Uint8Array = headers.subarray(index * 2016 * 80, (index + 1) * 2016 * 80),
): Uint8Array {
  return catalogueRecord(own, metainfo(index, 'blocks'), metainfo(index, 'spent'));
}

function catalogue(count: number): Uint8Array {
  return Buffer.concat([
    catalogueHead(mainnet),
    ...Array.from({ length: count }, (_, index) => record(index)),
  ]);
}

function read(bytes: Uint8Array, expected?: number): CatalogueReader {
  const reader = new CatalogueReader(mainnet, nowSeconds);
  reader.push(bytes);
  reader.finish(expected);
  return reader;
}

t.test('a catalogue of n segments is a byte prefix of that of n + 1', async (t) => {
  const [two, three] = [catalogue(2), catalogue(3)];
  t.equal(Buffer.compare(three.subarray(0, two.length), two), 0);
});

t.test('reads what it wrote, in chunks of any size', async (t) => {
  const bytes = catalogue(2);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 20 }), (cuts) => {
      const reader = new CatalogueReader(mainnet, nowSeconds);
      const points = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      for (let i = 1; i < points.length; i++) reader.push(bytes.subarray(points[i - 1], points[i]));
      reader.finish(2);
      return reader.records.length === 2 && reader.chain.height() === 4031;
    }),
    { numRuns: 20 },
  );
  const reader = read(bytes, 2);
  t.equal(reader.records[1]?.blocks.name, 'bitcoin-mainnet-blocks-00001.dat');
  t.equal(toHex(reader.chain.workAt(4031)).replace(/^0+/, ''), (0x100010001n * 4032n).toString(16));
});

t.test('a reader keeps nothing of the memory it was given', async (t) => {
  const chunk = Uint8Array.from(catalogue(1));
  const reader = new CatalogueReader(mainnet, nowSeconds);
  const half = chunk.length - 100;
  const first = chunk.slice(0, half);
  reader.push(first);
  first.fill(0);
  reader.push(chunk.subarray(half));
  reader.finish(1);
  t.equal(reader.records.length, 1);
});

t.test('a catalogue cut short anywhere is an error', async (t) => {
  const bytes = catalogue(2);
  const whole = new Set([catalogueHead(mainnet).length, catalogue(1).length, bytes.length]);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), (length) => {
      if (whole.has(length)) return true;
      try {
        read(bytes.subarray(0, length));
        return false;
      } catch (error) {
        return (error as { code: string }).code === 'ERR_CATALOGUE';
      }
    }),
  );
  t.throws(() => read(catalogue(1), 2), {
    code: 'ERR_CATALOGUE',
    message: /holds 1 records, but its name says 2/,
  });
});

t.test('a flipped bit in the head or in a header is an error at its record', async () => {
  const bytes = catalogue(2);
  const headerBits = fc.oneof(
    fc.nat(12 + 2016 * 80 - 1),
    fc.nat(2016 * 80 - 1).map((at) => catalogue(1).length + at),
  );
  fc.assert(
    fc.property(headerBits, fc.nat(7), (at, bit) => {
      const flipped = Uint8Array.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
      const reader = new CatalogueReader(mainnet, nowSeconds);
      try {
        reader.push(flipped);
        reader.finish(2);
        return false;
      } catch (error) {
        const { code } = error as { code: string };
        const recordsBefore = at < catalogue(1).length ? 0 : 1;
        return (
          ['ERR_CATALOGUE', 'ERR_HEADERS', 'ERR_NETWORK_MISMATCH'].includes(code) &&
          reader.records.length === recordsBefore
        );
      }
    }),
    { numRuns: 60 },
  );
});

t.test('a flipped bit in a metainfo is an error or another torrent, never this one', async () => {
  const bytes = catalogue(1);
  const genuine = read(bytes, 1).records[0];
  const start = 12 + 2016 * 80;
  fc.assert(
    fc.property(fc.integer({ min: start, max: bytes.length - 1 }), fc.nat(7), (at, bit) => {
      const flipped = Uint8Array.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << bit);
      try {
        const other = read(flipped, 1).records[0];
        const names = (r: typeof genuine) =>
          [r?.blocks, r?.spent].map((m) => toHex(m?.infoHashV1 ?? new Uint8Array()));
        return names(other).join() !== names(genuine).join();
      } catch (error) {
        return (error as { code: string }).code === 'ERR_CATALOGUE';
      }
    }),
  );
});

t.test('headers that break a rule are refused while they arrive, before their record is whole', async (t) => {
  const cases: [string, number, (header: Buffer) => void, string | RegExp][] = [
    ['another genesis', 0, (header) => header.writeUInt32LE(1, 76), /bad-genesis/],
    [
      'a broken link',
      700,
      (header) => header.set(headers.subarray(701 * 80, 702 * 80)),
      /prev-blk-not-found/,
    ],
    ['wrong nBits', 700, (header) => header.writeUInt32LE(0x1d00fffe, 72), /bad-diffbits|high-hash/],
    ['a hash above the target', 700, (header) => header.writeUInt32LE(0, 76), /high-hash/],
  ];
  for (const [what, height, change, rule] of cases) {
    const own = Buffer.from(headers.subarray(0, 2016 * 80));
    change(own.subarray(height * 80, height * 80 + 80));
    const reader = new CatalogueReader(mainnet, nowSeconds);
    reader.push(catalogueHead(mainnet));
    const upTo = (height + 1) * 80;
    t.throws(() => reader.push(own.subarray(0, upTo)), { code: 'ERR_HEADERS', message: rule }, what);
    t.equal(reader.chain.height(), height - 1, 'the good headers before it are kept');
    t.throws(() => reader.push(own.subarray(upTo)), { code: 'ERR_CATALOGUE' }, 'nothing more is taken');
  }
});

t.test('headers from the future are refused', async (t) => {
  const reader = new CatalogueReader(mainnet, 1_231_006_505);
  t.throws(() => reader.push(catalogue(1)), { code: 'ERR_HEADERS', message: /time-too-new/ });
});

t.test('torrents that are not made by the rule for their segment are refused', async (t) => {
  const own = headers.subarray(0, 2016 * 80);
  const swapped = catalogueRecord(own, metainfo(0, 'spent'), metainfo(0, 'blocks'));
  const other = catalogueRecord(own, metainfo(1, 'blocks'), metainfo(0, 'spent'));
  const huge = Uint8Array.from(record(0));
  new DataView(huge.buffer).setUint32(2016 * 80, 4 * 2 ** 20 + 1, true);
  for (const [what, bytes, reason] of [
    ['blocks and spent swapped', swapped, /rule/],
    ['of another segment', other, /rule/],
    ['a length over the limit', huge, /limit/],
  ] as const) {
    const reader = new CatalogueReader(mainnet, nowSeconds);
    reader.push(catalogueHead(mainnet));
    t.throws(() => reader.push(bytes), { code: 'ERR_CATALOGUE', message: reason }, what);
  }
});

t.test("another network's catalogue is named", async (t) => {
  const reader = new CatalogueReader(networkParams('signet'), nowSeconds);
  t.throws(() => reader.push(catalogue(1)), { code: 'ERR_NETWORK_MISMATCH', message: /f9beb4d9.*signet/ });
});

t.test('too little work is refused, and how to allow it is said', async (t) => {
  const reader = read(catalogue(1), 1);
  const floor = (hex: string) => fromHex(hex.padStart(64, '0')) ?? new Uint8Array();
  const exact = (0x100010001n * 2016n).toString(16);
  const above = (0x100010001n * 2016n + 1n).toString(16);
  checkChainWork(reader.chain, floor(exact));
  t.throws(() => checkChainWork(reader.chain, floor(above)), {
    code: 'ERR_CHAIN_WORK',
    message: /--min-chain-work/,
  });
  t.throws(() => checkChainWork(reader.chain, mainnet.minChainWork), { code: 'ERR_CHAIN_WORK' });
});
