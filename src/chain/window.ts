/**
 * Which segments are fetched now: a window that moves with the engine, so that what waits on disk for it stays
 * within a budget. The engine takes segments in order; inside the window pieces come in any order.
 */

/** The segments `[next, end)` to have open: as many as fit the budget, and at least one. */
export function windowEnd(lengthsBytes: readonly number[], next: number, budgetBytes: number): number {
  let end = next;
  let usedBytes = 0;
  while (end < lengthsBytes.length) {
    usedBytes += lengthsBytes[end] ?? 0;
    if (usedBytes > budgetBytes && end > next) break;
    end++;
  }
  return end;
}
