import fc from 'fast-check';
import t from 'tap';
import { filePieces } from '../../src/metainfo/file-pieces.js';
import { parseMagnet } from '../../src/metainfo/magnet.js';
import type { Metainfo } from '../../src/metainfo/metainfo.js';
import { inRanges, selectPieces } from '../../src/metainfo/selection.js';

const V1 = new Uint8Array(20);

/** A torrent of files of these lengths; a negative one is padding. */
function torrent(lengths: readonly number[], infoHashV1: Uint8Array | null = V1) {
  const files = lengths.map((length, at) => ({
    path: length < 0 ? [] : ['folder', `${at}.bin`],
    lengthBytes: Math.abs(length),
    padding: length < 0,
  }));
  return { files, infoHashV1, pieceLengthBytes: 10 } as unknown as Metainfo;
}

t.test('the pieces of the selected files, joined where they meet', async (t) => {
  const metainfo = torrent([25, 5, 30, 1]);
  const select = (...files: number[]) => selectPieces(metainfo, (file) => files.includes(file));
  t.same(select(0), [{ first: 0, end: 3, priority: 1 }]);
  t.same(select(1), [{ first: 2, end: 3, priority: 1 }], 'its piece holds the end of file 0 as well');
  t.same(select(0, 1, 3), [
    { first: 0, end: 3, priority: 1 },
    { first: 6, end: 7, priority: 1 },
  ]);
  t.same(select(0, 1, 2, 3), [{ first: 0, end: 7, priority: 1 }]);
  t.same(select(), []);
});

t.test('in v2 every file begins with a piece', async (t) => {
  t.same(
    selectPieces(torrent([25, 5, 30], null), (file) => file !== 0),
    [{ first: 3, end: 7, priority: 1 }],
  );
});

t.test('files are chosen by path; padding and empty files are never asked for', async (t) => {
  const paths: string[] = [];
  selectPieces(torrent([25, -5, 0, 30]), (_, path) => paths.push(path) > 0);
  t.same(paths, ['folder/0.bin', 'folder/3.bin']);
});

t.test('the selection of a magnet link', async (t) => {
  const { selectedFiles } = parseMagnet(`magnet:?xt=urn:btih:${'0'.repeat(40)}&so=0,2-3`);
  const isSelected = inRanges(selectedFiles ?? []);
  t.same([0, 1, 2, 3, 4].filter(isSelected), [0, 2, 3]);
});

t.test(
  'every byte of a selected file is in a selected piece, and pieces are ascending and apart',
  async () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 50 }), { maxLength: 30 }),
        fc.boolean(),
        fc.nat(),
        (lengths, v2, bits) => {
          const metainfo = torrent(lengths, v2 ? null : V1);
          const isSelected = (file: number) => ((bits >> (file % 30)) & 1) === 1;
          const pieces = selectPieces(metainfo, isSelected);
          const apart = pieces.every(
            (range, at) => range.first < range.end && range.first > (pieces[at - 1]?.end ?? -1),
          );
          const inside = filePieces(metainfo).every(({ first, end }, file) => {
            return (
              !isSelected(file) ||
              first === end ||
              pieces.some((range) => range.first <= first && end <= range.end)
            );
          });
          return apart && inside;
        },
      ),
    );
  },
);
