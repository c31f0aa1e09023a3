/**
 * Undo records of an old node (Core before 0.15) in today's encoding: a file in the state folder of its data directory,
 * which stands in for the node's records wherever segments are made of them.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { StateFolder } from './state.js';

const FILE = 'undo-overlay.dat';

/** Where it is, or will be, in a state folder. */
export function undoOverlayIn(statePath: string): string {
  return join(statePath, FILE);
}

/** That of a data directory; null when there is none. */
export function undoOverlayPath(stateDir: string, datadir: string): string | null {
  // The block files may lie elsewhere.
  if (!existsSync(datadir)) return null;
  const path = undoOverlayIn(StateFolder.pathOf(stateDir, datadir));
  return existsSync(path) ? path : null;
}
