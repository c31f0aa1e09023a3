import * as bindings from '../../bindings/index.js';
import { call } from './task.js';

/** A held lock. */
export interface FileLock {
  release(): void;
}

/** Locks a file for this process, making it when missing. @throws BlockswarmError ERR_STATE_LOCKED, ERR_IO */
export function lockFile(path: string): FileLock {
  return call(() => bindings.lockFile(path));
}
