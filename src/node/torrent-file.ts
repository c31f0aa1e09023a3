/** Reads `.torrent` files. */
import { createReadStream } from 'node:fs';
import { BlockswarmError } from '../errors.js';
import { MAX_METAINFO_BYTES, type Metainfo, parseMetainfo } from '../metainfo/metainfo.js';

/** @throws BlockswarmError ERR_IO, ERR_BENCODE, ERR_METAINFO */
export async function readTorrentFile(path: string, signal: AbortSignal): Promise<Metainfo> {
  const chunks: Buffer[] = [];
  try {
    // One byte more than is allowed, whatever the size that a device or a pipe claims.
    for await (const chunk of createReadStream(path, { end: MAX_METAINFO_BYTES, signal })) chunks.push(chunk);
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new BlockswarmError('ERR_IO', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length <= MAX_METAINFO_BYTES) return parseMetainfo(bytes);
  throw new BlockswarmError(
    'ERR_METAINFO',
    `${path} is too long: a torrent file has at most ${MAX_METAINFO_BYTES} bytes`,
  );
}
