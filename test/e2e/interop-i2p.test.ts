/** libtorrent through I2P: both go by one SAM bridge, and find each other by a tracker behind it. */
import { join } from 'node:path';
import t from 'tap';
import { cliJson } from '../helpers/cli.js';
import { i2pScene, startI2pSeed } from '../helpers/i2p-scene.js';
import { downloadWithLibtorrent, noLibtorrent, seedWithLibtorrent } from '../helpers/libtorrent.js';

t.test('libtorrent', { skip: noLibtorrent }, async (t) => {
  await t.test('seeds to us', async (t) => {
    const { folder, tracker, bridge, torrent, magnet, out, i2p, isWhole } = await i2pScene(t);
    await seedWithLibtorrent(t, join(folder, 'seed'), [torrent], { sam: bridge.address });
    await tracker.until(() => tracker.requests.length > 0);
    await cliJson(t, ['get', magnet, '--out', out, ...i2p]);
    t.ok(isWhole());
  });

  await t.test('fetches from us', async (t) => {
    const { tracker, bridge, torrent, content, magnet, out, i2p, isWhole } = await i2pScene(t);
    await startI2pSeed(t, [`${torrent}=${content}`, ...i2p]);
    await tracker.until(() => tracker.requests.length > 0);
    const sam = bridge.address;
    await downloadWithLibtorrent(t, { source: magnet, outFolder: out, peers: ['-'], sam });
    t.ok(isWhole());
  });
});
