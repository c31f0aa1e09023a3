/** `bootstrap --prove scripts`: a second verdict on every script, while segments arrive, beside Core's engine. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { networkParams } from '../../src/native.js';
import type { BootstrapResult } from '../../src/node/bootstrap.js';
import { bootstrap, startBootstrap } from '../helpers/bootstrap.js';
import { cli, cliJson, startSeed } from '../helpers/cli.js';
import { forgedCatalogue } from '../helpers/forged-spent.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

const regtest = networkParams('regtest');
const PROVE = ['--prove', 'chain,scripts'];

t.test('every script is judged here too while segments arrive, and both verdicts are told', async (t) => {
  const chain = await regtestChain(t);
  const where = ['--network', 'regtest', '--datadir', chain.datadir];
  const seed = await startSeed(t, [...where, '--no-dht']);
  const catalogue = join(tempFolder(t), 'catalogue.dat');
  const { segments } = await cliJson<{ segments: number }>(t, [
    'catalogue',
    'make',
    ...where,
    '--out',
    catalogue,
  ]);
  const folder = tempFolder(t);
  const made = { datadir: join(folder, 'new'), stateDir: join(folder, 'state'), network: 'regtest' as const };
  const options = {
    ...made,
    catalogue,
    peers: [seed.listen],
    more: [...PROVE, '--scratch', join(folder, 'scratch')],
  };
  const { code, stdout, stderr } = await bootstrap(t, options);
  t.equal(code, 0, stderr);
  const result = JSON.parse(stdout) as BootstrapResult;
  const all = { firstHeight: 0, endHeight: segments * regtest.interval };
  t.match(result, { ownScripts: { valid: [all], failure: null }, levels: { scripts: [all], set: [all] } });
  t.ok((result.ownScripts?.inputs ?? 0) > 0);
  t.notOk(existsSync(join(folder, 'scratch', 'new')), 'nothing is left of what was fetched for it');
});

t.test('after a kill the verdict names what earlier runs have proven, also before BIP 34', async (t) => {
  const datadir = await sampleDatadir();
  const seed = await startSeed(t, ['--datadir', datadir, '--no-dht']);
  const catalogue = join(tempFolder(t), 'catalogue.dat');
  await cliJson(t, ['catalogue', 'make', '--datadir', datadir, '--out', catalogue]);
  const folder = tempFolder(t);
  const options = {
    datadir: join(folder, 'new'),
    stateDir: join(folder, 'state'),
    catalogue,
    peers: [seed.listen],
    more: [...PROVE, '--scratch-size', '0'],
  };
  const program = startBootstrap(t, options);
  // By then the scripts of the first segment were judged.
  await program.printed(/"event":"segment"/);
  program.kill('SIGKILL');
  await program.finished;
  const judged = [...program.stdout.matchAll(/"event":"scripts","segment":(\d+)/g)].map(([, index]) => index);
  t.ok(judged.includes('0'));
  const again = startBootstrap(t, options);
  const { code, stdout, stderr } = await again.finished;
  t.equal(code, 0, stderr);
  for (const index of judged) t.notMatch(stdout, new RegExp(`"event":"scripts","segment":${index},`));
  t.match(
    stdout,
    /"ownScripts":\{"inputs":769,"valid":\[\{"firstHeight":0,"endHeight":12096\}\],"failure":null\}/,
  );
});

t.test("a forged spent file is found out, and does not keep Core's engine from the chain", async (t) => {
  const chain = await regtestChain(t);
  const folder = tempFolder(t);
  const { catalogue, peer, segments, height } = await forgedCatalogue(t, chain.datadir, 1, 'script');
  const seed = await startSeed(t, ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht']);
  const { code, stdout, stderr } = await bootstrap(t, {
    datadir: join(folder, 'new'),
    stateDir: join(folder, 'state'),
    network: 'regtest',
    catalogue,
    peers: [seed.listen, peer],
    more: PROVE,
  });
  t.equal(code, 0, stderr);
  const result = JSON.parse(stdout) as BootstrapResult;
  t.match(result.ownScripts?.failure, { height });
  t.match(result.ownScripts?.valid[0], { firstHeight: 0, endHeight: height });
  t.equal(result.height, segments * regtest.interval - 1, "Core's engine has its own coins");
  t.match(stderr, new RegExp(`block ${height} is not valid`));
});

t.test('the set is left to Core: asking for it is refused before anything is made', async (t) => {
  const datadir = join(tempFolder(t), 'new');
  const { code, stderr } = await cli(t, ['bootstrap', '--datadir', datadir, '--prove', 'set']);
  t.equal(code, 2);
  t.match(stderr, /ERR_USAGE.*chain and scripts|chain and scripts.*ERR_USAGE/s);
  t.notOk(existsSync(datadir));
});
