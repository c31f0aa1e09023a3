import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { claimDatadir, datadirPaths, releaseDatadir, scratchDir } from '../../src/bridge/datadir.js';
import { tempFolder } from '../helpers/temp.js';

t.test("a network's folders are those of bitcoind -datadir", async (t) => {
  const folders = ['mainnet', 'testnet3', 'testnet4', 'signet', 'signet-0a1b2c3d', 'regtest'].map(
    (network) => {
      const { netDir, blocksDir } = datadirPaths('/d', network);
      return [netDir, blocksDir];
    },
  );
  t.same(folders, [
    ['/d', '/d/blocks'],
    ['/d/testnet3', '/d/testnet3/blocks'],
    ['/d/testnet4', '/d/testnet4/blocks'],
    ['/d/signet', '/d/signet/blocks'],
    ['/d/signet', '/d/signet/blocks'],
    ['/d/regtest', '/d/regtest/blocks'],
  ]);
  t.equal(datadirPaths('/d', 'regtest', '/elsewhere').blocksDir, '/elsewhere');
  for (const network of ['', 'main', 'signet-', 'signet-0A1B2C3D', 'toString', '../x']) {
    t.throws(() => datadirPaths('/d', network), { code: 'ERR_NETWORK_UNKNOWN' });
  }
});

t.test('an absent or empty folder becomes ours, and goes on later', async (t) => {
  const folder = tempFolder(t);
  for (const datadir of [join(folder, 'deep', 'new'), tempFolder(t)]) {
    t.equal(await claimDatadir(datadir, 'mainnet'), 'new');
    mkdirSync(join(datadir, 'blocks'));
    t.equal(await claimDatadir(datadir, 'mainnet'), 'resumed');
    await t.rejects(claimDatadir(datadir, 'regtest'), { code: 'ERR_NETWORK_MISMATCH' });
  }
});

t.test('a claim that ended before its marker is taken up again', async (t) => {
  const folder = tempFolder(t);
  mkdirSync(scratchDir(folder));
  writeFileSync(join(scratchDir(folder), 'blockswarm.json.new'), '{');
  t.equal(await claimDatadir(folder, 'mainnet'), 'new');
});

t.test('a folder that is not ours is left alone', async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'bitcoin.conf'), '');
  await t.rejects(claimDatadir(folder, 'mainnet'), { code: 'ERR_DATADIR_FOREIGN' });
  t.same(readdirSync(folder), ['bitcoin.conf']);
  await t.rejects(claimDatadir(join(folder, 'bitcoin.conf'), 'mainnet'), { code: 'ERR_DATADIR_FOREIGN' });
  await t.rejects(claimDatadir(folder, 'nonet'), { code: 'ERR_NETWORK_UNKNOWN' });

  const marked = tempFolder(t);
  mkdirSync(scratchDir(marked));
  for (const marker of [
    '',
    '{}',
    'null',
    '{"schema":2,"making":"mainnet"}',
    '{"schema":1}',
    ' '.repeat(5000),
  ]) {
    writeFileSync(join(scratchDir(marked), 'blockswarm.json'), marker);
    await t.rejects(claimDatadir(marked, 'mainnet'), { code: 'ERR_DATADIR_FOREIGN' });
  }
});

t.test('release leaves only what is the node its own', async (t) => {
  const folder = tempFolder(t);
  await claimDatadir(folder, 'mainnet');
  mkdirSync(join(folder, 'blocks'));
  writeFileSync(join(scratchDir(folder), 'piece'), '');
  await releaseDatadir(folder);
  t.same(readdirSync(folder), ['blocks']);
  t.notOk(existsSync(scratchDir(folder)));
  await releaseDatadir(folder);
  await t.rejects(claimDatadir(folder, 'mainnet'), { code: 'ERR_DATADIR_FOREIGN' });
});
