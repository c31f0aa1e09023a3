/** `blockswarm torrent show`: what a .torrent file or a magnet link says. */
import { createReadStream } from 'node:fs';
import { BlockswarmError } from '../errors.js';
import { parseMagnet } from '../metainfo/magnet.js';
import { MAX_METAINFO_BYTES, type Metainfo, parseMetainfo } from '../metainfo/metainfo.js';
import { formatBytes, toHex } from '../units.js';
import type { CommandContext } from './program.js';

export async function torrentShowCommand({ env, output, args }: CommandContext<object>): Promise<void> {
  const subject = args[0] ?? '';
  if (subject.startsWith('magnet:')) {
    const magnet = parseMagnet(subject);
    const result = {
      name: magnet.name,
      infoHashV1: magnet.infoHashV1 && toHex(magnet.infoHashV1),
      infoHashV2: magnet.infoHashV2 && toHex(magnet.infoHashV2),
      trackers: magnet.trackers,
    };
    output.result(
      result,
      () =>
        `${result.name ?? '(no name)'}\n  v1 ${result.infoHashV1 ?? '-'}\n  v2 ${result.infoHashV2 ?? '-'}`,
    );
    return;
  }
  const metainfo = parseMetainfo(await readTorrent(subject, env.signal));
  const result = torrentJson(metainfo);
  output.result(result, () =>
    [
      result.name,
      `  v1       ${result.infoHashV1 ?? '-'}`,
      `  v2       ${result.infoHashV2 ?? '-'}`,
      `  size     ${formatBytes(result.lengthBytes)} in ${result.pieces} pieces of ${formatBytes(result.pieceLengthBytes)}`,
      `  private  ${result.private ? 'yes' : 'no'}`,
      ...result.trackers.map((tracker) => `  tracker  ${tracker}`),
      ...result.files.map((file) => `  file     ${file.path}  ${formatBytes(file.lengthBytes)}`),
    ].join('\n'),
  );
}

async function readTorrent(path: string, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  try {
    // One byte more than is allowed, whatever the size that a device or a pipe claims.
    for await (const chunk of createReadStream(path, { end: MAX_METAINFO_BYTES, signal })) chunks.push(chunk);
  } catch (cause) {
    if (signal.aborted) throw cause;
    throw new BlockswarmError('ERR_IO', `cannot read ${path}: ${(cause as Error).message}`, { cause });
  }
  const bytes = Buffer.concat(chunks);
  if (bytes.length <= MAX_METAINFO_BYTES) return bytes;
  throw new BlockswarmError(
    'ERR_METAINFO',
    `${path} is too long: a torrent file has at most ${MAX_METAINFO_BYTES} bytes`,
  );
}

function torrentJson(metainfo: Metainfo) {
  const { name, lengthBytes, pieceLengthBytes, pieceCount, infoHashV1, infoHashV2, files } = metainfo;
  return {
    name,
    lengthBytes,
    pieceLengthBytes,
    pieces: pieceCount,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
    private: metainfo.private,
    trackers: metainfo.trackerTiers.flat(),
    files: files.map(({ path, lengthBytes: bytes }) => ({ path: path.join('/'), lengthBytes: bytes })),
  };
}
