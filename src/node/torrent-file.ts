/** Reads `.torrent` files. */
import { open } from 'node:fs/promises';
import { BlockswarmError } from '../errors.js';
import { MAX_METAINFO_BYTES, type Metainfo, parseMetainfo } from '../metainfo/metainfo.js';

/** @throws BlockswarmError ERR_IO, ERR_BENCODE, ERR_METAINFO */
export async function readTorrentFile(path: string, signal: AbortSignal): Promise<Metainfo> {
  let bytes: Uint8Array;
  try {
    bytes = await readBounded(path, MAX_METAINFO_BYTES + 1, signal);
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new BlockswarmError('ERR_IO', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  if (bytes.length <= MAX_METAINFO_BYTES) return parseMetainfo(bytes);
  throw new BlockswarmError(
    'ERR_METAINFO',
    `${path} is too long: a torrent file has at most ${MAX_METAINFO_BYTES} bytes`,
  );
}

/** The first bytes of a file, whatever the size that a device or a pipe claims. */
export async function readBounded(path: string, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const chunks: Uint8Array[] = [];
    let total = 0;
    // A plain file comes in one piece, and a second read finds its end.
    for (
      let next = Math.min(size + 1, maxBytes);
      total < maxBytes;
      next = Math.min(65_536, maxBytes - total)
    ) {
      signal.throwIfAborted();
      const chunk = new Uint8Array(next);
      const { bytesRead } = await file.read(chunk, 0, next);
      if (bytesRead === 0) break;
      chunks.push(chunk.subarray(0, bytesRead));
      total += bytesRead;
    }
    return chunks.length === 1 ? (chunks[0] ?? new Uint8Array()) : Buffer.concat(chunks);
  } finally {
    await file.close();
  }
}
