/** A store over a folder: its files, and what may be in their way. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { hashTorrent, Store, type TorrentLayout } from '../../src/native.js';
import { tempFolder } from '../helpers/temp.js';

const pieceLengthBytes = 16_384;

/** Files of a hybrid: more than a piece, padding, nothing, a few bytes. */
const layout: TorrentLayout = {
  kind: 'hybrid',
  pieceLengthBytes,
  files: [
    { path: 'a/long', lengthBytes: pieceLengthBytes + 7 },
    { path: '', lengthBytes: pieceLengthBytes - 7 },
    { path: 'empty', lengthBytes: 0 },
    { path: 'a/b/short', lengthBytes: 5 },
  ],
};

/** The files below `root`, and the torrent's hashes. */
async function seeded(root: string) {
  for (const [n, { path, lengthBytes }] of layout.files.entries()) {
    if (path === '') continue;
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), Buffer.alloc(lengthBytes, n + 1));
  }
  const files = layout.files.map((file) => ({ ...file, path: file.path && join(root, file.path) }));
  return hashTorrent({ ...layout, files });
}

t.test('a folder of a torrent is found whole, v1, v2 and hybrid', async (t) => {
  const root = tempFolder(t);
  const hashes = await seeded(root);
  const store = await Store.openFolder(layout, hashes, root, { readOnly: true });
  t.equal(await store.verify(0, 3), 3);
  t.same([...store.servable()], [0b1110_0000]);
  const v2 = { ...layout, kind: 'v2', files: layout.files.filter(({ path }) => path !== '') } as const;
  const v2Hashes = { pieces: null, files: hashes.files.filter((_, n) => n !== 1) };
  const again = await Store.openFolder(v2, v2Hashes, root);
  t.equal(await again.verify(0, 3), 3);
});

t.test('files are made at their length, and lost ones are noticed', async (t) => {
  const hashes = await seeded(tempFolder(t));
  const root = join(tempFolder(t), 'new');
  const store = await Store.openFolder(layout, hashes, root, { preallocate: true, sync: true });
  for (const { path, lengthBytes } of layout.files) {
    if (path !== '') t.equal(readFileSync(join(root, path)).length, lengthBytes, path);
  }
  t.equal(await store.verify(0, 3), 0, 'nothing is there yet');
  writeFileSync(join(root, 'a/b/short'), Buffer.alloc(5, 4));
  t.equal(await store.recheck(), 1);
  await store.flush();
  t.same([...(await store.checkpoint())], [0b0010_0000]);
  t.equal(store.isFaulty(), false);
});

t.test('names that lead out and links in the way are refused with codes', async (t) => {
  const hashes = await seeded(tempFolder(t));
  const root = tempFolder(t);
  const renamed = (path: string): TorrentLayout => ({
    ...layout,
    files: layout.files.map((file) => (file.path === 'empty' ? { ...file, path } : file)),
  });
  for (const path of ['../up', '/etc/x', 'a//b', './a', 'a/long']) {
    await t.rejects(Store.openFolder(renamed(path), hashes, root), { code: 'ERR_METAINFO' }, path);
  }
  symlinkSync(tempFolder(t), join(root, 'a'));
  await t.rejects(Store.openFolder(layout, hashes, root), { code: 'ERR_IO', message: /a\/long/ });
});
