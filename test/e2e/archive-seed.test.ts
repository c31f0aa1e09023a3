/** Seeding the chain from files that no Core node writes: segment files, btcd's block files, a bootstrap.dat. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { sampleChainWork } from '../../src/node/demo.js';
import { cli, cliJson, type RunningSeed, startSeed } from '../helpers/cli.js';
import { recordOffsets, samplePath, sampleTipHeight } from '../helpers/engine.js';
import { outputOf } from '../helpers/program.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

const addblock = process.env['BLOCKSWARM_BTCD_ADDBLOCK'] ?? '';
const noBtcd = !existsSync(addblock) && 'no Go toolchain: scripts/btcd.mjs builds it';
/** Of the catalogue of the sample's six segments: README. */
const catalogueV1 = '7a65c119891e1192f12a9932db88b746bf33a0db';
const alone = ['--no-dht', '--no-trackers'];
const sample = readFileSync(samplePath);
const offsets = recordOffsets(sample);

interface Torrent {
  readonly name: string;
  readonly infoHashV1: string;
}

/** The sample as segment files and as a catalogue. */
async function exported(t: Test) {
  const datadir = await sampleDatadir();
  const folder = tempFolder(t);
  const { files } = await cliJson<{ files: Torrent[] }>(t, ['export', '--datadir', datadir, '--to', folder]);
  const catalogue = join(tempFolder(t), 'catalogue.dat');
  await cliJson(t, ['catalogue', 'make', '--datadir', datadir, '--out', catalogue]);
  return { folder, files, named: ['--catalogue', catalogue, '--min-chain-work', sampleChainWork] };
}

/** Fetches a torrent from a seeder: its bytes. */
async function fetched(t: Test, { listen }: RunningSeed, { name, infoHashV1 }: Torrent): Promise<Buffer> {
  const out = tempFolder(t);
  await cliJson(t, ['get', infoHashV1, '--out', out, '--peer', listen, '--listen', '127.0.0.1:0', ...alone]);
  return readFileSync(join(out, name));
}

/** What a seeder says at its start, once it is stopped. */
async function stopped({ program }: RunningSeed): Promise<string> {
  return (await program.stop('SIGINT')).stderr;
}

t.test('a folder of segment files', async (t) => {
  const { folder, files, named } = await exported(t);
  const at = (kind: string, segment: number) => join(folder, `bitcoin-mainnet-${kind}-0000${segment}.dat`);

  await t.test('is seeded with the catalogue that the node itself makes', async (t) => {
    const seed = await startSeed(t, ['--segments', folder, ...alone]);
    t.match(seed, { torrents: 18, catalogueInfoHashV1: catalogueV1 });
    for (const file of [files[2], files[3]]) {
      if (file) t.ok((await fetched(t, seed, file)).equals(readFileSync(join(folder, file.name))), file.name);
    }
    await stopped(seed);
  });

  await t.test('that lacks a spent file has blocks files and no catalogue', async (t) => {
    renameSync(at('spent', 3), `${at('spent', 3)}.away`);
    const seed = await startSeed(t, ['--segments', folder, ...alone]);
    t.match(seed, { torrents: 11, catalogueInfoHashV1: null });
    t.match(await stopped(seed), /segment 3 has no spent file[\s\S]*no catalogue is made/);
    renameSync(`${at('spent', 3)}.away`, at('spent', 3));
  });

  await t.test('with a gap is seeded up to it; with a catalogue, beyond it as well', async (t) => {
    renameSync(at('blocks', 2), `${at('blocks', 2)}.away`);
    const seed = await startSeed(t, ['--segments', folder, ...alone]);
    t.match(seed, { torrents: 4 + 2 });
    t.match(await stopped(seed), /segment 2 is missing. 3 segments from there on are not seeded/);
    const beyond = await startSeed(t, ['--segments', folder, ...alone, ...named]);
    t.match(beyond, { torrents: 11 });
    const last = files.at(-2);
    if (last) t.ok((await fetched(t, beyond, last)).equals(readFileSync(join(folder, last.name))));
    t.match(await stopped(beyond), /1 of 6 segments of the catalogue are not wholly in/);
    renameSync(`${at('blocks', 2)}.away`, at('blocks', 2));
  });

  await t.test('with a damaged file never serves it', async (t) => {
    const bytes = readFileSync(at('blocks', 1));
    const damaged = Buffer.from(bytes);
    const inBlock = (offsets[2016 + 500] ?? 0) - (offsets[2016] ?? 0) + 8 + 80 + 30;
    damaged[inBlock] = (damaged[inBlock] ?? 0) ^ 1;
    writeFileSync(at('blocks', 1), damaged);
    const seed = await startSeed(t, ['--segments', folder, ...alone]);
    // Spent records are checked against the blocks.
    t.match(seed, { torrents: 10, catalogueInfoHashV1: null });
    t.match(
      await stopped(seed),
      /blocks file of segment 1 cannot be hashed: .*blocks-00001\.dat: the block at byte \d+ is damaged/,
    );
    const judged = await startSeed(t, ['--segments', folder, ...alone, ...named]);
    t.match(judged, { torrents: 11 });
    t.match(await stopped(judged), /blocks-00001\.dat is not served: none of its pieces is right/);
    writeFileSync(at('blocks', 1), bytes);
  });

  await t.test('is seeded as far as its headers are a chain', async (t) => {
    const swapped = tempFolder(t);
    for (const [to, from] of [0, 2].entries()) {
      writeFileSync(join(swapped, `bitcoin-mainnet-blocks-0000${to}.dat`), readFileSync(at('blocks', from)));
    }
    const seed = await startSeed(t, ['--segments', swapped, ...alone]);
    t.match(seed, { torrents: 1 });
    t.match(await stopped(seed), /segment 1 cannot be used: .*header 2016 \(block 0 of the file\)/);
    rmSync(join(swapped, 'bitcoin-mainnet-blocks-00000.dat'));
    const rootless = await cli(t, ['seed', '--segments', swapped, '--listen', '127.0.0.1:0', ...alone]);
    t.match(rootless, { code: 3, stderr: /has no segment 0.*--catalogue.*ERR_DATADIR_EMPTY/ });
    const empty = await cli(t, ['seed', '--segments', tempFolder(t), ...alone]);
    t.match(empty, { code: 3, stderr: /holds no blocks file of mainnet/ });
  });
});

t.test('blocks of others, which only a catalogue can name', async (t) => {
  const { files, named } = await exported(t);
  const folder = tempFolder(t);
  const bootstrap = join(folder, 'bootstrap.dat');
  writeFileSync(bootstrap, sample.subarray(0, offsets[sampleTipHeight + 1]));
  const blocks = files.filter(({ name }) => name.includes('-blocks-'));

  await t.test('a bootstrap.dat is seeded in place, what is damaged in it is not', async (t) => {
    const seed = await startSeed(t, ['--bootstrap', bootstrap, ...alone, ...named]);
    t.match(seed, { torrents: 6, catalogueInfoHashV1: null });
    const [, second] = blocks;
    if (second) {
      const expected = sample.subarray(offsets[2016], offsets[4032]);
      t.ok((await fetched(t, seed, second)).equals(expected));
    }
    await stopped(seed);
    const bytes = readFileSync(bootstrap);
    const at = (offsets[5000] ?? 0) + 8 + 100;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(bootstrap, bytes);
    const judged = await startSeed(t, ['--bootstrap', bootstrap, ...alone, ...named]);
    t.match(judged, { torrents: 5 });
    await stopped(judged);
  });

  await t.test('what btcd wrote is seeded in place', { skip: noBtcd }, async (t) => {
    writeFileSync(bootstrap, sample.subarray(0, offsets[sampleTipHeight + 1]));
    const datadir = join(folder, 'btcd');
    await outputOf(t, addblock, ['-b', datadir, '-i', bootstrap, '-p', '0']);
    for (const path of [join(datadir, 'mainnet'), join(datadir, 'mainnet', 'blocks_ffldb')]) {
      const seed = await startSeed(t, ['--btcd', path, ...alone, ...named]);
      t.match(seed, { torrents: 6 });
      const last = blocks.at(-1);
      if (last)
        t.ok((await fetched(t, seed, last)).equals(sample.subarray(offsets[10_080], offsets[12_096])));
      t.notMatch(await stopped(seed), /skipped/);
    }
    const made = await cli(t, [
      'catalogue',
      'make',
      '--datadir',
      join(datadir, 'mainnet'),
      '--out',
      join(folder, 'c'),
    ]);
    t.match(made, { code: 3, stderr: /btcd's[\s\S]*no undo data[\s\S]*seed --btcd[\s\S]*ERR_DATADIR_EMPTY/ });
  });

  await t.test('no catalogue is made of them, and it is said why', async (t) => {
    const made = await cli(t, ['catalogue', 'make', '--datadir', bootstrap, '--out', join(folder, 'c')]);
    t.match(made, { code: 3, stderr: /no undo data[\s\S]*seed --bootstrap[\s\S]*ERR_DATADIR_EMPTY/ });
    mkdirSync(join(folder, 'empty'));
    const empty = await cli(t, ['seed', '--btcd', join(folder, 'empty'), ...alone, ...named]);
    t.match(empty, { code: 3, stderr: /no block of the network in/ });
    const missing = await cli(t, ['seed', '--bootstrap', join(folder, 'none'), ...alone, ...named]);
    t.match(missing, { code: 1, stderr: /ERR_DATADIR_UNREADABLE/ });
    const both = await cli(t, ['seed', '--bootstrap', 'x', '--segments', 'y']);
    t.match(both, { code: 2, stderr: /exclude each other/ });
    const alien = await cli(t, ['seed', 'a.torrent=b', '--catalogue', 'x']);
    t.match(alien, { code: 2, stderr: /belong to --datadir, --segments/ });
  });
});
