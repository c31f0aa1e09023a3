/** Small hybrid torrents, a file each, beside their content. */
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeHybrid } from '../../src/metainfo/hybrid.js';

export interface SmallTorrent {
  readonly name: string;
  readonly torrentPath: string;
  readonly content: string;
}

export function manyTorrents(folder: string, count: number): SmallTorrent[] {
  return Array.from({ length: count }, (_, n) => {
    const name = `file-${n}.bin`;
    const content = `the content of number ${n}\n`.repeat(100);
    const digest = (algorithm: string) => createHash(algorithm).update(content).digest();
    const { metainfoBytes } = makeHybrid({
      name,
      lengthBytes: content.length,
      pieceLengthBytes: 16_384,
      pieces: digest('sha1'),
      // One leaf: its hash is the root.
      piecesRoot: digest('sha256'),
      pieceLayer: new Uint8Array(0),
    });
    const torrentPath = join(folder, `${name}.torrent`);
    writeFileSync(join(folder, name), content);
    writeFileSync(torrentPath, metainfoBytes);
    return { name, torrentPath, content };
  });
}
