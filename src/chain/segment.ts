/**
 * Segments: which heights make one, and when one is sealed (DESIGN §1).
 * Segment k holds the heights [k·interval, (k+1)·interval), genesis included.
 */

/** Blocks on top of a segment's last block before it becomes torrents. A matter of liveness, not identity. */
export const sealingDepth = 144;

/** The heights of segment `index`: half-open. */
export function segmentHeights(index: number, interval: number): { firstHeight: number; endHeight: number } {
  return { firstHeight: index * interval, endHeight: (index + 1) * interval };
}

/** How many segments of a chain whose tip is at `tipHeight` (-1: empty) are sealed. */
export function sealedSegments(tipHeight: number, interval: number, depth = sealingDepth): number {
  return Math.max(0, Math.floor((tipHeight - depth + 1) / interval));
}
