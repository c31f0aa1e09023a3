/** Short answers over HTTP: what a server may make us hold, wait for or ask for is bounded. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { type HttpGetOptions, Reactor } from '../../src/native.js';
import { tempFolder } from '../helpers/temp.js';
import { serveFolder } from '../helpers/web-server.js';

const sizes = {
  connector: { kind: 'direct' as const },
  networkThreads: 1,
  workerThreads: 1,
  assemblyBytes: 2 ** 20,
  links: 8,
  halfOpenLinks: 8,
};
const options: HttpGetOptions = {
  maxBytes: 1000,
  timeoutMs: 10_000,
  reach: { asked: true, loopback: false },
};

function reactor(t: Test): Reactor {
  const made: Reactor = new Reactor(sizes, () => made.drain());
  t.teardown(() => made.shutdown());
  return made;
}

async function server(t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const { url } = await serveFolder(t, tempFolder(t), {
    answer: (request, response) => {
      answer(request, response);
      return true;
    },
  });
  return url;
}

t.test('an answer comes whole, with its status, type and origin', async (t) => {
  const url = await server(t, (_, response) => {
    response.writeHead(404, { 'content-type': 'text/plain', 'retry-after': '3' }).end('gone');
  });
  const got = await reactor(t).httpGet(`${url}x`, options);
  if (got.failure !== null) return t.fail(got.failure);
  t.match(got, { status: 404, contentType: 'text/plain', finalUrl: `${url}x`, retryAfterMs: 3000 });
  t.equal(got.remoteAddress.host, '127.0.0.1');
  t.equal(Buffer.from(got.body).toString(), 'gone');
});

t.test('what is compressed is unpacked, and a bomb is not', async (t) => {
  const bomb = gzipSync(Buffer.alloc(600_000));
  t.ok(bomb.length < options.maxBytes);
  const bodies: Record<string, Buffer> = {
    '/good': gzipSync('hello'),
    '/bomb': bomb,
    '/broken': gzipSync('hello').subarray(0, 12),
    '/plain': Buffer.from('not gzip at all'),
  };
  const url = await server(t, ({ url }, response) => {
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(bodies[url ?? '']);
  });
  const from = reactor(t);
  const good = await from.httpGet(`${url}good`, options);
  t.equal(good.failure === null && Buffer.from(good.body).toString(), 'hello');
  t.match(await from.httpGet(`${url}bomb`, options), { failure: 'long-body' });
  t.match(await from.httpGet(`${url}broken`, options), { failure: 'encoded' });
  t.match(await from.httpGet(`${url}plain`, options), { failure: 'encoded' });
});

t.test('what is no URL, leads home, or is not there is a result', async (t) => {
  const from = reactor(t);
  const url = await server(t, (_, response) => void response.end());
  const learnt = { ...options, reach: { asked: false, loopback: false } };
  for (const [where, failure, how] of [
    ['ftp://127.0.0.1/', 'bad-url', options],
    ['nonsense', 'bad-url', options],
    [url, 'forbidden-address', learnt],
    [`${url}?query`, 'forbidden-address', options],
  ] as const) {
    t.match(await from.httpGet(where, how), { failure }, where);
  }
});

t.test('as many are on their way as may be, and a signal or the end of the reactor ends them', async (t) => {
  const url = await server(t, () => {});
  const from = reactor(t);
  const stop = new AbortController();
  const stopped = from.httpGet(`${url}stopped`, options, stop.signal);
  const waiting = from.httpGet(`${url}waiting`, options);
  const others = Array.from({ length: 64 }, () => from.httpGet(`${url}other`, options));
  const refused = await Promise.race(others.slice(-2));
  t.match(refused, { failure: 'busy' });
  stop.abort(new Error('enough'));
  await t.rejects(stopped, { message: 'enough' });
  await t.rejects(from.httpGet(url, options, stop.signal), { message: 'enough' });
  await from.shutdown();
  t.match(await waiting, { failure: 'shutdown' });
});
