/** transmission (v1 only) fetches a hybrid torrent from us. It dials no peer on loopback: our seed dials it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { chainTorrents, writeTorrents } from '../helpers/chain-torrents.js';
import { startSeed } from '../helpers/cli.js';
import { regtestBlocksFile, regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';
import { noTransmission, Transmission } from '../helpers/transmission.js';

t.test(
  'transmission fetches from `blockswarm seed --peer` to the last byte',
  { skip: noTransmission },
  async (t) => {
    const chain = await regtestChain(t);
    const { blocks } = await chainTorrents(t, 'regtest', chain.datadir);
    const folder = tempFolder(t);
    const transmission = await Transmission.start(t);
    for (const torrent of writeTorrents(folder, blocks)) await transmission.add(torrent, folder);
    const args = ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht'];
    await startSeed(t, [...args, '--peer', transmission.peerAddress]);
    await transmission.finish();
    for (const [segment, { name }] of blocks.entries()) {
      t.ok(readFileSync(join(folder, name)).equals(regtestBlocksFile(chain, segment)), `${name} is the same`);
    }
  },
);
