/** Which files of a torrent are wanted, as the pieces to fetch (BEP 53 `so=`, and patterns of paths). */
import { filePieces } from './file-pieces.js';
import type { FileRange } from './magnet.js';
import type { Metainfo } from './metainfo.js';

/** Pieces `[first, end)` with a priority: a list of them is what a swarm is told to want. */
export interface SelectedPieces {
  readonly first: number;
  readonly end: number;
  readonly priority: number;
}

type Files = Pick<Metainfo, 'files' | 'infoHashV1' | 'pieceLengthBytes'>;

/**
 * The pieces that hold bytes of the selected files: ascending, apart from each other. A piece that is shared with a file
 * not selected is fetched as well. `isSelected` is asked for every file but padding, with its number in the torrent and its
 * path below the torrent's folder, parts joined by `/`.
 */
export function selectPieces(
  metainfo: Files,
  isSelected: (file: number, path: string) => boolean,
): SelectedPieces[] {
  const selected: { first: number; end: number; priority: number }[] = [];
  for (const [number, { first, end }] of filePieces(metainfo).entries()) {
    const file = metainfo.files[number];
    if (first === end || !file || file.padding || !isSelected(number, file.path.join('/'))) continue;
    const before = selected.at(-1);
    if (before && before.end >= first) before.end = Math.max(before.end, end);
    else selected.push({ first, end, priority: 1 });
  }
  return selected;
}

/** For `selectPieces`: the files of a magnet link's `so=`. */
export function inRanges(ranges: readonly FileRange[]): (file: number) => boolean {
  return (file) => ranges.some(({ first, end }) => first <= file && file < end);
}
