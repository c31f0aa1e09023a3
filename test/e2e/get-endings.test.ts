/** How `blockswarm get` ends, what it goes on from, and what it fetches of a torrent. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { cli, cliJson, programPath, startCli, startSeed } from '../helpers/cli.js';
import { bytes, type Content, writeContent } from '../helpers/content-folder.js';
import { tempFolder } from '../helpers/temp.js';

const alone = ['--no-dht', '--listen', '127.0.0.1:0'];

interface Got {
  readonly downloadedBytes: number;
  readonly selectedBytes: number;
  readonly lengthBytes: number;
}

/** Torrents of a folder, seeded by us. */
async function scene(t: Test, content: Readonly<Record<string, Content>>, ...kinds: readonly string[]) {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), content);
  const torrents: string[] = [];
  const magnets: string[] = [];
  for (const kind of kinds) {
    const out = join(folder, `${kind}.torrent`);
    const args = [join(folder, 'tree'), `--${kind}`, '--piece-length', '64KiB', '--out', out];
    magnets.push((await cliJson<{ magnet: string }>(t, ['torrent', 'make', ...args])).magnet);
    torrents.push(out);
  }
  const named = torrents.map((torrent) => `${torrent}=${folder}`);
  const { listen, program } = await startSeed(t, [...named, '--no-dht']);
  const get = (source: string, out: string, ...more: string[]) => {
    return ['get', source, '--out', out, '--peer', listen, ...alone, ...more];
  };
  return { folder, torrents, magnets, get, seed: program };
}

t.test('a run that was killed is gone on with, and fetches only the rest', async (t) => {
  const whole = Buffer.concat(Array.from({ length: 96 }, (_, n) => bytes(2 ** 20, n + 1)));
  const { folder, torrents, get } = await scene(t, { long: whole }, 'v1');
  const env = { XDG_STATE_HOME: tempFolder(t) };
  const [out, torrent = ''] = [join(folder, 'out'), ...torrents];
  const path = join(out, 'tree', 'long');
  const first = startCli(t, get(torrent, out), { env });
  const written = () => (existsSync(path) ? statSync(path).blocks * 512 : 0);
  while (written() < 16 * 2 ** 20) await sleep(2);
  await first.stop('SIGKILL');
  t.ok(written() < whole.length, 'it was killed before the end');
  const result = await cliJson<Got>(t, get(torrent, out), { env });
  t.ok(result.downloadedBytes < whole.length, `${result.downloadedBytes} bytes were left to fetch`);
  t.ok(readFileSync(path).equals(whole), 'every byte is the same');
});

t.test('only selected files come, and those that share a piece with one', async (t) => {
  const content = { 'a/one': bytes(300_000), 'a/two': bytes(200_000, 2), 'b/three.txt': bytes(400_000, 3) };
  const { folder, torrents, magnets, get } = await scene(t, content, 'v1', 'v2', 'hybrid');
  for (const [n, torrent] of torrents.entries()) {
    const out = join(folder, `out-${n}`);
    const env = { XDG_STATE_HOME: tempFolder(t) };
    const result = await cliJson<Got>(t, get(torrent, out, '--select', '*.txt'), { env });
    t.match(result, { selectedBytes: 400_000, lengthBytes: 900_000 });
    t.ok(result.downloadedBytes < 600_000, `${torrent}: ${result.downloadedBytes} bytes`);
    t.ok(readFileSync(join(out, 'tree/b/three.txt')).equals(content['b/three.txt']));
    t.equal(existsSync(join(out, 'tree/a/one')), false, 'what is not wanted is not made');
    await cliJson<Got>(t, get(torrent, out, '--select', '/a/*', '--select', '*.txt', '--sequential'), {
      env,
    });
    for (const [path, wanted] of Object.entries(content)) {
      t.ok(readFileSync(join(out, 'tree', path)).equals(wanted), path);
    }
  }
  const out = join(folder, 'by-link');
  await cliJson<Got>(t, get(`${magnets[2]}&so=2`, out));
  t.equal(existsSync(join(out, 'tree/a/one')), false, 'BEP 53');
  const nothing = await cli(t, get(torrents[0] ?? '', join(folder, 'none'), '--select', 'x'));
  t.match(nothing, { code: 2, stderr: /nothing is selected/ });
});

t.test('each way to end has its exit code', async (t) => {
  const { folder, torrents, get } = await scene(t, { f: bytes(100_000) }, 'v1');
  const [torrent = ''] = torrents;
  const env = { XDG_STATE_HOME: tempFolder(t) };
  const out = join(folder, 'out');
  const staying = startCli(t, [...get(torrent, out, '--seed'), '--json-lines'], { env });
  await staying.printed(/"event":"complete"/);
  const second = await cli(t, get(torrent, out), { env });
  t.match(second, { code: 8, stderr: /another program is using this folder/ }, 'one process for a folder');
  t.equal((await staying.stop()).code, 0, 'who only serves is stopped in peace');

  writeFileSync(join(folder, 'bad.torrent'), 'd4:infod4:name1:aee');
  t.equal((await cli(t, get(join(folder, 'bad.torrent'), out))).code, 5);
  const waiting = startCli(t, ['get', '1'.repeat(40), '--out', join(folder, 'other'), ...alone], {
    env: { XDG_STATE_HOME: join(folder, 'waiting') },
  });
  // The lock is the first thing that it takes.
  const state = join(folder, 'waiting');
  while (!existsSync(join(state, 'blockswarm'))) await sleep(20);
  await sleep(100);
  const { code, stderr } = await waiting.stop();
  t.match({ code, stderr }, { code: 7, stderr: /run the same command to go on/ });
});

t.test('a rate that is asked for is kept to', async (t) => {
  const { folder, torrents, get } = await scene(t, { f: bytes(3_000_000) }, 'v1');
  const limits = ['--max-download', '1MiB', '--limit-lan'];
  const startMs = performance.now();
  await cliJson(t, get(torrents[0] ?? '', join(folder, 'out'), ...limits));
  // The bucket may hold some of it at first.
  t.ok(performance.now() - startMs > 1000);
  const wrong = await cli(t, get(torrents[0] ?? '', join(folder, 'out'), '--max-download', 'fast'));
  t.match(wrong, { code: 2, stderr: /expected a rate/ });
});

t.test('a seed stops when the quota of the month is used up, and knows it after a restart', async (t) => {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), { f: bytes(4_000_000) });
  const torrent = join(folder, 'made.torrent');
  const pieces = ['--piece-length', '64KiB', '--out', torrent];
  await cliJson(t, ['torrent', 'make', join(folder, 'tree'), ...pieces]);
  const env = { XDG_STATE_HOME: tempFolder(t) };
  // Slow, so that it is seen in time what went.
  const quota = ['--quota', '1MiB', '--max-upload', '1MiB', '--limit-lan', '--no-pex', '--no-dht'];
  const fetched = async (out: string) => {
    const { listen, program } = await startSeed(t, [`${torrent}=${folder}`, ...quota], { env });
    const get = ['get', torrent, '--out', join(folder, out), '--peer', listen, ...alone, '--timeout', '4'];
    const { code, stdout } = await cli(t, [...get, '--json']);
    t.equal(code, 4, 'it waits in vain for the rest');
    const { stderr } = await program.stop();
    t.match(stderr, /the upload quota of \d{4}-\d\d is used up/);
    return (JSON.parse(stdout) as { error: { code: string } }).error.code;
  };
  t.equal(await fetched('first'), 'ERR_TIMEOUT');
  t.equal(await fetched('second'), 'ERR_NO_PEERS', 'not even a first piece came');
});

const mount = 'mount -t tmpfs -o size=1m none "$1" && shift && exec "$@"';
const inSmallDisk = (folder: string, ...command: string[]) =>
  spawnSync('unshare', ['-rm', 'sh', '-c', mount, 'sh', folder, ...command], { encoding: 'utf8' });
const mayMount = inSmallDisk(tempFolder(t), 'true').status === 0;

t.test(
  'a full disk ends it with 6',
  { skip: !mayMount && 'no mount namespace may be made here' },
  async (t) => {
    const { folder, torrents, get } = await scene(t, { f: bytes(4_000_000) }, 'v1');
    const disk = tempFolder(t);
    const args = get(torrents[0] ?? '', join(disk, 'out'), '--state-dir', join(folder, 'state'));
    const { status, stderr } = inSmallDisk(disk, process.execPath, programPath, ...args);
    t.equal(status, 6);
    t.match(stderr, /the disk is full/);
  },
);
