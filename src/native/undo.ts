import * as bindings from '../../bindings/index.js';
import { task } from './task.js';

export type RewrittenUndo = Readonly<bindings.RewrittenUndo>;

/**
 * What the first records of a rev*.dat file say of who wrote it; `old`: Core before 0.15. `xorKey`: 8 bytes, or null.
 * @throws BlockswarmError ERR_DATADIR_UNREADABLE, ERR_NETWORK_UNKNOWN
 */
export function undoAge(
  path: string,
  network: string,
  xorKey: Uint8Array | null,
  signal?: AbortSignal,
): Promise<'old' | 'current' | 'unknown'> {
  return task(() => bindings.undoAge(path, network, xorKey), signal);
}
