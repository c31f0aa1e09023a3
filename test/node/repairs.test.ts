/** How much of what is damaged is fetched again. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makeHybrid } from '../../src/metainfo/hybrid.js';
import { fileExtents, hashExtents, Store } from '../../src/native.js';
import { Repairs } from '../../src/node/repairs.js';
import { toHex } from '../../src/units.js';
import { tempFolder } from '../helpers/temp.js';

const pieceLengthBytes = 65_536;

async function sample(folder: string) {
  const path = join(folder, 'file');
  writeFileSync(path, Buffer.alloc(4 * pieceLengthBytes, 7));
  const extents = fileExtents(path, 4 * pieceLengthBytes);
  const torrent = makeHybrid({
    name: 'file',
    pieceLengthBytes,
    ...(await hashExtents(extents, pieceLengthBytes)),
  });
  return { torrent, store: Store.overExtents(torrent, extents) };
}

t.test('pieces are fetched again as far as there is room, those of an earlier run included', async (t) => {
  const folder = tempFolder(t);
  const { torrent, store } = await sample(folder);
  const repaired = join(folder, 'repaired', `file-${toHex(torrent.infoHashV1).slice(0, 12)}`);
  mkdirSync(repaired, { recursive: true });
  writeFileSync(join(repaired, '3.piece'), Buffer.alloc(pieceLengthBytes, 7));
  const repairs = new Repairs(join(folder, 'repaired'), 2 * pieceLengthBytes);
  await repairs.prepare(torrent, store);
  t.equal(store.servable()[0], 0x10, 'the piece of the earlier run is there');
  t.equal(repairs.take(torrent, 0), true);
  t.equal(repairs.take(torrent, 0), true, 'it is on its way already');
  t.equal(repairs.take(torrent, 1), false);
  repairs.giveBack(torrent, 0);
  t.equal(repairs.take(torrent, 1), true);
});

t.test('none is with no room at all', async (t) => {
  const { torrent, store } = await sample(tempFolder(t));
  const repairs = new Repairs('/nowhere', 0);
  await repairs.prepare(torrent, store);
  t.equal(repairs.take(torrent, 0), false);
});
