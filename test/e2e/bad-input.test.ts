/** What a user, a disk, a peer or a publisher may do wrong: each a clear error with its exit code, or a recovery. */

import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { catalogueHead, catalogueRecord } from '../../src/chain/catalogue.js';
import { privacyOf } from '../../src/connector/privacy.js';
import { formatPeerAddress } from '../../src/connector.js';
import { type HybridTorrent, makeHybrid, PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import type { Metainfo } from '../../src/metainfo/metainfo.js';
import { fileExtents, hashExtents, networkParams, Store } from '../../src/native.js';
import { PeerNode } from '../../src/node/peer-node.js';
import { type SegmentTorrents, Source } from '../../src/node/source.js';
import type { TorrentFault } from '../../src/swarm/link-host.js';
import { bootstrap, bootstrapped, startBootstrap } from '../helpers/bootstrap.js';
import { cli, cliJson, programPath, startSeed } from '../helpers/cli.js';
import { recordOffsets, samplePath } from '../helpers/engine.js';
import { runProgram } from '../helpers/program.js';
import { regtestBlocksFile, regtestChain } from '../helpers/regtest-chain.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { tempFolder } from '../helpers/temp.js';

const quiet = { progress: () => {}, warn: () => {}, event: () => {} };
const sample = readFileSync(samplePath);
const offsets = recordOffsets(sample);

/** A blocks folder with these files. */
function blocksFolder(t: Test, files: Record<string, Uint8Array>): string {
  const folder = tempFolder(t);
  for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
  return folder;
}

async function segmentsOf(t: Test, blocks: string, network = 'mainnet') {
  const result = await cli(t, [
    'segments',
    '--datadir',
    blocks,
    '--blocks',
    blocks,
    '--network',
    network,
    '--json',
  ]);
  return { ...result, json: JSON.parse(result.stdout || '{}') };
}

t.test("a node's folder", async (t) => {
  const whole = sample.subarray(0, offsets[2016 + 144]);

  await t.test('with a torn last record: what is whole is used', async (t) => {
    const { json } = await segmentsOf(
      t,
      blocksFolder(t, { 'blk00000.dat': sample.subarray(0, (offsets[2161] ?? 0) - 7) }),
    );
    t.equal(json.sealed, 1);
  });

  await t.test('without undo files: its blocks files are listed, a catalogue is refused', async (t) => {
    const folder = blocksFolder(t, { 'blk00000.dat': whole });
    const { json } = await segmentsOf(t, folder);
    t.equal(json.segments[0].spent, null);
    const made = await cli(t, [
      'catalogue',
      'make',
      '--datadir',
      folder,
      '--blocks',
      folder,
      '--out',
      join(folder, 'c.dat'),
    ]);
    t.equal(made.code, 1);
    t.match(made.stderr, /ERR_SPENT_MISSING/);
  });

  await t.test('that is empty, or has only an empty file', async (t) => {
    for (const files of [{}, { 'blk00000.dat': new Uint8Array(0) }] as Record<string, Uint8Array>[]) {
      const { code, json } = await segmentsOf(t, blocksFolder(t, files));
      if (json.error) t.match({ code, json }, { code: 3, json: { error: { code: 'ERR_DATADIR_EMPTY' } } });
      else t.equal(json.sealed, 0);
    }
  });

  await t.test('with a record of 79 or 4,000,001 bytes: skipped, and said', async (t) => {
    for (const claimed of [79, 4_000_001]) {
      const junk = Buffer.alloc(8 + 79, 1);
      junk.set(sample.subarray(0, 4));
      junk.writeUInt32LE(claimed, 4);
      const { code, json, stderr } = await segmentsOf(
        t,
        blocksFolder(t, {
          'blk00000.dat': Buffer.concat([sample.subarray(0, offsets[1]), junk, whole.subarray(offsets[1])]),
        }),
      );
      t.equal(code, 0);
      t.equal(json.sealed, 1, 'the blocks behind it are found');
      t.match(stderr, /warning: .*blk00000\.dat/);
    }
  });

  await t.test('of another network: both are named', async (t) => {
    const { code, json } = await segmentsOf(t, blocksFolder(t, { 'blk00000.dat': whole }), 'testnet3');
    t.equal(code, 3);
    t.match(json.error, {
      code: 'ERR_NETWORK_MISMATCH',
      message: /mainnet[\s\S]*testnet3|testnet3[\s\S]*mainnet/,
    });
  });

  await t.test('with a short xor.dat', async (t) => {
    const { code, json } = await segmentsOf(
      t,
      blocksFolder(t, { 'blk00000.dat': whole, 'xor.dat': new Uint8Array(5) }),
    );
    t.equal(code, 5);
    t.match(json.error, { code: 'ERR_XOR_KEY' });
  });

  await t.test('with a block file that cannot be read', async (t) => {
    const folder = blocksFolder(t, { 'blk00000.dat': whole });
    mkdirSync(join(folder, 'blk00001.dat'));
    const { code, json } = await segmentsOf(t, folder);
    t.equal(code, 1);
    t.match(json.error, { code: 'ERR_DATADIR_UNREADABLE', message: /blk00001/ });
  });

  await t.test('that does not exist', async (t) => {
    const { code, stderr } = await cli(t, ['segments', '--datadir', join(tempFolder(t), 'none')]);
    t.equal(code, 1);
    t.match(stderr, /none[\s\S]*ERR_DATADIR_UNREADABLE/);
  });
});

t.test('a torrent file that is cut or flipped is an error', async (t) => {
  const folder = tempFolder(t);
  const file = join(folder, 'a.torrent');
  const { metainfoBytes } = makeHybrid({
    name: 'a',
    lengthBytes: 5,
    pieceLengthBytes: PIECE_LENGTH_BYTES,
    pieces: new Uint8Array(20),
    piecesRoot: new Uint8Array(32).fill(1),
    pieceLayer: new Uint8Array(0),
  });
  writeFileSync(file, metainfoBytes.subarray(0, metainfoBytes.length - 1));
  t.match(await cli(t, ['torrent', 'show', file]), { code: 5, stderr: /ERR_BENCODE/ });
  writeFileSync(file, Buffer.from(metainfoBytes).fill(0, 1, 2));
  t.match(await cli(t, ['torrent', 'show', file]), { code: 5, stderr: /ERR_BENCODE/ });
  t.match(await cli(t, ['torrent', 'show', join(folder, 'none')]), { code: 1, stderr: /ERR_IO/ });
});

t.test('a wrong command line is code 2, and says how to find the right one', async (t) => {
  for (const args of [
    ['nonsense'],
    ['seed'],
    ['segments', '--datadir'],
    ['bootstrap', '--datadir', 'x', '--catalogue', 'y', '--min-chain-work', 'zz'],
  ]) {
    const { code, stderr } = await cli(t, args);
    t.equal(code, 2, args.join(' '));
    t.match(stderr, /--help|ERR_USAGE/);
  }
});

t.test('with --json a wrong command line is an object as well', async (t) => {
  for (const args of [
    ['segments'],
    ['bootstrap', '--datadir', 'x', '--catalogue', 'y', '--timeout', '3000000'],
  ]) {
    const { code, stdout } = await cli(t, [...args, '--json']);
    t.equal(code, 2);
    t.match(JSON.parse(stdout), { schema: 1, error: { code: 'ERR_USAGE' } });
  }
});

t.test('a device is neither written over nor read without end', async (t) => {
  const made = await cli(t, ['catalogue', 'make', '--datadir', await sampleDatadir(), '--out', '/dev/null']);
  t.equal(made.code, 2);
  t.equal((await cli(t, ['torrent', 'show', '/dev/zero'])).code, 5);
});

t.test('a result that cannot be written is a failure', { skip: !existsSync('/dev/full') }, async (t) => {
  const command = `exec "$0" "$1" segments --datadir "$2" --json >/dev/full`;
  const args = ['-c', command, process.execPath, programPath, await sampleDatadir()];
  t.equal((await runProgram(t, 'sh', args)).code, 6);
});

t.test('a port in use is code 4', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1');
  t.teardown(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const { code, stderr } = await cli(t, [
    'seed',
    '--datadir',
    await sampleDatadir(),
    '--no-dht',
    '--listen',
    `127.0.0.1:${port}`,
  ]);
  t.equal(code, 4);
  t.match(stderr, new RegExp(`${port}.*ERR_PORT_IN_USE`));
});

t.test('a second process on the same directory is refused with code 8', async (t) => {
  const state = tempFolder(t);
  const args = ['--datadir', await sampleDatadir(), '--no-dht', '--state-dir', state];
  await startSeed(t, args);
  const { code, stderr } = await cli(t, ['seed', '--listen', '127.0.0.1:0', ...args]);
  t.equal(code, 8);
  t.match(stderr, /ERR_STATE_LOCKED/);
});

t.test('seed ends on Ctrl-C with code 0', async (t) => {
  const { program } = await startSeed(t, ['--datadir', await sampleDatadir(), '--no-dht']);
  t.match(await program.stop('SIGINT'), { code: 0 });
});

t.test('a directory that is not ours is never written to', async (t) => {
  const folder = tempFolder(t);
  const datadir = join(folder, 'mine');
  mkdirSync(datadir);
  writeFileSync(join(datadir, 'wallet.dat'), 'precious');
  const result = await bootstrap(t, {
    datadir,
    catalogue: 'none',
    peers: [],
    stateDir: join(folder, 'state'),
  });
  t.equal(result.code, 3);
  t.match(result.stdout, /ERR_DATADIR_FOREIGN/);
});

/** One regtest segment as a flat file, after a change, and a catalogue that names it. */
async function forged(t: Test, change: (blocks: Buffer) => void) {
  const chain = await regtestChain(t);
  const { signal } = new AbortController();
  const source = await Source.open({ datadir: chain.datadir, network: 'regtest' }, signal);
  const [segment] = await source.segments({ signal, report: quiet });
  if (!segment?.spent) throw new Error('the regtest chain has no segment');
  const folder = tempFolder(t);
  const path = join(folder, segment.blocks.name);
  const bytes = Buffer.from(regtestBlocksFile(chain, 0));
  change(bytes);
  writeFileSync(path, bytes);
  const hashes = await hashExtents(fileExtents(path, bytes.length), PIECE_LENGTH_BYTES);
  const blocks = makeHybrid({ name: segment.blocks.name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
  const write = (torrent: { metainfoBytes: Uint8Array }): string => {
    const catalogue = join(folder, 'bitcoin-regtest-catalogue-00001.dat');
    const record = catalogueRecord(
      source.datadir.headers(0, 144),
      torrent.metainfoBytes,
      (segment as SegmentTorrents & { spent: { metainfoBytes: Uint8Array } }).spent.metainfoBytes,
    );
    writeFileSync(catalogue, Buffer.concat([catalogueHead(networkParams('regtest')), record]));
    return catalogue;
  };
  return { path, bytes, genuine: segment.blocks, blocks, write, folder };
}

/** Serves a file as a torrent, whatever is in it. */
function serve(t: Test, torrent: Metainfo, path: string): string {
  const node = new PeerNode({
    addressLists: null,
    privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
    peers: [],
    dht: null,
  });
  t.teardown(() => node.close());
  const store = Store.overExtents(torrent, fileExtents(path, torrent.lengthBytes));
  store.setServableAll();
  node.addContent(torrent, store);
  return formatPeerAddress(node.address);
}

t.test(
  'a block whose header is right and whose witness was altered ends the job: the torrent is bad, not the chain',
  async (t) => {
    // The last byte of the last block but its lock time lies in a witness of the chain's generator.
    const { path, blocks, write, folder } = await forged(t, (bytes) => {
      const records = recordOffsets(bytes);
      const end = records.at(-1) ?? 0;
      const at = end - 4 - 10;
      bytes[at] = (bytes[at] ?? 0) ^ 1;
    });
    const result = await bootstrap(t, {
      network: 'regtest',
      datadir: join(folder, 'new'),
      catalogue: write(blocks),
      peers: [serve(t, blocks, path)],
      stateDir: join(folder, 'state'),
    });
    t.equal(result.code, 5, result.stderr);
    t.match(JSON.parse(result.stdout).error, { code: 'ERR_TORRENT_BAD', message: /height 143/ });
  },
);

t.test('a peer that sends a wrong piece is found out, and the job ends well with another peer', async (t) => {
  const { path, genuine, write, folder } = await forged(t, (bytes) => {
    bytes[5_000_000] = (bytes[5_000_000] ?? 0) ^ 1;
  });
  const chain = await regtestChain(t);
  const honest = await startSeed(t, ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht']);
  const liar = serve(t, genuine, path);
  const result = await bootstrapped(t, {
    network: 'regtest',
    datadir: join(folder, 'new'),
    catalogue: write(genuine),
    peers: [liar, honest.listen],
    stateDir: join(folder, 'state'),
  });
  t.equal(result.height, 143);
});

t.test('a catalogue of too little work is refused with code 5', async (t) => {
  const folder = tempFolder(t);
  const file = join(folder, 'bitcoin-mainnet-catalogue-00006.dat');
  await cliJson(t, ['catalogue', 'make', '--datadir', await sampleDatadir(), '--out', file]);
  t.match(await cli(t, ['catalogue', 'show', file]), { code: 5, stderr: /ERR_CHAIN_WORK/ });
  const shown = await cli(t, ['catalogue', 'show', file, '--min-chain-work', '2f402f402f40', '--json']);
  t.equal(shown.code, 0);
  t.match(shown.stderr, /WAS LOWERED/);
  t.match(JSON.parse(shown.stdout), { segments: 6, height: 12_095 });
  truncateSync(file, 500_000);
  t.match(await cli(t, ['catalogue', 'show', file, '--min-chain-work', '1']), {
    code: 5,
    stderr: /ERR_CATALOGUE/,
  });
});

t.test('a seed whose file is cut pauses that torrent, says why, and serves the others', async (t) => {
  const folder = tempFolder(t);
  const { signal } = new AbortController();
  const seed = new PeerNode({
    addressLists: null,
    privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
    peers: [],
    dht: null,
  });
  t.teardown(() => seed.close());
  const make = async (name: string, fill: number) => {
    const path = join(folder, name);
    writeFileSync(path, Buffer.alloc(2 * PIECE_LENGTH_BYTES, fill));
    const extents = fileExtents(path, 2 * PIECE_LENGTH_BYTES);
    const hashes = await hashExtents(extents, PIECE_LENGTH_BYTES);
    const torrent = makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes });
    const store = Store.overExtents(torrent, extents);
    await store.verify(0, 2, signal);
    return { path, torrent, store };
  };
  const [cut, whole] = [await make('cut', 1), await make('whole', 2)];
  const fault = new Promise<TorrentFault>((resolve) => {
    seed.addContent(cut.torrent, cut.store, { events: { fault: resolve } });
  });
  seed.addContent(whole.torrent, whole.store);
  truncateSync(cut.path, PIECE_LENGTH_BYTES);

  const leech = new PeerNode({
    addressLists: null,
    privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
    peers: [seed.address],
    dht: null,
  });
  t.teardown(() => leech.close());
  const fetch = ({ torrent }: { torrent: HybridTorrent }) =>
    new Promise<void>((resolve) => {
      const store = Store.openScratch(torrent, join(folder, `${torrent.name}.part`));
      leech.addContent(torrent, store, { events: { complete: () => resolve() } });
    });
  void fetch(cut);
  t.match(await fault, { kind: 'changed', message: /cut/ }, 'the reason names the file');
  const swarm = [...seed.session.swarms].find((each) => each.state === 'paused');
  t.match(swarm?.status().pauseReason, /cut/);
  await fetch(whole);
  t.equal([...seed.session.swarms].filter((each) => each.state === 'seeding').length, 1);
});

t.test('a full disk ends the job with code 6, and it goes on when there is room', async (t) => {
  const chain = await regtestChain(t);
  const seed = await startSeed(t, ['--network', 'regtest', '--datadir', chain.datadir, '--no-dht']);
  const folder = tempFolder(t);
  const small = join(folder, 'small');
  mkdirSync(small);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', small], { stdio: 'pipe' });
  } catch {
    t.comment('skipped: no right to mount a small file system');
    return;
  }
  t.teardown(() => execFileSync('umount', [small]));
  const options = {
    network: 'regtest' as const,
    datadir: join(folder, 'new'),
    catalogue: seed.catalogueInfoHashV1 ?? '',
    peers: [seed.listen],
    stateDir: join(folder, 'state'),
    more: ['--scratch', small],
  };
  const full = await bootstrap(t, options);
  t.equal(full.code, 6, full.stderr);
  t.match(full.stdout, /ERR_DISK_FULL/);
  execFileSync('mount', ['-o', 'remount,size=100m', small]);
  t.equal((await bootstrapped(t, options)).height, 431);
});

t.test('a catalogue that names a torrent nobody has ends after a time that can be set', async (t) => {
  const { blocks, write, folder } = await forged(t, (bytes) => {
    bytes[5_000_000] = (bytes[5_000_000] ?? 0) ^ 1;
  });
  const program = startBootstrap(t, {
    network: 'regtest',
    datadir: join(folder, 'new'),
    catalogue: write(blocks),
    peers: [],
    stateDir: join(folder, 'state'),
    more: ['--timeout', '1'],
  });
  const { code, stdout } = await program.finished;
  t.equal(code, 4);
  t.match(stdout, /ERR_NO_PEERS/);
});
