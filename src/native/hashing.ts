import * as bindings from '../../bindings/index.js';
import { call } from './task.js';

/** Why hashing is slower than it was asked or expected to be; null when all is well. */
export function hashingWarning(): string | null {
  return call(() => bindings.hashingWarning());
}

/** A rate that background reading shares and that may change meanwhile (bytes a second; 0: as fast as it goes). */
export const HashPace = bindings.HashPace;

export type HashPace = bindings.HashPace;
