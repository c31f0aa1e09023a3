import { fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { enginePath, sampleRange, startEngine, withoutSample } from '../../helpers/engine.js';
import { tempFolder } from '../../helpers/temp.js';

const skip = withoutSample();

t.test('does nothing when started by hand', async (t) => {
  const { status, stderr } = spawnSync(process.execPath, [...process.execArgv, enginePath()], {
    encoding: 'utf8',
  });
  t.equal(status, 2);
  t.match(stderr, /started by blockswarm/);
});

t.test('leaves Ctrl-C to its parent, and flushes when it is told to end', { skip }, async (t) => {
  const folder = tempFolder(t);
  const engine = await startEngine(folder);
  await engine.feed(sampleRange(0, 100));
  process.kill(engine.pid ?? 0, 'SIGINT');
  t.equal((await engine.feed(sampleRange(100, 200))).tip.height, 199);
  process.kill(engine.pid ?? 0, 'SIGTERM');
  t.same(await engine.exited, { code: 0, signal: null });
  await t.rejects(engine.feed(sampleRange(200, 300)), { code: 'ERR_ENGINE' });
  const next = await startEngine(folder);
  t.equal(next.tip.height, 199);
  await next.close();
});

t.test('answers what it cannot do, and ends at what is no request', { skip }, async (t) => {
  const child = fork(enginePath(), [], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  let said = '';
  child.stderr?.on('data', (text) => {
    said += text;
  });
  const ask = async (message: object) => {
    child.send(message);
    return (await once(child, 'message'))[0];
  };
  for (const kind of ['checkpoint', 'knows']) {
    const message = { kind, id: 1, ...(kind === 'knows' ? { hash: 'ab'.repeat(32) } : {}) };
    t.match(await ask(message), { kind: 'error', id: 1, code: 'ERR_ENGINE', message: /not open/ });
  }
  const open = { kind: 'open', id: 2, datadirNet: tempFolder(t), network: 'mainnet', workerThreads: 0 };
  t.match(await ask(open), { kind: 'tip', id: 2, tip: { height: 0 } });
  t.match(await ask({ ...open, id: 3 }), { kind: 'error', id: 3, message: /open already/ });
  child.send({ kind: 'feed', id: 4 });
  const [code] = await once(child, 'close');
  t.equal(code, 0);
  t.match(said, /not a request/);
});
