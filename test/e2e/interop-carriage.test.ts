/** With libtorrent over what is not plain TCP: encrypted (MSE), over uTP (BEP 29), and both at once. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cliJson, startSeed } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import {
  type Carriage,
  downloadWithLibtorrent,
  noLibtorrent,
  seedWithLibtorrent,
} from '../helpers/libtorrent.js';
import { tempFolder } from '../helpers/temp.js';

const content = bytes(5_000_001, 3);

/** libtorrent meets its peer in one way only; `flags` are ours. */
const cases: Readonly<Record<string, { carriage: Carriage; flags: readonly string[] }>> = {
  'encrypted, which we try when plain fails': { carriage: { encrypted: true }, flags: [] },
  'encrypted, which both insist on': { carriage: { encrypted: true }, flags: ['--encryption', 'required'] },
  'over uTP': { carriage: { utp: true }, flags: ['--utp'] },
  'encrypted over uTP': {
    carriage: { encrypted: true, utp: true },
    flags: ['--utp', '--encryption', 'preferred'],
  },
};

async function scene(t: Test) {
  const folder = tempFolder(t);
  const path = join(folder, 'content');
  const torrent = join(folder, 'content.torrent');
  writeFileSync(path, content);
  await cliJson(t, ['torrent', 'make', path, '--hybrid', '--piece-length', '64KiB', '--out', torrent]);
  return { folder, path, torrent };
}

t.test('libtorrent seeds for `blockswarm get`', { skip: noLibtorrent }, async (t) => {
  const { folder, torrent } = await scene(t);
  for (const [name, { carriage, flags }] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const peer = await seedWithLibtorrent(t, folder, [torrent], carriage);
      const out = tempFolder(t);
      await cliJson(t, [
        'get',
        torrent,
        '--out',
        out,
        '--peer',
        peer,
        '--no-dht',
        '--listen',
        '127.0.0.1:0',
        ...flags,
      ]);
      t.ok(readFileSync(join(out, 'content')).equals(content), 'every byte is the same');
    });
  }
});

t.test('`blockswarm seed` seeds for libtorrent', { skip: noLibtorrent }, async (t) => {
  const { folder, path, torrent } = await scene(t);
  for (const [name, { carriage, flags }] of Object.entries(cases)) {
    await t.test(name, async (t) => {
      const { listen } = await startSeed(t, [`${torrent}=${path}`, '--no-dht', ...flags]);
      const outFolder = join(folder, name);
      mkdirSync(outFolder);
      await downloadWithLibtorrent(t, { source: torrent, outFolder, peers: [listen], ...carriage });
      t.ok(readFileSync(join(outFolder, 'content')).equals(content), 'every byte is the same');
    });
  }
});
