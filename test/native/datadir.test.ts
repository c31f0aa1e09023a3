/** Block files of another user: read through a group or not at all, lost and regained; and on a mount that is read-only. */
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  renameSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { Datadir, scanDatadir } from '../../src/native.js';
import { programPath } from '../helpers/cli.js';
import { Program } from '../helpers/program.js';
import { regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const native = join(programPath, '../../native.js');
/** Nobody, and a group that nobody else here is in. */
const [user, group] = [65534, 54321];
const withoutRoot = process.getuid?.() === 0 ? false : 'only root can act as another user';

/** Scans the folder, and again for each line on stdin; prints height or error of each. */
const looker = `
import { createInterface } from 'node:readline';
import { scanDatadir } from ${JSON.stringify(native)};
let index = null;
const look = async () => {
  try {
    if (index) await index.rescan();
    else index = await scanDatadir(process.env.BLOCKS_DIR, 'regtest', undefined, process.env.STORE);
    console.log(JSON.stringify({ height: index.tip().height, hasHeaders: index.headers(0, 100).length === 8000 }));
  } catch (error) {
    console.log(JSON.stringify({ code: error.code, message: error.message, height: index?.tip().height }));
  }
};
await look();
for await (const _ of createInterface(process.stdin)) await look();
`;

class Looker {
  readonly #program: Program;
  #seen = 0;

  constructor(t: Test, blocksDir: string, wrap: readonly string[], store?: string) {
    const [command = '', ...args] = [...wrap, process.execPath, '--input-type=module', '-e', looker];
    const env = { BLOCKS_DIR: blocksDir, ...(store === undefined ? {} : { STORE: store }) };
    this.#program = new Program(t, command, args, { env });
  }

  /** What the next look gives; the first one looks by itself. */
  async next(): Promise<{ code?: string; message?: string; height?: number }> {
    if (this.#seen > 0) this.#program.child.stdin?.write('look\n');
    const lines = new RegExp(`^(?:.*\\n){${this.#seen}}(\\{.*\\})$`, 'm');
    const [, line = ''] = await this.#program.printed(lines);
    this.#seen++;
    return JSON.parse(line);
  }
}

const asOther = (gid: number) => ['setpriv', `--reuid=${user}`, `--regid=${gid}`, '--clear-groups'];

/** A copy of the chain's blocks folder, in a folder that everybody may enter. */
async function blocksFolder(t: Test): Promise<{ blocksDir: string; height: number }> {
  const chain = await regtestChain(t);
  const folder = tempFolder(t);
  chmodSync(folder, 0o755);
  const blocksDir = join(folder, 'blocks');
  cpSync(join(chain.datadir, 'regtest', 'blocks'), blocksDir, { recursive: true });
  const height = (await scanDatadir(blocksDir, 'regtest')).tip()?.height ?? -1;
  t.ok(height > 3 * 144);
  return { blocksDir, height };
}

t.test(
  'files of another user are read through a group, and not without',
  { skip: withoutRoot },
  async (t) => {
    const { blocksDir, height } = await blocksFolder(t);
    const names = ['blk00000.dat', 'rev00000.dat', 'xor.dat'].map((name) => join(blocksDir, name));
    for (const path of names) {
      chownSync(path, 0, group);
      chmodSync(path, 0o640);
    }
    chownSync(blocksDir, 0, group);
    chmodSync(blocksDir, 0o750);
    t.match(await new Looker(t, blocksDir, asOther(group)).next(), { height });
    t.match(await new Looker(t, blocksDir, asOther(user)).next(), {
      code: 'ERR_DATADIR_UNREADABLE',
      message: /cannot read .*blocks.*: Permission denied/,
    });
  },
);

t.test(
  'permission that is lost is told, and what was known stays until it is back',
  { skip: withoutRoot },
  async (t) => {
    const { blocksDir, height } = await blocksFolder(t);
    const looker = new Looker(t, blocksDir, asOther(user));
    t.match(await looker.next(), { height });
    chmodSync(blocksDir, 0o700);
    const refused = { code: 'ERR_DATADIR_UNREADABLE', message: /Permission denied/, height };
    t.match(await looker.next(), refused);
    t.match(await looker.next(), refused);
    chmodSync(blocksDir, 0o755);
    t.match(await looker.next(), { height });
  },
);

t.test('a blocks folder on a read-only mount, with the state elsewhere', { skip: withoutRoot }, async (t) => {
  const { blocksDir, height } = await blocksFolder(t);
  const state = tempFolder(t);
  const mount = `mount --bind "$BLOCKS_DIR" "$BLOCKS_DIR" && mount -o remount,bind,ro "$BLOCKS_DIR" && ! touch "$BLOCKS_DIR/x" 2>/dev/null`;
  const wrap = ['unshare', '--mount', 'sh', '-c', `${mount} || exit 77; exec "$0" "$@"`];
  const can = await new Program(t, wrap[0] ?? '', [...wrap.slice(1), 'true'], {
    env: { BLOCKS_DIR: blocksDir },
  }).finished;
  if (can.code !== 0) return t.comment('nothing can be mounted here');
  const store = join(state, 'index.redb');
  t.match(await new Looker(t, blocksDir, wrap, store).next(), { height });
  t.ok(existsSync(store));
  t.notOk(existsSync(join(blocksDir, 'x')));
});

t.test('blocks on another disk, by links', async (t) => {
  const { blocksDir, height } = await blocksFolder(t);
  const elsewhere = tempFolder(t);
  renameSync(join(blocksDir, 'blk00000.dat'), join(elsewhere, 'large.dat'));
  symlinkSync(join(elsewhere, 'large.dat'), join(blocksDir, 'blk00000.dat'));
  const datadir = join(tempFolder(t), 'datadir');
  mkdirSync(datadir);
  symlinkSync(blocksDir, join(datadir, 'blocks'));
  const index = await scanDatadir(join(datadir, 'blocks'), 'regtest');
  t.equal(index.tip()?.height, height);
  t.equal((await index.rescan()).readBytes, 0);
});

t.test('a restart reads nothing that has not changed, and says what has', async (t) => {
  const { blocksDir, height } = await blocksFolder(t);
  const store = join(tempFolder(t), 'index.redb');
  const first = await scanDatadir(blocksDir, 'regtest', undefined, store);
  await first.close();
  const index = await scanDatadir(blocksDir, 'regtest', undefined, store);
  t.ok(index instanceof Datadir);
  t.same(index.headers(0, height + 1), first.headers(0, height + 1));
  t.match(await index.rescan(), { appended: 0, gone: 0, replaced: 0, readBytes: 0, forkHeight: height });
  writeFileSync(join(blocksDir, 'blk00000.dat'), '');
  const changes = await index.rescan();
  // No node forgets blocks that have so many behind them.
  const deep = height - 144;
  t.match(changes, { replaced: 1, tip: { height: deep }, tipBefore: { height }, forkHeight: deep });
  await index.close();
});
