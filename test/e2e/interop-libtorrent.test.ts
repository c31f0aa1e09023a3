/** libtorrent fetches from us, by torrent and by magnet link, and seeds for us. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chainTorrents, facts, writeTorrents } from '../helpers/chain-torrents.js';
import { cliJson, startSeed } from '../helpers/cli.js';
import { downloadWithLibtorrent, noLibtorrent, seedWithLibtorrent } from '../helpers/libtorrent.js';
import { regtestBlocksFile, regtestChain, regtestHash } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

t.test('libtorrent fetches from `blockswarm seed`', { skip: noLibtorrent }, async (t) => {
  const chain = await regtestChain(t);
  const { blocks, spent } = await chainTorrents(t, 'regtest', chain.datadir);
  const [torrent] = blocks;
  if (!torrent) throw new Error('the regtest chain has no sealed segment');
  const { infoHashV1, infoHashV2, name } = facts(torrent);
  const expected = regtestBlocksFile(chain, 0);
  const { listen } = await startSeed(t, ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht']);
  const folder = tempFolder(t);
  const ways = {
    'a hybrid torrent': writeTorrents(folder, blocks)[0] ?? '',
    'the magnet link of its v1 infohash': `magnet:?xt=urn:btih:${infoHashV1}`,
    'the magnet link of its v2 infohash': `magnet:?xt=urn:btmh:1220${infoHashV2}`,
  };
  for (const [i, [way, source]] of Object.entries(ways).entries()) {
    await t.test(`by ${way}`, async (t) => {
      const outFolder = join(folder, `out-${i}`);
      mkdirSync(outFolder);
      await downloadWithLibtorrent(t, { source, outFolder, peers: [listen] });
      t.ok(readFileSync(join(outFolder, name)).equals(expected), 'every byte is the same');
    });
  }
  await t.test('a spent file as well', async (t) => {
    const [source = ''] = writeTorrents(folder, spent);
    // libtorrent ends only when every piece has the torrent's hash.
    await t.resolves(downloadWithLibtorrent(t, { source, outFolder: folder, peers: [listen] }));
  });
});

t.test('`blockswarm bootstrap` fetches from libtorrent', { skip: noLibtorrent }, async (t) => {
  const chain = await regtestChain(t);
  const { blocks, catalogueBytes } = await chainTorrents(t, 'regtest', chain.datadir);
  const folder = tempFolder(t);
  for (const [segment, { name }] of blocks.entries()) {
    writeFileSync(join(folder, name), regtestBlocksFile(chain, segment));
  }
  const peer = await seedWithLibtorrent(t, folder, writeTorrents(folder, blocks));
  const catalogue = join(folder, 'catalogue.dat');
  writeFileSync(catalogue, catalogueBytes);
  const args = [
    '--network',
    'regtest',
    '--datadir',
    join(folder, 'new'),
    '--catalogue',
    catalogue,
    '--peer',
    peer,
  ];
  const result = await cliJson(t, ['bootstrap', ...args, '--no-dht', '--listen', '127.0.0.1:0']);
  const lengthBytes = blocks.reduce((sum, torrent) => sum + torrent.lengthBytes, 0);
  t.match(result, {
    height: 3 * 144 - 1,
    tipHash: regtestHash(chain, 3 * 144 - 1),
    downloadedBytes: lengthBytes,
  });
});
