/** `blockswarm export`: segment files that are their torrents' content, and a file that Core takes. */
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { checkFreeSpace } from '../../src/node/free-space.js';
import { startBitcoind, withoutBitcoind } from '../helpers/bitcoind.js';
import { cli, cliJson, programPath } from '../helpers/cli.js';
import { recordOffsets, samplePath, sampleTipHash, sampleTipHeight } from '../helpers/engine.js';
import { runProgram } from '../helpers/program.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

interface Exported {
  readonly files: { name: string; wasThere: boolean; infoHashV1: string; lengthBytes: number }[];
  readonly withoutSpent: number[];
}

const sample = readFileSync(samplePath);
const offsets = recordOffsets(sample);
const blocksFile = (segment: number) =>
  sample.subarray(offsets[segment * 2016], offsets[(segment + 1) * 2016]);
const blocksName = (segment: number) => `bitcoin-mainnet-blocks-0000${segment}.dat`;

t.test('segment files', async (t) => {
  const datadir = await sampleDatadir();
  const to = join(tempFolder(t), 'deep', 'segments');
  const state = tempFolder(t);
  const run = (...more: string[]) =>
    cliJson<Exported>(t, ['export', '--datadir', datadir, '--to', to, '--state-dir', state, ...more]);

  await t.test('have the bytes of the chain and the infohashes that `segments` lists', async (t) => {
    const { files } = await run();
    t.equal(files.length, 12);
    t.ok(files.every(({ wasThere }) => !wasThere));
    t.same(readdirSync(to).sort(), files.map(({ name }) => name).sort(), 'nothing half-done is left');
    for (let segment = 0; segment < 6; segment++) {
      t.ok(readFileSync(join(to, blocksName(segment))).equals(blocksFile(segment)), blocksName(segment));
    }
    const listed = await cliJson<{
      segments: { blocks: { infoHashV1: string }; spent: { infoHashV1: string } }[];
    }>(t, ['segments', '--datadir', datadir]);
    t.same(
      files.map(({ infoHashV1 }) => infoHashV1),
      listed.segments.flatMap(({ blocks, spent }) => [blocks.infoHashV1, spent.infoHashV1]),
    );
  });

  await t.test('that are there and right stay; one that is damaged or cut is written anew', async (t) => {
    const damaged = join(to, blocksName(2));
    const bytes = readFileSync(damaged);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    writeFileSync(damaged, bytes);
    truncateSync(join(to, blocksName(4)), 5000);
    const { files } = await run();
    const anew = files.filter(({ wasThere }) => !wasThere).map(({ name }) => name);
    t.same(anew, [blocksName(2), blocksName(4)]);
    t.ok(readFileSync(damaged).equals(blocksFile(2)));
  });

  await t.test('that an earlier run left in part are gone on with, whatever is in them', async (t) => {
    const into = tempFolder(t);
    for (const [segment, bytes] of [blocksFile(1).subarray(0, 99_999), Buffer.alloc(600_000, 7)].entries()) {
      writeFileSync(join(into, `${blocksName(segment)}.part`), bytes);
    }
    const fresh = await cliJson<Exported>(t, [
      ...['export', '--datadir', datadir, '--to', into, '--last-segment', '1'],
    ]);
    t.equal(fresh.files.length, 4);
    for (const segment of [0, 1])
      t.ok(readFileSync(join(into, blocksName(segment))).equals(blocksFile(segment)));
    t.equal(readdirSync(into).length, 4);
  });

  await t.test('of some segments only', async (t) => {
    const into = tempFolder(t);
    const some = await cliJson<Exported>(t, [
      ...['export', '--datadir', datadir, '--to', into, '--first-segment', '3', '--last-segment', '3'],
    ]);
    t.match(some.files, [{ name: blocksName(3) }, { name: 'bitcoin-mainnet-spent-00003.dat' }]);
  });

  await t.test('that cannot be are refused', async (t) => {
    const refused = async (args: string[], code: number, said: RegExp) => {
      const result = await cli(t, ['export', '--datadir', datadir, ...args]);
      t.match({ code: result.code, stderr: result.stderr }, { code, stderr: said });
    };
    await refused([], 2, /--to DIR/);
    await refused(['--to', to, '--bootstrap', 'x'], 2, /--to DIR/);
    await refused(['--bootstrap', 'x', '--first-segment', '1'], 2, /belong to --to/);
    await refused(['--to', to, '--force'], 2, /belongs to --bootstrap/);
    await refused(['--to', to, '--last-segment', '6'], 1, /6 segments are sealed.*ERR_NOT_SEALED/);
    await refused(['--to', to, '--first-segment', '4', '--last-segment', '3'], 2, /before segment 4/);
    await refused(['--bootstrap', '-', '--json'], 2, /no room for --json/);
    await refused(['--bootstrap', join(to, 'none', 'x')], 1, /ERR_IO/);
    await refused(['--to', '/dev/null/x'], 1, /ERR_IO/);
  });
});

t.test('a bootstrap file', async (t) => {
  const datadir = await sampleDatadir();
  const folder = tempFolder(t);
  const file = join(folder, 'bootstrap.dat');
  const run = (...more: string[]) => cli(t, ['export', '--datadir', datadir, '--bootstrap', file, ...more]);

  await t.test(
    'holds all blocks in the order of heights; a second run goes on in what the first left',
    async (t) => {
      writeFileSync(`${file}.part`, Buffer.concat([sample.subarray(0, offsets[7000]), Buffer.alloc(500, 1)]));
      t.match(await run(), { code: 0, stdout: /14132 blocks of mainnet, heights 0 to 14131/ });
      t.ok(readFileSync(file).equals(sample.subarray(0, offsets[sampleTipHeight + 1])));
      t.same(readdirSync(folder), ['bootstrap.dat']);
      t.match(await run(), { code: 2, stderr: /exists: --force replaces it/ });
      t.match(await run('--force'), { code: 0 });
    },
  );

  await t.test('goes to a pipe as well', async (t) => {
    const piped = join(folder, 'piped.dat');
    const command = '"$0" "$1" export --datadir "$2" --bootstrap - | cat > "$3"';
    const args = ['-c', command, process.execPath, programPath, datadir, piped];
    t.equal((await runProgram(t, 'sh', args)).code, 0);
    t.ok(readFileSync(piped).equals(readFileSync(file)));
  });

  await t.test('is taken by a real bitcoind', { skip: withoutBitcoind() }, async (t) => {
    const node = tempFolder(t);
    const bitcoind = await startBitcoind({ datadir: node, network: 'mainnet', args: [`-loadblock=${file}`] });
    t.teardown(() => bitcoind.stop());
    await bitcoind.rpc('waitforblockheight', [sampleTipHeight, 50_000]);
    t.equal(await bitcoind.rpc('getbestblockhash'), sampleTipHash);
    await bitcoind.stop();
    const list = async (of: string) =>
      (await cliJson<{ segments: unknown[] }>(t, ['segments', '--datadir', of])).segments;
    t.same(await list(node), await list(datadir), 'and makes the same torrents');
  });
});

t.test('a directory that lacks the first blocks is refused with what to do', async (t) => {
  const datadir = tempFolder(t);
  mkdirSync(join(datadir, 'blocks'));
  writeFileSync(join(datadir, 'blocks', 'blk00001.dat'), sample.subarray(offsets[10], offsets[20]));
  for (const to of [
    ['--to', join(datadir, 'to')],
    ['--bootstrap', join(datadir, 'x')],
  ]) {
    const { code, stderr } = await cli(t, ['export', '--datadir', datadir, ...to]);
    t.match(
      { code, stderr },
      { code: 1, stderr: /holds 10 blocks and not .*pruned.*doctor.*ERR_BLOCK_PRUNED/ },
    );
  }
  t.same(readdirSync(datadir), ['blocks']);
});

t.test('a disk that cannot take what is to be written is told before', async (t) => {
  const needed = checkFreeSpace(tempFolder(t), 2 ** 62, 'all of it');
  await t.rejects(needed, { code: 'ERR_DISK_FULL', message: /free, and all of it takes 4\.00 EiB more/ });
  await checkFreeSpace(tempFolder(t), 1, 'a byte');
});
