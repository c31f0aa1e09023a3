/** What a node says of itself is heard through RPC, REST and ZMQ; secrets stay where they are. */
import { randomBytes } from 'node:crypto';
import { EventEmitter, once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { type AskHttp, CoreRest, CoreRpc } from '../../src/bridge/core-rpc.js';
import { privacyOf } from '../../src/connector/privacy.js';
import type { HttpResult } from '../../src/native.js';
import { type HintSource, hintSources, NodeHints, type NodeHintsChoice } from '../../src/node/node-hints.js';
import { PeerNode } from '../../src/node/peer-node.js';
import { startBitcoind, withoutBitcoind, withoutZmqBitcoind } from '../helpers/bitcoind.js';
import { freePort } from '../helpers/free-port.js';
import { tempFolder } from '../helpers/temp.js';
import { hashBlock, ZmtpPublisher } from '../helpers/zmtp-publisher.js';

const { signal } = new AbortController();
const where = { datadir: '/nowhere', network: 'regtest' };
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Answers as a server does, and keeps what it was asked. */
function server(answers: readonly Partial<HttpResult & { status: number; body: string }>[]) {
  const asked: { url: string; post: string | undefined }[] = [];
  const ask: AskHttp = async (url, { post }) => {
    const { body = '', ...rest } = answers[asked.length] ?? { failure: 'refused' };
    asked.push({ url, post });
    const whole = { failure: null, status: 200, retryAfterMs: null, contentType: null, finalUrl: url };
    const remoteAddress = { host: '127.0.0.1', port: 1 };
    return { ...whole, remoteAddress, ...rest, body: Buffer.from(String(body)) } as unknown as HttpResult;
  };
  return { ask, asked };
}

const info = (bestblockhash: string, initialblockdownload: boolean) =>
  JSON.stringify({ result: { bestblockhash, initialblockdownload }, error: null });

t.test('RPC is asked with the login, which no failure names', async (t) => {
  const folder = tempFolder(t);
  const cookiePath = join(folder, '.cookie');
  const rpc = (ask: AskHttp) => new CoreRpc(ask, '127.0.0.1:8332', { cookiePath });
  const { ask, asked } = server([
    { body: info('aa', true) },
    { status: 401 },
    { status: 500, body: JSON.stringify({ result: null, error: { code: -28, message: 'Loading…' } }) },
    { body: 'no JSON' },
    { body: '{"result":{"bestblockhash":7}}' },
    { body: '[]' },
    { failure: 'refused' },
  ]);
  t.match(await rpc(ask).view(signal), { failure: /no cookie at .*ENOENT/ });
  writeFileSync(cookiePath, '__cookie__:s3cr:et\n');
  t.same(await rpc(ask).view(signal), { tipHash: 'aa', isInitialBlockDownload: true });
  t.same(asked[0]?.url, 'http://__cookie__:s3cr%3Aet@127.0.0.1:8332/');
  t.match(JSON.parse(asked[0]?.post ?? ''), { method: 'getblockchaininfo', params: [] });
  const failures = [];
  for (let n = 1; n < 7; n++) failures.push(await rpc(ask).view(signal));
  t.match(failures, [
    { failure: 'the login is wrong', isRefused: true },
    { failure: 'Loading…', isRefused: true },
    { failure: /not a node's/, isRefused: false },
    { failure: /not a node's/ },
    { failure: /not a node's/ },
    { failure: 'refused', isRefused: false },
  ]);
  t.notMatch(JSON.stringify(failures), /s3cr/);
});

t.test('REST is asked without a login', async (t) => {
  const { ask, asked } = server([
    { body: '{"bestblockhash":"bb","initialblockdownload":false}' },
    { status: 404 },
  ]);
  const rest = new CoreRest(ask, '[::1]:8332');
  t.same(await rest.view(signal), { tipHash: 'bb', isInitialBlockDownload: false });
  t.same(asked, [{ url: 'http://[::1]:8332/rest/chaininfo.json', post: undefined }]);
  t.match(await rest.view(signal), { failure: 'status 404', isRefused: true });
});

t.test('a new tip is a hint; a failure is said once, and makes the rest unknown', async (t) => {
  const stop = new AbortController();
  const views = [
    { tipHash: 'aa', isInitialBlockDownload: true },
    { failure: 'refused', isRefused: false },
  ];
  const source: HintSource = {
    name: 'a node',
    view: async () => views.shift() ?? { failure: 'refused', isRefused: false },
    waitForBlock: async () => ({ tipHash: 'bb' }),
  };
  let heard = 0;
  const warnings: string[] = [];
  const hints = new NodeHints({
    sources: [source],
    heard: () => heard++,
    report: { warn: (text) => warnings.push(text) },
  });
  t.equal(hints.isInitialBlockDownload, null);
  const running = hints.run(stop.signal);
  while (heard < 2) await turn();
  t.equal(hints.isInitialBlockDownload, true);
  while (warnings.length === 0) await turn();
  t.same(warnings, ['no hints from a node: refused']);
  t.equal(hints.isInitialBlockDownload, null);
  stop.abort();
  await running;
});

t.test('who tells unasked is listened to again; one outage is said once', async (t) => {
  const stop = new AbortController();
  let nowMs = 0;
  const refused = () => 'refused';
  const closedAfter = (ms: number) => (heard: () => void) => {
    heard();
    heard();
    nowMs += ms;
    return 'closed';
  };
  const tries = [refused, refused, closedAfter(1), refused, closedAfter(0), closedAfter(0)];
  let heard = 0;
  const warnings: string[] = [];
  const hints = new NodeHints({
    sources: [
      {
        name: 'a node',
        listen: async (heard) => {
          const next = tries.shift();
          if (!next) stop.abort();
          return { failure: next?.(heard) ?? 'ended', isRefused: false };
        },
      },
    ],
    heard: () => heard++,
    report: { warn: (text) => warnings.push(text) },
    againMs: 1,
    clock: () => nowMs,
  });
  await hints.run(stop.signal);
  t.equal(heard, 6);
  t.equal(hints.isInitialBlockDownload, null, 'of which it says nothing');
  t.same(warnings, [
    'no hints from a node: refused',
    'no hints from a node: refused',
    'no hints from a node: closed',
  ]);
});

t.test('a node that publishes its blocks is heard, also when it has started again', async (t: Test) => {
  const publisher = new ZmtpPublisher(t);
  await publisher.start();
  let tell = () => {};
  publisher.subscribed = (socket) => {
    tell = () => socket.write(hashBlock());
  };
  const sources = hintSources({ ...where, zmq: `tcp://${publisher.address}` })(server([]).ask);
  t.match(sources, [{ name: `the node's ZMQ at ${publisher.address}` }]);
  const hints = new EventEmitter();
  const warnings: string[] = [];
  let nowMs = 0;
  const nodeHints = new NodeHints({
    sources,
    heard: () => hints.emit('heard'),
    report: { warn: (text) => warnings.push(text) },
    againMs: 10,
    clock: () => (nowMs += 10),
  });
  const stop = new AbortController();
  const running = nodeHints.run(stop.signal);
  for (const isFirst of [true, false]) {
    if (!isFirst) await publisher.start();
    await once(hints, 'heard');
    await publisher.until(() => publisher.subscriptions.length === (isFirst ? 1 : 2));
    const told = once(hints, 'heard');
    tell();
    await told;
    await publisher.stop();
  }
  stop.abort();
  await running;
  const refused = `no hints from the node's ZMQ at ${publisher.address}: refused`;
  t.ok(warnings.length <= 2 && warnings.every((text) => text === refused), `${warnings}`);
});

t.test('options that do not go together are refused, and secrets are not shown', async (t) => {
  for (const choice of [
    { rpcUser: 'a', rpcPasswordFile: 'b' },
    { rpcCookie: 'a' },
    { rpc: '127.0.0.1:1', rpcUser: 'a' },
    { rpc: '127.0.0.1:1', rpcUser: 'a', rpcPasswordFile: 'b', rpcCookie: 'c' },
    { rpc: '127.0.0.1:1', privacy: 'tor' },
    { rpc: 'user:s3cret@127.0.0.1:1' },
    { rest: 'http://127.0.0.1:1/' },
    { zmq: 'ipc:///tmp/node' },
    { zmq: 'tcp://127.0.0.1' },
    { zmq: '127.0.0.1:99999' },
    { zmq: 'tcp://a:s3cret@127.0.0.1:1' },
    { zmq: '127.0.0.1:1', privacy: 'i2p' },
  ] as readonly (NodeHintsChoice & { privacy?: string })[]) {
    try {
      hintSources({ ...where, ...choice });
      t.fail(JSON.stringify(choice));
    } catch (error) {
      t.match(error, { code: 'ERR_USAGE' });
      t.notMatch(String(error), /s3cret/);
    }
  }
  t.same(hintSources(where)(server([]).ask), []);
});

t.test(
  'a real node tells of its blocks and of its first sync',
  { skip: withoutBitcoind() },
  async (t: Test) => {
    const datadir = tempFolder(t);
    const node = await startBitcoind({ datadir, network: 'regtest', args: ['-rest=1'] });
    t.teardown(() => node.stop());
    const privacy = privacyOf({ listen: '127.0.0.1:0' }, randomBytes);
    const peerNode = new PeerNode({ addressLists: null, privacy, peers: [], dht: null });
    t.teardown(() => peerNode.close());
    for (const by of [{ rpc: node.rpcAddress }, { rest: node.rpcAddress }]) {
      const sources = hintSources({ datadir, network: 'regtest', ...by });
      let wake = () => {};
      const heard = () => new Promise<void>((resolve) => (wake = resolve));
      const hints = new NodeHints({
        sources: sources((url, options, signal) => peerNode.httpGet(url, options, signal)),
        heard: () => wake(),
        report: { warn: (text) => t.fail(text) },
      });
      const stop = new AbortController();
      const first = heard();
      const running = hints.run(stop.signal);
      await first;
      t.equal(hints.isInitialBlockDownload, 'rpc' in by, 'until a block is new enough');
      const next = heard();
      await node.rpc('generatetodescriptor', [1, 'raw(51)']);
      await next;
      while (hints.isInitialBlockDownload) await turn();
      t.pass('a block is heard of');
      stop.abort();
      await running;
    }
  },
);

t.test('a real node publishes its blocks', { skip: withoutZmqBitcoind() }, async (t: Test) => {
  const datadir = tempFolder(t);
  const zmq = `tcp://127.0.0.1:${await freePort()}`;
  const start = () => startBitcoind({ datadir, network: 'regtest', args: [`-zmqpubhashblock=${zmq}`] });
  const hints = new EventEmitter();
  const nodeHints = new NodeHints({
    sources: hintSources({ ...where, zmq })(server([]).ask),
    heard: () => hints.emit('heard'),
    report: { warn: (text) => t.match(text, /the node's ZMQ at .*: (refused|the connection was closed)$/) },
    againMs: 50,
  });
  const stop = new AbortController();
  let listens = once(hints, 'heard');
  const running = nodeHints.run(stop.signal);
  for (let run = 0; run < 2; run++) {
    const node = await start();
    t.teardown(() => node.stop());
    await listens;
    // Nothing is said of the first one, which ends the initial block download.
    if (run === 0) await node.rpc('generatetodescriptor', [1, 'raw(51)']);
    for (let blocks = 0; blocks < 5; blocks++) {
      const heard = once(hints, 'heard');
      await node.rpc('generatetodescriptor', [1, 'raw(51)']);
      await heard;
    }
    listens = once(hints, 'heard');
    await node.stop();
  }
  stop.abort();
  await running;
});
