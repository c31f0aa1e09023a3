/** A piece that was announced stays had: what the engine took is served from the engine's files. */
import { join } from 'node:path';
import t from 'tap';
import { bootstrapped, startBootstrap } from '../helpers/bootstrap.js';
import { startSeed } from '../helpers/cli.js';
import { freePort } from '../helpers/free-port.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

t.test('a node that just bootstrapped is the only source of the next one', async (t) => {
  const { datadir } = await regtestChain(t);
  const seed = await startSeed(t, ['--network', 'regtest', '--datadir', datadir, '--no-dht']);
  const catalogue = seed.catalogueInfoHashV1 ?? '';
  const folder = tempFolder(t);
  const stateDir = join(folder, 'state');
  const listen = `127.0.0.1:${await freePort()}`;
  const first = startBootstrap(t, {
    network: 'regtest',
    datadir: join(folder, 'first'),
    catalogue,
    peers: [seed.listen],
    stateDir,
    // A small window and checkpoints after each segment: the whole machinery runs on a small chain.
    more: ['--stay', '--listen', listen, '--scratch-size', '16', '--checkpoint', '1'],
  });
  await first.printed(/"height":431,.*"levels"/);
  await seed.program.stop();
  const result = await bootstrapped(t, {
    network: 'regtest',
    datadir: join(folder, 'second'),
    catalogue,
    peers: [listen],
    stateDir,
  });
  t.match(result, { height: 431, peers: 1 });
  t.match(await first.stop('SIGINT'), { code: 0 });
});
