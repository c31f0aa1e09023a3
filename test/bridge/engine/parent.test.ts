import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { EngineProcess } from '../../../src/bridge/engine/parent.js';
import { displayHash } from '../../../src/units.js';
import {
  enginePath,
  recordOffsets,
  samplePath,
  sampleRange,
  sampleTipHash,
  sampleTipHeight,
  startEngine,
  withoutSample,
} from '../../helpers/engine.js';
import { tempFolder } from '../../helpers/temp.js';

const skip = withoutSample();

/** Holds a POSIX lock on a file from a process of its own, as a node does, until its stdin ends. */
async function lockFromOutside(path: string) {
  closeSync(openSync(path, 'a'));
  const script =
    'import fcntl,sys\nf=open(sys.argv[1],"a")\nfcntl.lockf(f,fcntl.LOCK_EX)\nprint("held",flush=True)\nsys.stdin.read()';
  const holder = spawn('python3', ['-c', script, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  await once(holder.stdout, 'data');
  return async () => {
    holder.stdin.end();
    await once(holder, 'close');
  };
}

/** A copy of the sample's first blocks with one bit of one of them turned. */
function altered(folder: string, height: number, at: number, end: number) {
  const bytes = readFileSync(samplePath);
  const offsets = recordOffsets(bytes);
  const cut = Buffer.from(bytes.subarray(0, offsets[end]));
  const where = (offsets[height] ?? 0) + 8 + at;
  cut[where] = (cut[where] ?? 0) ^ 1;
  const path = join(folder, 'altered.dat');
  writeFileSync(path, cut);
  return { path, offsetBytes: 0, lengthBytes: cut.length, faultOffset: offsets[height] };
}

t.test('feeds the sample, and finds it again in another process', { skip }, async (t) => {
  const folder = tempFolder(t);
  const engine = await startEngine(folder);
  t.equal(engine.tip.height, 0);
  const fed = await engine.feed(sampleRange(0, sampleTipHeight + 1));
  t.equal(fed.blocks, sampleTipHeight + 1);
  t.equal(fed.bytes, readFileSync(samplePath).length);
  t.equal(fed.rejected, null);
  t.equal(fed.tip.height, sampleTipHeight);
  t.equal(fed.tip.assumedValidHeight, null);
  t.equal(displayHash(fed.tip.hash), sampleTipHash);
  t.ok(await engine.knows(fed.tip.hash));
  t.notOk(await engine.knows(new Uint8Array(32)));
  await engine.close();
  await engine.close();
  t.same(await engine.exited, { code: 0, signal: null });

  const again = await startEngine(folder);
  t.same(again.tip, fed.tip);
  await again[Symbol.asyncDispose]();
});

t.test('keeps what was fed before a checkpoint when the child is killed', { skip }, async (t) => {
  const folder = tempFolder(t);
  const engine = await startEngine(folder);
  await engine.feed(sampleRange(0, 2017));
  t.equal((await engine.checkpoint()).height, 2016);
  await engine.feed(sampleRange(2017, 4001));
  const lost = engine.feed(sampleRange(4001, sampleTipHeight + 1));
  process.kill(engine.pid ?? 0, 'SIGKILL');
  await t.rejects(lost, { code: 'ERR_ENGINE', message: /SIGKILL/ });
  t.same(await engine.exited, { code: null, signal: 'SIGKILL' });
  await t.rejects(engine.checkpoint(), { code: 'ERR_ENGINE' });
  await engine.close();

  const next = await startEngine(folder);
  t.ok(next.tip.height >= 2016, `at ${next.tip.height}`);
  const fed = await next.feed(sampleRange(0, sampleTipHeight + 1));
  t.equal(fed.rejected, null);
  t.equal(displayHash(fed.tip.hash), sampleTipHash);
  await next.close();
});

t.test(
  'names the reason when Core refuses a block, and takes the right one after it',
  { skip },
  async (t) => {
    const folder = tempFolder(t);
    const engine = await startEngine(join(folder, 'datadir'));
    // A bit of the coinbase's script.
    const { faultOffset, ...range } = altered(folder, 300, 130, 400);
    const { rejected, tip, blocks } = await engine.feed(range);
    t.equal(tip.height, 299);
    t.equal(blocks, 300);
    t.equal(rejected?.kind, 'mutated');
    t.match(rejected?.reason, /^bad-txnmrklroot/);
    t.equal(rejected?.offsetBytes, faultOffset);
    t.equal((await engine.feed(sampleRange(300, 400))).tip.height, 399);
    await engine.close();
  },
);

t.test('keeps two feeds on their way and the others in line', { skip }, async (t) => {
  const engine = await startEngine(tempFolder(t));
  const feeds = Array.from({ length: 8 }, (_, n) => engine.feed(sampleRange(n * 100, (n + 1) * 100)));
  const tips = (await Promise.all(feeds)).map(({ tip }) => tip.height);
  t.same(tips, [99, 199, 299, 399, 499, 599, 699, 799]);
  await engine.close();
});

t.test('stops a feed between blocks when its signal fires', { skip }, async (t) => {
  const engine = await startEngine(tempFolder(t));
  const stop = new AbortController();
  const first = engine.feed(sampleRange(0, sampleTipHeight + 1), { signal: stop.signal });
  const second = engine.feed(sampleRange(0, sampleTipHeight + 1), { signal: stop.signal });
  const third = engine.feed(sampleRange(0, sampleTipHeight + 1), { signal: stop.signal });
  stop.abort(new Error('enough'));
  await t.rejects(first, { message: 'enough' });
  await t.rejects(second, { message: 'enough' });
  await t.rejects(third, { message: 'enough' });
  await t.rejects(engine.feed(sampleRange(0, 1), { signal: stop.signal }), { message: 'enough' });
  const { tip } = await engine.feed(sampleRange(0, 2));
  t.ok(tip.height < sampleTipHeight, `at ${tip.height}`);
  await engine.close();
});

t.test('refuses a folder that another process has locked', { skip }, async (t) => {
  const folder = tempFolder(t);
  mkdirSync(join(folder, 'blocks'));
  for (const path of [join(folder, '.lock'), join(folder, 'blocks', '.lock')]) {
    const release = await lockFromOutside(path);
    await t.rejects(startEngine(folder), { code: 'ERR_DATADIR_LOCKED' });
    await release();
  }
  const engine = await startEngine(folder);
  await t.rejects(startEngine(folder), { code: 'ERR_DATADIR_LOCKED' });
  await engine.close();
});

t.test('says what is wrong with a folder, a network, a range or the program', { skip }, async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'file'), '');
  await t.rejects(startEngine(join(folder, 'file')), { code: 'ERR_IO' });
  await t.rejects(startEngine(folder, { network: 'nonet' }), { code: 'ERR_NETWORK_UNKNOWN' });
  const stop = new AbortController();
  stop.abort(new Error('never mind'));
  await t.rejects(startEngine(folder, { signal: stop.signal }), { message: 'never mind' });
  const late = new AbortController();
  const starting = startEngine(folder, { signal: late.signal });
  late.abort(new Error('too late'));
  await t.rejects(starting, { message: 'too late' });

  const engine = await startEngine(folder);
  await t.rejects(engine.feed({ path: join(folder, 'none'), offsetBytes: 0, lengthBytes: 1 }), {
    code: 'ERR_IO',
  });
  await t.rejects(engine.feed({ ...sampleRange(0, 2), offsetBytes: 1 }), {
    code: 'ERR_IO',
    message: /magic/,
  });
  t.equal((await engine.feed(sampleRange(0, 2))).tip.height, 1);
  await engine.close();

  const program = join(folder, 'broken.mjs');
  const broken = (source: string) => {
    writeFileSync(program, source);
    return EngineProcess.start({ datadirNet: folder, network: 'mainnet', childPath: program, execArgv: [] });
  };
  await t.rejects(broken('console.error("assertion failed: tip"); process.abort()'), {
    code: 'ERR_ENGINE',
    message: /SIGABRT.*assertion failed: tip/s,
  });
  await t.rejects(broken('process.on("message", () => process.send({ kind: "tip", id: 1 }))'), {
    code: 'ERR_ENGINE',
    message: /malformed/,
  });
});

t.test('the child flushes and ends when its parent is killed', { skip }, async (t) => {
  const folder = tempFolder(t);
  const program = fileURLToPath(new URL('../../helpers/engine-parent.ts', import.meta.url));
  const parent = spawn(process.execPath, [...process.execArgv, program, folder, enginePath()], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface(parent.stdout)[Symbol.asyncIterator]();
  const childPid = Number((await lines.next()).value);
  parent.kill('SIGKILL');
  await once(parent, 'close');
  // The lock is free once the child has flushed: opening waits for nothing else.
  for (;;) {
    const engine = await startEngine(folder).catch((error) => {
      if (error.code !== 'ERR_DATADIR_LOCKED') throw error;
      return null;
    });
    if (!engine) continue;
    t.ok(engine.tip.height > 0, `flushed at ${engine.tip.height}`);
    await engine.close();
    break;
  }
  // Between the flush and its end lies a moment.
  for (;;) {
    try {
      process.kill(childPid, 0);
      await delay(10);
    } catch (error) {
      t.match(error, { code: 'ESRCH' });
      break;
    }
  }
});
