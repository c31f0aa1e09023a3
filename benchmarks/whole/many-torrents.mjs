// Small hybrid torrents, a file each, beside their content.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeHybrid } from '../../dist/metainfo/hybrid.js';

export function manyTorrents(folder, count) {
  return Array.from({ length: count }, (_, n) => {
    const name = `file-${n}.bin`;
    const content = `the content of number ${n}\n`.repeat(100);
    const digest = (algorithm) => createHash(algorithm).update(content).digest();
    const hashes = { pieces: digest('sha1'), piecesRoot: digest('sha256'), pieceLayer: new Uint8Array(0) };
    const { metainfoBytes } = makeHybrid({
      name,
      lengthBytes: content.length,
      pieceLengthBytes: 16_384,
      ...hashes,
    });
    const torrentPath = join(folder, `${name}.torrent`);
    writeFileSync(join(folder, name), content);
    writeFileSync(torrentPath, metainfoBytes);
    return { name, torrentPath, content };
  });
}
