import t from 'tap';
import { filePieces, torrentShape } from '../../src/metainfo/file-pieces.js';
import { Geometry } from '../../src/swarm/geometry.js';

const file = (lengthBytes: number, padding = false) => ({
  path: ['f'],
  rawPath: ['f'],
  lengthBytes,
  padding,
  executable: false,
  hidden: false,
  symlinkTarget: null,
  piecesRoot: null,
  pieceLayer: null,
});
const v1 = new Uint8Array(20);
const piece = 16_384;

t.test('v1 files lie end to end and share pieces', async (t) => {
  const torrent = { files: [file(10), file(0), file(piece)], infoHashV1: v1, pieceLengthBytes: piece };
  t.same(torrentShape(torrent), { lengthBytes: piece + 10, pieceLengthBytes: piece, shortPieces: new Map() });
  t.same(filePieces(torrent), [
    { first: 0, end: 1 },
    { first: 0, end: 0 },
    { first: 0, end: 2 },
  ]);
});

t.test('padding of a hybrid counts as bytes of pieces', async (t) => {
  const files = [file(10), file(piece - 10, true), file(5)];
  const torrent = { files, infoHashV1: v1, pieceLengthBytes: piece };
  t.equal(torrentShape(torrent).lengthBytes, piece + 5);
  t.same(filePieces(torrent)[2], { first: 1, end: 2 });
});

t.test('every v2 file begins with a piece, and its last piece is as long as the file', async (t) => {
  const files = [file(piece + 7), file(0), file(5), file(piece), file(3)];
  const torrent = { files, infoHashV1: null, pieceLengthBytes: piece };
  const shape = torrentShape(torrent);
  t.same(shape.shortPieces, new Map([[1, 7], [2, 5]])); // biome-ignore format: pairs
  t.same(
    filePieces(torrent).map(({ first, end }) => [first, end]),
    [[0, 2], [1, 1], [2, 3], [3, 4], [4, 5]], // biome-ignore format: pairs
  );
  const geometry = new Geometry(shape);
  t.equal(geometry.pieceCount, 5);
  t.same([0, 1, 2, 3, 4].map((n) => geometry.pieceBytes(n)), [piece, 7, 5, piece, 3]); // biome-ignore format: a table
});
