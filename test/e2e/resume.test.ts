/** Kill -9 at any moment: the next run goes on, and fetches nothing again that is on disk. */
import { execFileSync } from 'node:child_process';
import { rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ResumeDb, Store } from '../../src/native.js';
import { resumeFileName, resumeKey } from '../../src/node/resume.js';
import { StateFolder } from '../../src/node/state.js';
import { type BootstrapArgs, bootstrapped, startBootstrap } from '../helpers/bootstrap.js';
import { chainTorrents } from '../helpers/chain-torrents.js';
import { cliJson, startSeed } from '../helpers/cli.js';
import { regtestBlocksFile, regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

interface Scene {
  readonly options: BootstrapArgs;
  readonly lengthsBytes: readonly number[];
  readonly endHeight: number;
}

async function scene(t: Test): Promise<Scene> {
  const { datadir } = await regtestChain(t);
  const folder = tempFolder(t);
  const source = ['--network', 'regtest', '--datadir', datadir];
  const seed = await startSeed(t, [...source, '--no-dht']);
  const { segments } = await cliJson<{ segments: { endHeight: number; blocks: { lengthBytes: number } }[] }>(
    t,
    ['segments', ...source],
  );
  return {
    options: {
      network: 'regtest',
      datadir: join(folder, 'new'),
      catalogue: seed.catalogueInfoHashV1 ?? '',
      peers: [seed.listen],
      stateDir: join(folder, 'state'),
    },
    lengthsBytes: segments.map(({ blocks }) => blocks.lengthBytes),
    endHeight: segments.at(-1)?.endHeight ?? 0,
  };
}

/** The engine's process: the only child of a bootstrap. */
function engineOf(pid: number | undefined): number {
  return Number(
    execFileSync('pgrep', ['-P', String(pid), '-f', 'engine/child'], { encoding: 'utf8' }).trim(),
  );
}

t.test('a bootstrap that is killed again and again gets to its end', async (t) => {
  const { options, lengthsBytes, endHeight } = await scene(t);
  for (const event of [/"event":"catalogue"/, /"event":"segment","index":0/, /"event":"segment","index":1/]) {
    const program = startBootstrap(t, options);
    await program.printed(event);
    const { signal } = await program.stop('SIGKILL');
    t.equal(signal, 'SIGKILL');
  }
  const result = await bootstrapped(t, options);
  t.equal(result.height, endHeight - 1);
  t.ok(result.downloadedBytes <= (lengthsBytes[2] ?? 0), 'the last run fetched only what was not on disk');
});

t.test(
  'blocks that the engine wrote but did not index are fed again from disk, not fetched again',
  async (t) => {
    const { options, lengthsBytes, endHeight } = await scene(t);
    const program = startBootstrap(t, options);
    // Two segments are taken and their scratch is freed, but no checkpoint was made.
    await program.printed(/"event":"segment","index":1/);
    await program.stop('SIGKILL');
    const result = await bootstrapped(t, options);
    t.equal(result.height, endHeight - 1);
    t.ok(result.downloadedBytes <= (lengthsBytes[2] ?? 0), 'at most the third segment was fetched');
  },
);

t.test('a catalogue whose pieces are on disk, but not its info dictionary, is not waited for', async (t) => {
  const { options, endHeight } = await scene(t);
  const program = startBootstrap(t, options);
  await program.printed(/"event":"catalogue"/);
  await program.stop('SIGKILL');
  rmSync(join(options.datadir, 'blockswarm-scratch', `catalogue-${options.catalogue}.info`));
  const result = await bootstrapped(t, { ...options, more: ['--timeout', '20'] });
  t.equal(result.height, endHeight - 1);
});

/** The third segment in the scratch of a bootstrap that was killed, as its record says; `change` goes unrecorded. */
async function recordedScratch(t: Test, options: BootstrapArgs, change: (bytes: Buffer) => void) {
  const program = startBootstrap(t, options);
  await program.printed(/"event":"catalogue"/);
  await program.stop('SIGKILL');
  const chain = await regtestChain(t);
  const torrent = (await chainTorrents(t, 'regtest', chain.datadir)).blocks[2];
  if (!torrent) throw new Error('the regtest chain has no third segment');
  const path = join(options.datadir, 'blockswarm-scratch', torrent.name);
  const bytes = Buffer.from(regtestBlocksFile(chain, 2));
  const quiet = new Date(Math.floor(Date.now() / 1000) * 1000 - 60_000);
  const write = () => {
    writeFileSync(path, bytes);
    utimesSync(path, quiet, quiet);
  };
  write();
  const state = StateFolder.open(options.stateDir, options.datadir);
  const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
  const store = Store.openScratch(torrent, path);
  store.setServableAll();
  await store.save(resumeDb, resumeKey(torrent, path), false);
  await resumeDb.close();
  state.close();
  change(bytes);
  write();
  return torrent;
}

t.test('what was recorded is neither fetched nor hashed again', async (t) => {
  const { options, lengthsBytes, endHeight } = await scene(t);
  const torrent = await recordedScratch(t, options, () => {});
  const result = await bootstrapped(t, options);
  t.equal(result.height, endHeight - 1);
  const total = lengthsBytes.reduce((sum, bytes) => sum + bytes, 0);
  t.ok(result.downloadedBytes <= total - torrent.lengthBytes);
});

t.test('a byte that changed on disk without a trace is found, and its piece fetched again', async (t) => {
  const { options, endHeight } = await scene(t);
  await recordedScratch(t, options, (bytes) => {
    bytes[5_000_000] = (bytes[5_000_000] ?? 0) ^ 1;
  });
  const result = await bootstrapped(t, options);
  t.equal(result.height, endHeight - 1);
  t.ok(result.downloadedBytes > 0);
});

t.test('when the engine process is killed, the job says so, and the next run goes on', async (t) => {
  const { options, endHeight } = await scene(t);
  const program = startBootstrap(t, options);
  await program.printed(/"event":"segment","index":0/);
  process.kill(engineOf(program.child.pid), 'SIGKILL');
  const { code, stdout, stderr } = await program.finished;
  t.equal(code, 1);
  t.match(stdout, /"code":"ERR_ENGINE"/);
  t.match(stderr, /SIGKILL/);
  t.equal((await bootstrapped(t, options)).height, endHeight - 1);
});

t.test('Ctrl-C ends the job with code 7, and the next run goes on', async (t) => {
  const { options, endHeight } = await scene(t);
  const program = startBootstrap(t, options);
  await program.printed(/"event":"segment","index":0/);
  const { code, stdout } = await program.stop('SIGINT');
  t.equal(code, 7);
  t.match(stdout, /"code":"ERR_INTERRUPTED"/);
  t.equal((await bootstrapped(t, options)).height, endHeight - 1);
});

t.test('when the engine process dies while the job waits for pieces, the job ends at once', async (t) => {
  const { datadir } = await regtestChain(t);
  const folder = tempFolder(t);
  const catalogue = join(folder, 'catalogue.dat');
  await cliJson(t, ['catalogue', 'make', '--network', 'regtest', '--datadir', datadir, '--out', catalogue]);
  const program = startBootstrap(t, {
    network: 'regtest',
    datadir: join(folder, 'new'),
    catalogue,
    peers: [],
    stateDir: join(folder, 'state'),
  });
  await program.printed(/"event":"engine","height":0/);
  process.kill(engineOf(program.child.pid), 'SIGKILL');
  const { code, stdout } = await program.finished;
  t.equal(code, 1);
  t.match(stdout, /"event":"error".*"code":"ERR_ENGINE"/);
});
