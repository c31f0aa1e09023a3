/** The main job as a user runs it: two processes, real chains, and Core as the judge of the result. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { networkParams, scanDatadir } from '../../src/native.js';
import { displayHash } from '../../src/units.js';
import { startBitcoind, withoutBitcoind } from '../helpers/bitcoind.js';
import { bootstrapped, startBootstrap } from '../helpers/bootstrap.js';
import { cliJson, startSeed } from '../helpers/cli.js';
import { recordOffsets, samplePath, startEngine } from '../helpers/engine.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { makeDatadir, sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

const sealedHeight = 12_095;
const sealedHash = hashInSample(sealedHeight);

/** The hash of a sample block is the next header's previous hash. */
function hashInSample(height: number): string {
  const records = readFileSync(samplePath);
  const next = recordOffsets(records)[height + 1] ?? 0;
  return displayHash(records.subarray(next + 8 + 4, next + 8 + 36));
}

async function tipInEngine(netDir: string, network: string): Promise<{ height: number; hash: string }> {
  const engine = await startEngine(netDir, { network });
  const { height, hash } = engine.tip;
  await engine.close();
  return { height, hash: displayHash(hash) };
}

async function muhash(datadir: string, network: string): Promise<unknown> {
  const node = await startBitcoind({ datadir, network });
  try {
    const { muhash: hash, height } = (await node.rpc('gettxoutsetinfo', ['muhash'])) as {
      muhash: string;
      height: number;
    };
    return { hash, height };
  } finally {
    await node.stop();
  }
}

/** The first `count` blocks of a file of records, fed to Core one after the other. */
async function fedDirectly(t: Test, network: string, recordsPath: string, count: number): Promise<string> {
  const folder = tempFolder(t);
  const records = readFileSync(recordsPath);
  const path = join(folder, 'records.dat');
  writeFileSync(path, records.subarray(0, recordOffsets(records)[count]));
  await makeDatadir(join(folder, 'datadir'), network, path);
  return join(folder, 'datadir');
}

t.test('mainnet: the bootstrapped directory opens in Core at the sealed tip', async (t) => {
  const seed = await startSeed(t, ['--datadir', await sampleDatadir(), '--no-dht']);
  const folder = tempFolder(t);
  const datadir = join(folder, 'new');
  const result = await bootstrapped(t, {
    datadir,
    catalogue: seed.catalogueInfoHashV1 ?? '',
    peers: [seed.listen],
    stateDir: join(folder, 'state'),
  });
  t.match(result, {
    schema: 1,
    network: 'mainnet',
    height: sealedHeight,
    tipHash: sealedHash,
    peers: 1,
    assumedValidBelow: null,
  });
  for (const level of ['bytes', 'chain', 'scripts', 'set'] as const) {
    t.match(result.levels[level], [{ firstHeight: 0, endHeight: sealedHeight + 1 }], level);
  }
  t.equal(result.chainWorkFloorLowered, true, 'the sample needs a lower floor, and the report says so');
  t.notOk(existsSync(join(datadir, 'blockswarm-scratch')), 'nothing of ours is left in the directory');
  t.same(await tipInEngine(datadir, 'mainnet'), { height: sealedHeight, hash: sealedHash });

  await t.test(
    'in a real bitcoind, with the coins of a directory fed block by block',
    { skip: withoutBitcoind() },
    async (t) => {
      const direct = await fedDirectly(t, 'mainnet', samplePath, sealedHeight + 1);
      const [ours, theirs] = [await muhash(datadir, 'mainnet'), await muhash(direct, 'mainnet')];
      t.same(ours, theirs);
      t.match(ours, { height: sealedHeight });
    },
  );
});

t.test(
  'regtest: files of several pieces, by the v2 infohash, from two seeds of which one dies',
  async (t) => {
    const chain = await regtestChain(t);
    const common = ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht'];
    const [one, two] = [await startSeed(t, common), await startSeed(t, common)];
    const made = await cliJson<{ infoHashV2: string; segments: number }>(t, [
      ...['catalogue', 'make', '--network', 'regtest', '--datadir', chain.datadir],
      ...['--out', join(tempFolder(t), 'catalogue.dat')],
    ]);
    const folder = tempFolder(t);
    const datadir = join(folder, 'new');
    const program = startBootstrap(t, {
      network: 'regtest',
      datadir,
      catalogue: made.infoHashV2,
      peers: [one.listen, two.listen],
      stateDir: join(folder, 'state'),
    });
    await program.printed(/"event":"catalogue"/);
    one.program.kill('SIGKILL');
    const { code, stdout, stderr } = await program.finished;
    t.equal(code, 0, stderr);
    const last = JSON.parse(stdout.trim().split('\n').at(-1) ?? '');
    const endHeight = made.segments * networkParams('regtest').interval;
    t.match(last, { height: endHeight - 1, levels: { set: [{ firstHeight: 0, endHeight }] } });
    t.match(await tipInEngine(join(datadir, 'regtest'), 'regtest'), {
      height: endHeight - 1,
      hash: last.tipHash,
    });

    await t.test('the same segments again from the new directory', async (t) => {
      const [ours, theirs] = await Promise.all(
        [datadir, chain.datadir].map((from) => scanDatadir(join(from, 'regtest/blocks'), 'regtest')),
      );
      t.same(ours?.hashAt(endHeight - 1), theirs?.hashAt(endHeight - 1));
    });

    await t.test(
      'in a real bitcoind, with the coins of a directory fed block by block',
      { skip: withoutBitcoind() },
      async (t) => {
        const direct = await fedDirectly(t, 'regtest', chain.recordsPath, endHeight);
        t.same(await muhash(datadir, 'regtest'), await muhash(direct, 'regtest'));
      },
    );
  },
);
