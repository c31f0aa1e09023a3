/** A seed beside a real `bitcoind` that prunes: what is still there is served, and what is to be kept is kept. */
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type Bitcoind, startBitcoind, withoutBitcoind } from '../helpers/bitcoind.js';
import { cli, cliJson, programPath, startCli } from '../helpers/cli.js';
import type { Program } from '../helpers/program.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { startOnSmallDisk, withoutMounts } from '../helpers/small-disk.js';
import { tempFolder } from '../helpers/temp.js';

const skip = withoutBitcoind();
const network = 'regtest';
const quiet = ['--no-dht', '--no-lsd', '--no-port-mapping', '--no-trackers'];
/** The last block of the second segment's first half. */
const prunedTo = 215;

interface Segment {
  readonly blocks: { readonly infoHashV1: string; readonly name: string };
}

interface Place {
  readonly datadir: string;
  readonly stateDir: string;
  readonly node: Bitcoind;
  readonly segments: readonly Segment[];
}

/** A node with files of 64 KiB that prunes when it is told to. */
async function place(t: Test): Promise<Place> {
  const { recordsPath } = await regtestChain(t);
  const datadir = join(tempFolder(t), 'node');
  mkdirSync(datadir);
  const args = ['-fastprune', '-prune=1', `-loadblock=${recordsPath}`];
  const node = await startBitcoind({ datadir, network, args });
  t.teardown(() => node.stop());
  // The end of the chain: three sealed segments, and what lies on top.
  await node.rpc('waitforblockheight', [3 * 144 + 144 - 1, 50_000]);
  // All of it is on disk.
  await node.rpc('gettxoutsetinfo', ['none']);
  const made = ['segments', '--datadir', datadir, '--network', network];
  const { segments } = await cliJson<{ segments: Segment[] }>(t, made);
  return { datadir, stateDir: join(tempFolder(t), 'state'), node, segments };
}

function startSeed(t: Test, { datadir, stateDir }: Place, more: readonly string[] = []): Program {
  const where = ['--datadir', datadir, '--network', network, '--state-dir', stateDir];
  return startCli(t, ['seed', ...where, '--listen', '127.0.0.1:0', ...quiet, '--json-lines', ...more]);
}

/** The same with a state folder on a disk of its own, to which nothing can be linked. */
function startSeedOnSmallDisk(t: Test, { datadir, stateDir }: Place, sizeMib: number): Program {
  mkdirSync(stateDir);
  const where = ['--datadir', datadir, '--network', network, '--state-dir', stateDir];
  const args = ['seed', ...where, '--listen', '127.0.0.1:0', ...quiet, '--json-lines', '--keep', '1GiB'];
  const command = [process.execPath, programPath, ...args];
  return startOnSmallDisk(t, stateDir, sizeMib, command);
}

const state = (name: string | undefined, how: string) =>
  new RegExp(`.*"event":"segment-state".*"name":"${name}","state":"${how}".*`);

async function get(t: Test, seed: Program, infoHash: string | undefined, more: readonly string[] = []) {
  const [, listen = ''] = await seed.printed(/"event":"listening".*"listen":"([^"]+)"/);
  const out = tempFolder(t);
  const peer = ['--peer', listen, ...quiet];
  const { code } = await cli(t, ['get', infoHash ?? '', '--out', out, '--timeout', '2', ...peer, ...more]);
  return { isWhole: code === 0, out };
}

t.test(
  'what a node prunes while a peer downloads is withdrawn, and everything else goes on',
  { skip },
  async (t) => {
    const at = await place(t);
    const [first, second, third] = at.segments;
    const seed = startSeed(t, at);
    await seed.printed(/"event":"ready"/);
    const [, listen = ''] = await seed.printed(/"event":"listening".*"listen":"([^"]+)"/);
    const peer = ['--peer', listen, ...quiet];
    const slow = startCli(t, [
      ...[
        'get',
        second?.blocks.infoHashV1 ?? '',
        '--out',
        tempFolder(t),
        '--max-download',
        '1MiB',
        '--limit-lan',
      ],
      ...[...peer, '--json-lines'],
    ]);
    await slow.printed(/"downloadBytesPerSecond":[1-9]/);
    await at.node.rpc('pruneblockchain', [prunedTo]);
    await seed.printed(state(first?.blocks.name, 'partial'));
    const [line] = await seed.printed(state(second?.blocks.name, 'partial'));
    const { pieceCount, servablePieces } = JSON.parse(line) as Record<string, number>;
    t.ok(Number(servablePieces) > 0 && Number(servablePieces) < Number(pieceCount), line);
    t.ok((await get(t, seed, third?.blocks.infoHashV1)).isWhole, 'another segment is served as before');
    t.notOk((await get(t, seed, first?.blocks.infoHashV1)).isWhole);
    await slow.stop();
    t.equal((await seed.stop()).code, 0);
  },
);

t.test('with --keep the files stay served, within the budget', { skip }, async (t) => {
  const at = await place(t);
  const [first, second] = at.segments;
  const seed = startSeed(t, at, ['--keep', '1GiB']);
  await seed.printed(/"event":"ready"/);
  await at.node.rpc('pruneblockchain', [prunedTo]);
  await seed.printed(/"event":"kept","path":"[^"]*blk00000\.dat","diskBytes":\d+,"survives":true/);
  const [, keptBytes, unlinkedBytes] = await seed.printed(
    /"event":"space-held","keptBytes":([1-9]\d*),"unlinkedBytes":(\d+)/,
  );
  t.ok(Number(keptBytes) > 0);
  t.equal(Number(unlinkedBytes), 0, 'what is linked or copied needs no descriptor');
  t.ok((await get(t, seed, second?.blocks.infoHashV1)).isWhole);
  t.ok((await get(t, seed, first?.blocks.infoHashV1)).isWhole);
  t.equal((await seed.stop()).code, 0);
  const [folder = ''] = readdirSync(at.stateDir).filter((name) =>
    existsSync(join(at.stateDir, name, 'kept')),
  );
  const kept = join(at.stateDir, folder, 'kept');
  const names = readdirSync(kept);
  t.ok(names.includes('blk00000.dat'));
  t.ok(
    names.every((name) => statSync(join(kept, name)).nlink === 1),
    'no link to a file that the node still has is left behind',
  );

  // Nothing of it is in the node's folder any more, and it is served again.
  const again = startSeed(t, at, ['--keep', '1GiB']);
  await again.printed(/"event":"ready".*"segments":3/);
  t.ok((await get(t, again, first?.blocks.infoHashV1)).isWhole, 'after a restart');
  t.ok((await get(t, again, second?.blocks.infoHashV1)).isWhole, 'after a restart');
  t.equal((await again.stop()).code, 0);
});

t.test(
  'a disk that is too small for what is to be kept is told of, and what is held open stays served',
  { skip: skip || withoutMounts() },
  async (t) => {
    const at = await place(t);
    const [first, , third] = at.segments;
    // More than fits, and no more files than are held open.
    const seed = startSeedOnSmallDisk(t, at, 6);
    await seed.printed(/"event":"ready"/);
    await at.node.rpc('pruneblockchain', [100]);
    await seed.printed(/"event":"kept".*"survives":true/);
    await seed.printed(
      /"event":"warning","message":"a file that the node has deleted cannot be copied: [^"]*[Nn]o space/,
    );
    await seed.printed(/"event":"kept".*"survives":false/);
    t.ok((await get(t, seed, first?.blocks.infoHashV1)).isWhole, 'held open where it cannot be copied');
    t.ok((await get(t, seed, third?.blocks.infoHashV1)).isWhole);
    t.equal((await seed.stop()).code, 0);
  },
);
