/** What one run leaves to the next: nothing is hashed twice that has not changed, nothing is had that is not there. */
import { closeSync, cpSync, openSync, readdirSync, statSync, utimesSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PIECE_LENGTH_BYTES } from '../../src/metainfo/hybrid.js';
import { ResumeDb, Store } from '../../src/native.js';
import { resumeKey, scrub } from '../../src/node/resume.js';
import { type SegmentTorrents, Source } from '../../src/node/source.js';
import { regtestBlocksFile, regtestChain } from '../helpers/regtest-chain.js';
import { tempFolder } from '../helpers/temp.js';

const { signal } = new AbortController();
const report = { progress: () => {}, warn: () => {}, event: () => {} };

/** Changes one byte and nothing that the file system would tell. */
function rot(path: string, offset: number): void {
  const { atime, mtime } = statSync(path);
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.from([0x55]), 0, 1, offset);
  closeSync(file);
  utimesSync(path, atime, mtime);
}

/** A copy of the regtest chain whose files have been quiet for a minute. */
async function quietChain(t: Test): Promise<{ datadir: string; blocksDir: string; files: string[] }> {
  const datadir = join(tempFolder(t), 'datadir');
  cpSync((await regtestChain(t)).datadir, datadir, { recursive: true });
  const blocksDir = join(datadir, 'regtest/blocks');
  const files = readdirSync(blocksDir).filter((name) => /^(blk|rev)/.test(name));
  const minuteAgo = new Date(Math.floor(Date.now() / 1000 - 60) * 1000);
  for (const name of files) utimesSync(join(blocksDir, name), minuteAgo, minuteAgo);
  return { datadir, blocksDir, files: files.map((name) => join(blocksDir, name)) };
}

async function segments(datadir: string, resumeDb: ResumeDb): Promise<SegmentTorrents[]> {
  const source = await Source.open({ datadir, network: 'regtest' }, signal);
  return source.segments({ signal, report, resumeDb });
}

const remembered = (all: readonly SegmentTorrents[]) =>
  all.flatMap(({ blocks, spent }) => [blocks.isRemembered, spent?.isRemembered]);
const infoHashes = (all: readonly SegmentTorrents[]) =>
  all.flatMap(({ blocks, spent }) => [blocks.infoHashV2, spent?.infoHashV2]);

t.test('segments are hashed once, and again when their files change', async (t) => {
  const { datadir, files } = await quietChain(t);
  const resumeDb = await ResumeDb.open(join(tempFolder(t), 'resume.redb'));
  const first = await segments(datadir, resumeDb);
  t.notOk(remembered(first).includes(true));
  const second = await segments(datadir, resumeDb);
  t.notOk(remembered(second).includes(false));
  t.strictSame(infoHashes(second), infoHashes(first));
  const blockFile = files.find((path) => path.endsWith('blk00000.dat')) ?? '';
  utimesSync(blockFile, new Date(), new Date());
  const third = await segments(datadir, resumeDb);
  t.strictSame(
    third.map(({ blocks, spent }) => [blocks.isRemembered, spent?.isRemembered]),
    third.map(() => [false, true]),
    'only what lies in the file that was touched',
  );
  t.strictSame(resumeDb.warnings(), []);
});

t.test('bytes that rot under a file that looks the same are found by the second look', async (t) => {
  const { datadir, files } = await quietChain(t);
  const resumeDb = await ResumeDb.open(join(tempFolder(t), 'resume.redb'));
  await segments(datadir, resumeDb);
  rot(files.find((path) => path.endsWith('blk00000.dat')) ?? '', 1_000_000);
  const [segment] = await segments(datadir, resumeDb);
  const torrent = segment?.blocks;
  if (!torrent) throw new Error('no segment');
  t.ok(torrent.isRemembered);
  const store = Store.overExtents(torrent, torrent.extents);
  store.setServableAll();
  t.equal((await scrub(store, torrent, store.servable(), signal)).length, 1);
  t.equal(store.servableCount(), torrent.pieceCount - 1, 'it is served no more');
});

t.test('a store goes on where it was saved, and hashes what was not', async (t) => {
  const chain = await regtestChain(t);
  const { datadir } = chain;
  const folder = tempFolder(t);
  const resumeDb = await ResumeDb.open(join(folder, 'resume.redb'));
  const [segment] = await segments(datadir, resumeDb);
  const torrent = segment?.blocks;
  if (!torrent) throw new Error('no segment');
  const path = join(folder, 'scratch');
  const key = resumeKey(torrent, path);
  const bytes = regtestBlocksFile(chain, 0);
  const first = Store.openScratch(torrent, path);
  t.strictSame((await first.resume(resumeDb, key)).toCheck, [[0, torrent.pieceCount]]);
  const file = openSync(path, 'r+');
  writeSync(file, bytes, 0, PIECE_LENGTH_BYTES, 0);
  t.equal(await first.verify(0, torrent.pieceCount), 1);
  await first.save(resumeDb, key, true);
  // Written, and never recorded.
  writeSync(file, bytes, PIECE_LENGTH_BYTES, bytes.length - PIECE_LENGTH_BYTES, PIECE_LENGTH_BYTES);
  closeSync(file);
  const second = Store.openScratch(torrent, path);
  const { trusted, toCheck, crashed } = await second.resume(resumeDb, key);
  t.ok(crashed);
  t.strictSame([trusted[0], toCheck, second.servableCount()], [0x80, [[1, torrent.pieceCount]], 1]);
  t.equal(await second.verify(1, torrent.pieceCount), torrent.pieceCount - 1);
  await second.save(resumeDb, key, false);
  const third = await Store.openScratch(torrent, path).resume(resumeDb, key);
  t.strictSame([third.toCheck, third.crashed, third.changedFiles], [[], false, 0]);
  await resumeDb.forget(key);
  const fourth = await Store.openScratch(torrent, path).resume(resumeDb, key);
  t.strictSame(fourth.toCheck, [[0, torrent.pieceCount]]);
});

t.test('a key that is not 32 bytes is refused', async (t) => {
  const resumeDb = await ResumeDb.open(join(tempFolder(t), 'resume.redb'));
  await t.rejects(resumeDb.forget(new Uint8Array(31)), { code: 'ERR_NATIVE' });
});
