/** aria2 (v1 only) fetches a hybrid torrent from us; they meet through a tracker. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parsePeerAddress } from '../../src/connector.js';
import { downloadWithAria2, noAria2 } from '../helpers/aria2.js';
import { chainTorrents, writeTorrents } from '../helpers/chain-torrents.js';
import { startSeed } from '../helpers/cli.js';
import { regtestBlocksFile, regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';
import { Tracker } from '../helpers/tracker.js';

t.test('aria2 fetches from `blockswarm seed` to the last byte', { skip: noAria2 }, async (t) => {
  const chain = await regtestChain(t);
  const { blocks } = await chainTorrents(t, 'regtest', chain.datadir);
  const seed = await startSeed(t, ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht']);
  const { host, port } = parsePeerAddress(seed.listen);
  const folder = tempFolder(t);
  const torrents = writeTorrents(folder, blocks);
  const tracker = await Tracker.start(t);
  for (const [segment, { name, infoHashV1 }] of blocks.entries()) {
    if (infoHashV1) tracker.add(infoHashV1, host, port);
    await downloadWithAria2(t, {
      torrent: torrents[segment] ?? '',
      outFolder: folder,
      trackerUrl: tracker.url,
    });
    t.ok(readFileSync(join(folder, name)).equals(regtestBlocksFile(chain, segment)), `${name} is the same`);
  }
});
