/** Folders of files to make torrents of. */
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Bytes of a file, or where a symlink leads. */
export type Content = Uint8Array | { readonly to: string };

/** Bytes that no two files share. */
export function bytes(length: number, seed = 1): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, n) => (n * 31 + (n >> 8) * 7 + seed * 97) & 0xff));
}

/** A folder with everything that a torrent can hold. */
export const oddTree: Readonly<Record<string, Content>> = {
  '.hidden': bytes(1),
  'a/b/deep': bytes(50_000, 2),
  'a/empty': bytes(0),
  'a/run.sh': bytes(5, 3),
  'a/to-deep': { to: 'b/deep' },
  'größe ₿/日本': bytes(16_384, 4),
  'to-a': { to: 'a' },
  z: bytes(40_000, 5),
};

/** Writes files below a folder; what ends in `.sh` can be run. */
export function writeContent(folder: string, content: Readonly<Record<string, Content>>): void {
  for (const [path, what] of Object.entries(content)) {
    const location = join(folder, path);
    mkdirSync(dirname(location), { recursive: true });
    if (what instanceof Uint8Array) writeFileSync(location, what);
    else symlinkSync(what.to, location);
    if (path.endsWith('.sh')) chmodSync(location, 0o755);
  }
}
