/** Trackers that want to harm: through the sockets themselves, on loopback. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { gzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { encode } from '../../src/bencode.js';
import { DialPolicy } from '../../src/connector.js';
import { HttpTracker } from '../../src/discovery/trackers/http-tracker.js';
import { Reactor } from '../../src/native.js';
import { ipVersions, trackerNetwork } from '../../src/node/tracker-network.js';
import { tempFolder } from '../helpers/temp.js';
import { serveFolder } from '../helpers/web-server.js';

const sizes = { networkThreads: 1, workerThreads: 1, assemblyBytes: 2 ** 20, links: 8, halfOpenLinks: 8 };
const privacy = { udp: true, names: 'dns' as const };
const announce = {
  name: 'n'.repeat(20),
  peerId: Buffer.alloc(20, 'p'),
  ...{ key: 1, port: 1, uploadedBytes: 0, downloadedBytes: 0, leftBytes: 0, numWant: 50 },
  event: null,
  trackerId: null,
};
const good = encode(
  new Map<string, number | string>([
    ['interval', 1800],
    ['peers', ''],
  ]),
);

function client(t: Test, listening: string) {
  const reactor: Reactor = new Reactor({ connector: { kind: 'direct' }, ...sizes }, () => reactor.drain());
  t.teardown(() => reactor.shutdown());
  const address = { host: listening, port: 6881 };
  const dialPolicy = new DialPolicy({ listening: address });
  const http = new HttpTracker(trackerNetwork({ reactor, dialPolicy, address, privacy }));
  const { signal } = new AbortController();
  return (url: string, asked = false) =>
    http.announce({ url, asked, group: announce.name }, announce, 4, signal);
}

async function server(
  t: Test,
  answer: (path: string, response: ServerResponse, request: IncomingMessage) => void,
) {
  return serveFolder(t, tempFolder(t), {
    answer: (request, response) => {
      answer((request.url ?? '').split('?')[0] ?? '', response, request);
      return true;
    },
  });
}

t.test(
  'answers that are HTML, gigantic, bombs or go round in circles are failures of the tracker',
  async (t) => {
    const { url, requests } = await server(t, (path, response) => {
      if (path === '/announce') response.end(good);
      else if (path === '/announce/html')
        response.setHeader('content-type', 'text/html').end('<html>hello</html>');
      else if (path === '/announce/long') response.end(Buffer.alloc(10 * 2 ** 20));
      else if (path === '/announce/bomb')
        response.setHeader('content-encoding', 'gzip').end(gzipSync(Buffer.alloc(100 * 2 ** 20)));
      else if (path === '/announce/gzip') response.setHeader('content-encoding', 'gzip').end(gzipSync(good));
      else if (path === '/announce/circle') response.writeHead(302, { location: '/announce/circle' }).end();
      else if (path === '/announce/moved') response.writeHead(302, { location: '/announce' }).end();
      else if (path === '/announce/home') response.writeHead(302, { location: '/admin?x' }).end();
      else if (path === '/announce/lan')
        response.writeHead(302, { location: 'http://10.0.0.1/announce' }).end();
      else if (path === '/announce/busy') response.writeHead(503, { 'retry-after': '100' }).end('busy');
      else response.writeHead(404).end();
    });
    const ask = client(t, '127.0.0.1');
    const of = async (path: string) => ask(`${url}announce${path}`);
    t.match(await of(''), { failure: null });
    t.match(await of('/gzip'), { failure: null });
    t.match(await of('/moved'), { failure: null });
    t.match(await of('/html'), { failure: 'the answer is not that of a tracker', of: 'tracker' });
    t.match(await of('/long'), { failure: 'long-body', of: 'tracker' });
    t.match(await of('/bomb'), { failure: 'long-body', of: 'tracker' });
    t.match(await of('/home'), { failure: 'forbidden-address', of: 'tracker' });
    t.match(await of('/lan'), { failure: 'forbidden-address', of: 'tracker' });
    t.match(await of('/busy'), { of: 'host', retryMs: 100_000 });
    t.match(await of('/gone'), { failure: 'HTTP status 404', of: 'tracker' });
    const before = requests.length;
    t.match(await of('/circle'), { failure: 'bad-redirect', of: 'tracker' });
    t.ok(requests.length - before <= 6);
  },
);

t.test(
  'a torrent leads to trackers of our own machine only when we listen there, and only to trackers',
  async (t) => {
    const { url, requests } = await server(t, (_, response) => void response.end(good));
    const outside = client(t, '0.0.0.0');
    t.match(await outside(`${url}announce`), { failure: 'forbidden-address' });
    t.match(await outside(`${url}announce`, true), { failure: null }, 'the user named it');
    const inside = client(t, '127.0.0.1');
    t.match(await inside(`${url}admin`), { failure: 'forbidden-address' });
    t.match(
      await inside('http://tracker.example/announce'),
      { failure: 'forbidden-address' },
      'no name is looked up',
    );
    t.same(
      requests.map(({ path }) => path),
      ['/announce'],
    );
  },
);

t.test('trackers are told of us over the families that we listen on', async (t) => {
  t.same(ipVersions({ host: '0.0.0.0', port: 1 }), [4]);
  t.same(ipVersions({ host: '::', port: 1 }), [4, 6]);
  t.same(ipVersions({ host: '::1', port: 1 }), [6]);
});
