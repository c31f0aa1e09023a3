import fc from 'fast-check';
import t from 'tap';
import { layerRoot } from '../../src/metainfo/piece-layer.js';
import { torrentHashes } from '../helpers/torrent-hashes.js';

const LEAF = 16 * 1024;

t.test('the root over a piece layer is the root over the leaves', async (t) => {
  // Lengths around every edge: of a leaf, of a piece, of a power of two of pieces.
  for (const pieceLength of [LEAF, 2 * LEAF, 8 * LEAF]) {
    for (const pieces of [2, 3, 4, 5, 7, 8, 9]) {
      for (const rest of [0, 1, LEAF, LEAF + 1]) {
        const content = new Uint8Array((pieces - 1) * pieceLength + rest + 1).fill(pieces);
        const { pieceLayer, piecesRoot } = torrentHashes(content, pieceLength);
        if (pieceLayer.length > 0) t.same(layerRoot(pieceLayer, pieceLength), piecesRoot);
      }
    }
  }
});

t.test('one changed bit changes the root', async () => {
  const { pieceLayer, piecesRoot } = torrentHashes(new Uint8Array(7 * LEAF), LEAF);
  fc.assert(
    fc.property(fc.nat(pieceLayer.length * 8 - 1), (bit) => {
      const changed = Uint8Array.from(pieceLayer);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      return Buffer.compare(layerRoot(changed, LEAF), piecesRoot) !== 0;
    }),
    { numRuns: 50 },
  );
});

t.test('a layer is whole hashes', async (t) => {
  t.throws(() => layerRoot(new Uint8Array(0), LEAF), RangeError);
  t.throws(() => layerRoot(new Uint8Array(33), LEAF), RangeError);
  t.same(layerRoot(new Uint8Array(32).fill(7), LEAF), new Uint8Array(32).fill(7), 'one hash is the root');
});
