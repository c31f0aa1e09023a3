import * as bindings from '../../bindings/index.js';
import { call, task } from './task.js';

/** Hashes of a file: SHA-1 of each piece (× 20 bytes), the v2 root (32) and layer (× 32; empty for one piece). */
export type TorrentHashes = Readonly<bindings.TorrentHashes>;

/** Where bytes lie in files. Opaque. */
export type ExtentsHandle = bindings.ExtentsHandle;

/** A segment's file as it is published. */
export interface HashedFile {
  readonly extents: ExtentsHandle;
  readonly hashes: TorrentHashes;
  /** Nobody has read the bytes in this run. */
  readonly isRemembered: boolean;
}

/** The first `lengthBytes` of a plain file. */
export function fileExtents(path: string, lengthBytes: number): ExtentsHandle {
  return call(() => bindings.ExtentsHandle.ofFile(path, lengthBytes));
}

/** Hashes what lies under the extents, in order, reading each byte once. */
export function hashExtents(
  extents: ExtentsHandle,
  pieceLengthBytes: number,
  signal?: AbortSignal,
): Promise<TorrentHashes> {
  return task((cancel) => bindings.hashExtents(extents, pieceLengthBytes, cancel), signal);
}
