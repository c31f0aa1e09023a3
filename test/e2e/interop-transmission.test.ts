/** transmission (v1 only) fetches a hybrid torrent from us, and tells us of others. It dials no peer on loopback: our seed dials it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { parsePeerAddress } from '../../src/connector.js';
import { chainTorrents, writeTorrents } from '../helpers/chain-torrents.js';
import { cliJson, startSeed } from '../helpers/cli.js';
import { bytes } from '../helpers/content-folder.js';
import { startPeer } from '../helpers/peer-node.js';
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

t.test('two of us learn of each other by its peer exchange', { skip: noTransmission }, async (t) => {
  const folder = tempFolder(t);
  const [path, torrent] = [join(folder, 'one'), join(folder, 'one.torrent')];
  writeFileSync(path, bytes(100_000));
  await cliJson(t, ['torrent', 'make', path, '--v1', '--out', torrent]);
  const empty = (name: string) => {
    mkdirSync(join(folder, name));
    return join(folder, name);
  };
  const transmission = await Transmission.start(t, { pex: true });
  await transmission.add(torrent, empty('transmission'));
  const middle = parsePeerAddress(transmission.peerAddress);
  const one = await startPeer(t, torrent, empty('first'));
  one.swarm.addPeers([middle]);
  await one.until(({ peers }) => [...peers.values()].some(({ isOpen }) => isOpen));
  const two = await startPeer(t, torrent, empty('second'));
  two.swarm.addPeers([middle]);
  await two.until(({ peers }) =>
    [...peers.values()].some(({ known }) => known?.address.port === one.node.address.port),
  );
  const sources = [...one.swarm.peers.values(), ...two.swarm.peers.values()].map(
    ({ known }) => known?.source,
  );
  t.ok(sources.includes('pex'), 'one dialled the other');
});
