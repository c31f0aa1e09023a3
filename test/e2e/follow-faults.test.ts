/** What may go wrong under a seed that follows a node: files vanish or are others, a disk is full, a clock is wrong. */

import { spawnSync } from 'node:child_process';
import { chmodSync, chownSync, cpSync, existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { withoutBitcoind } from '../helpers/bitcoind.js';
import { programPath } from '../helpers/cli.js';
import { withoutSample } from '../helpers/engine.js';
import {
  catalogue,
  depth,
  generate,
  generateTo,
  interval,
  isServed,
  network,
  type Place,
  place,
  seedArgs,
  seeding,
  segments,
  startNode,
  startSeed,
  tip,
} from '../helpers/followed-node.js';
import { Program } from '../helpers/program.js';
import { sampleDatadir } from '../helpers/sample-datadir.js';
import { startOnSmallDisk, withoutMounts } from '../helpers/small-disk.js';
import { tempFolder } from '../helpers/temp.js';

const skip = withoutBitcoind();
const nobody = 65_534;
const blocksOf = ({ datadir }: Place) => join(datadir, network, 'blocks');

t.test('a seed that starts while the node writes ends up with what the node has', { skip }, async (t) => {
  const at = place(t);
  const node = await startNode(t, at);
  await generateTo(node, 200);
  const write = async () => {
    for (let n = 0; n < 30; n++) await generate(node, 10);
  };
  const writing = write();
  const seeds = [startSeed(t, at)];
  await seeds[0]?.printed(/"event":"listening"/);
  // The state of one directory is one program's.
  seeds.push(startSeed(t, { ...at, stateDir: tempFolder(t) }));
  await writing;
  const top = String(await node.rpc('getbestblockhash'));
  const made = await segments(t, at);
  t.equal(made.length, 2);
  for (const seed of seeds) {
    await seed.printed(tip(top));
    await seed.printed(catalogue(2));
    await seed.printed(/"event":"ready"/);
    for (const { spent } of made) await seed.printed(seeding(spent.infoHashV1));
    t.notMatch(seed.stdout, /"event":"(?:warning|reorganisation|chain-lost)"/);
    t.equal((await seed.stop()).code, 0);
  }
});

t.test('block files that vanish are told of, and followed again when they are back', { skip }, async (t) => {
  const at = place(t);
  const node = await startNode(t, at);
  await generateTo(node, interval - 1 + depth);
  const seed = startSeed(t, at);
  await seed.printed(catalogue(1));
  await node.stop();
  const blocks = join(at.datadir, network, 'blocks');
  renameSync(blocks, `${blocks}-away`);
  await seed.printed(/"event":"warning","message":"the block files cannot be looked at: /);
  renameSync(`${blocks}-away`, blocks);
  await seed.printed(/"event":"recovered"/);
  const again = await startNode(t, at);
  await seed.printed(tip(await generate(again, 3)));
  const [made] = await segments(t, at);
  t.ok(await isServed(t, seed, made?.blocks.infoHashV1), 'what was served still is');
  t.equal((await seed.stop()).code, 0);
});

t.test(
  'block files of another network, or of another time, are told apart',
  { skip: skip || withoutSample() },
  async (t) => {
    const at = place(t);
    const node = await startNode(t, at);
    await generateTo(node, 2 * interval - 20);
    await node.stop();
    const blocks = blocksOf(at);
    const older = join(tempFolder(t), 'older');
    cpSync(blocks, older, { recursive: true });
    const again = await startNode(t, at);
    const top = await generateTo(again, 2 * interval - 1 + depth);
    await again.stop();
    const seed = startSeed(t, at);
    await seed.printed(/"event":"ready".*"segments":2,/);

    const put = (folder: string) => {
      renameSync(blocks, `${blocks}-away`);
      cpSync(folder, blocks, { recursive: true });
    };
    const putBack = () => {
      rmSync(blocks, { recursive: true });
      renameSync(`${blocks}-away`, blocks);
    };
    put(join(await sampleDatadir(), 'blocks'));
    await seed.printed(/"event":"warning","message":"the block files cannot be looked at: [^"]*mainnet/);
    putBack();
    await seed.printed(/"event":"recovered"/);

    put(older);
    const [text = ''] = await seed.printed(/"event":"chain-lost".*/);
    t.match(JSON.parse(`{${text}`), {
      before: { height: 431, hash: top },
      tip: { height: 268 },
      firstWithdrawnSegment: 1,
      withdrawnTorrents: 2,
    });
    putBack();
    const made = await segments(t, at);
    await seed.printed(
      /"event":"chain-lost"[\s\S]*"event":"tip","height":431[\s\S]*"event":"catalogue-seeding","segments":2/,
    );
    t.ok(await isServed(t, seed, made[1]?.blocks.infoHashV1), 'what is there again is served again');
    t.equal((await seed.stop()).code, 0);
  },
);

t.test(
  'a full disk under the state folder keeps no segment from being served',
  { skip: skip || withoutMounts() },
  async (t) => {
    const at = place(t);
    const node = await startNode(t, at);
    await generateTo(node, interval - 1 + depth);
    const stateDir = tempFolder(t);
    const command = [process.execPath, programPath, ...seedArgs({ ...at, stateDir })];
    const seed = startOnSmallDisk(t, stateDir, 2, command);
    await seed.printed(catalogue(1));
    const fill = join(`/proc/${seed.child.pid}/root`, stateDir, 'fill');
    fillUp(fill);
    await seed.printed(tip(await generateTo(node, 2 * interval - 1 + depth)));
    const made = await segments(t, at);
    await seed.printed(seeding(made[1]?.spent.infoHashV1));
    await seed.printed(/"event":"warning","message":"no new catalogue is made: [^"]*no space/i);
    t.ok(await isServed(t, seed, made[1]?.blocks.infoHashV1));
    rmSync(fill);
    await seed.printed(tip(await generate(node, 1)));
    await seed.printed(catalogue(2));
    t.equal((await seed.stop()).code, 0);
  },
);

t.test(
  'a permission that is lost is told of, and following goes on when it is back',
  { skip: skip || withoutOthers() },
  async (t) => {
    const at = place(t);
    const node = await startNode(t, at);
    await generateTo(node, interval - 1 + depth);
    const stateDir = tempFolder(t);
    // Nobody is kept from anything by modes who is root.
    chownSync(stateDir, nobody, nobody);
    chmodSync(at.datadir, 0o755);
    const readable = () => spawnSync('chmod', ['-R', 'a+rX', join(at.datadir, network)]);
    readable();
    const somebody = ['--reuid', String(nobody), '--regid', String(nobody), '--clear-groups'];
    const command = [process.execPath, programPath, ...seedArgs({ ...at, stateDir })];
    const seed = new Program(t, 'setpriv', [...somebody, ...command], { env: { HOME: stateDir } });
    await seed.printed(catalogue(1));
    chmodSync(blocksOf(at), 0o700);
    await seed.printed(
      /"event":"warning","message":"the block files cannot be looked at: [^"]*[Pp]ermission denied/,
    );
    const top = await generate(node, 1);
    readable();
    await seed.printed(/"event":"recovered"/);
    await seed.printed(tip(top));
    const [made] = await segments(t, at);
    t.ok(await isServed(t, seed, made?.blocks.infoHashV1), 'what was served still is');
    t.equal((await seed.stop()).code, 0);
  },
);

t.test('a clock that is decades behind, or ahead, changes nothing', { skip }, async (t) => {
  const at = place(t);
  const node = await startNode(t, at);
  await generateTo(node, interval - 1 + depth);
  const [made] = await segments(t, at);
  for (const now of [0, 4e12]) {
    const clock = `--import data:text/javascript,Date.now=()=>${now}`;
    const seed = startSeed(t, at, { env: { NODE_OPTIONS: `${process.env['NODE_OPTIONS'] ?? ''} ${clock}` } });
    await seed.printed(/"event":"ready".*"torrents":3/);
    await seed.printed(tip(await generate(node, 1)));
    t.ok(await isServed(t, seed, made?.spent.infoHashV1));
    t.notMatch(seed.stdout, /"event":"warning"/, 'the catalogue is told of, too');
    t.equal((await seed.stop()).code, 0);
  }
});

/** Writes until nothing more goes in. */
function fillUp(path: string): void {
  for (let bytes = 2 ** 20; bytes >= 512; bytes /= 2) {
    try {
      for (;;) writeFileSync(path, Buffer.alloc(bytes), { flag: 'a' });
    } catch {
      if (!existsSync(path)) throw new Error(`${path} cannot be written`);
    }
  }
}

/** `false`, or why the program cannot be run as somebody who may do less. */
function withoutOthers(): string | false {
  const isOther = spawnSync('setpriv', [
    '--reuid',
    String(nobody),
    '--clear-groups',
    process.execPath,
    '--check',
    programPath,
  ]);
  return isOther.status !== 0 && 'nobody else can be made to run the program (root, setpriv)';
}
