/** `blockswarm get` fetches from plain HTTP servers (BEP 19): alone, beside libtorrent, and from servers that lie. */
import { readFileSync, readlinkSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { cli, cliJson } from '../helpers/cli.js';
import { bytes, type Content, oddTree, writeContent } from '../helpers/content-folder.js';
import { noLibtorrent, seedWithLibtorrent } from '../helpers/libtorrent.js';
import { tempFolder } from '../helpers/temp.js';
import { serveFolder, type WebServerOptions } from '../helpers/web-server.js';

const tree: Readonly<Record<string, Content>> = { ...oddTree, long: bytes(3_000_000, 6) };
const treeBytes = Object.values(tree).reduce(
  (sum, what) => sum + (what instanceof Uint8Array ? what.length : 0),
  0,
);
/**
 * Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500
 * -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1,DNS:localhost`.
 */
const vector = (name: string) => fileURLToPath(new URL(`../vectors/${name}`, import.meta.url));
const tls = {
  key: readFileSync(vector('loopback-key.pem'), 'utf8'),
  cert: readFileSync(vector('loopback-cert.pem'), 'utf8'),
};

interface Got {
  readonly content: string;
  readonly downloadedBytes: number;
  readonly peers: number;
  readonly webSeeds: number;
}

const alone = ['--no-dht', '--listen', '127.0.0.1:0'];

/** One file on a server, and its torrent. */
async function single(t: Test, lengthBytes: number, options: WebServerOptions = {}) {
  const folder = tempFolder(t);
  writeFileSync(join(folder, 'one file'), bytes(lengthBytes, 9));
  const torrent = join(folder, 'one.torrent');
  const server = await serveFolder(t, folder, options);
  await cliJson(t, [
    'torrent',
    'make',
    join(folder, 'one file'),
    '--v1',
    '--piece-length',
    '256KiB',
    '--out',
    torrent,
  ]);
  return { folder, torrent, server, url: `${server.url}one%20file`, out: join(folder, 'out') };
}

t.test('a web seed alone gives a folder in every version, each byte once', async (t) => {
  const folder = tempFolder(t);
  writeContent(join(folder, 'tree'), tree);
  for (const kind of ['v1', 'v2', 'hybrid']) {
    const server = await serveFolder(t, folder);
    const torrent = join(folder, `${kind}.torrent`);
    const make = [join(folder, 'tree'), `--${kind}`, '--piece-length', '64KiB', '--out', torrent];
    await cliJson(t, ['torrent', 'make', ...make, '--web-seed', server.url]);
    const out = join(folder, `out-${kind}`);
    const got = await cliJson<Got>(t, ['get', torrent, '--out', out, ...alone]);
    t.match(got, { downloadedBytes: Number, peers: 0, webSeeds: 1 }, kind);
    for (const [path, what] of Object.entries(tree)) {
      const location = join(out, 'tree', path);
      if (what instanceof Uint8Array) t.ok(readFileSync(location).equals(what), `${kind} ${path}`);
      else t.equal(readlinkSync(location), what.to, `${kind} ${path}`);
    }
    t.equal(server.sentBytes, treeBytes, `${kind}: every byte of content once, padding never`);
    t.notOk(server.requests.some(({ path }) => path.includes('.pad')));
  }
});

t.test('a single file comes over HTTPS, by its URL and by its folder, with credentials', async (t) => {
  const wanted = `Basic ${Buffer.from('us:er').toString('base64')}`;
  const { folder, torrent, server, url } = await single(t, 2_000_001, {
    tls,
    answer: (request, response) => {
      const refused = request.headers.authorization !== wanted;
      if (refused) response.writeHead(401).end();
      return refused;
    },
  });
  const env = { SSL_CERT_FILE: vector('loopback-cert.pem') };
  const get = (seed: string, out: string, more: string[] = []) => {
    return ['get', torrent, '--out', join(folder, out), ...alone, '--web-seed', seed, ...more];
  };
  const withPassword = (text: string) => text.replace('//', '//us:er@');
  for (const [out, seed] of Object.entries({ file: url, folder: server.url })) {
    await cliJson<Got>(t, get(withPassword(seed), out), { env });
    t.ok(readFileSync(join(folder, out, 'one file')).equals(bytes(2_000_001, 9)), out);
  }
  t.equal(server.sentBytes, 4_000_002);
  const refused = await cli(t, get(url.replace('//', '//us:secret@'), 'x', ['--timeout', '1']), { env });
  t.match(refused, { code: 4, stderr: /Web seed https:\/\/127\.0\.0\.1:\d+\/one%20file: http-401/ });
  t.notMatch(refused.stderr + refused.stdout, /secret/);
  const untrusted = await cli(t, get(withPassword(url), 'y', ['--timeout', '1']));
  t.match(untrusted, { code: 4, stderr: /: tls\./ });
});

t.test(
  'a web seed and libtorrent share the work, and hardly a byte comes twice',
  { skip: noLibtorrent },
  async (t) => {
    const lengthBytes = 48 * 2 ** 20;
    const { folder, torrent, server, url, out } = await single(t, lengthBytes, {
      // After its first answer it says nothing until libtorrent has given something as well.
      answer: async () => {
        while (server.requests.length > 1 && !peerHasGiven()) await delay(50);
        return false;
      },
    });
    const peerHasGiven = () =>
      (statSync(join(out, 'one file'), { throwIfNoEntry: false })?.blocks ?? 0) * 512 > 4 * 2 ** 20;
    const peer = await seedWithLibtorrent(t, folder, [torrent]);
    const more = ['--web-seed', url, '--peer', peer];
    const got = await cliJson<Got>(t, ['get', torrent, '--out', out, ...alone, ...more]);
    t.match(got, { peers: 1, webSeeds: 1 });
    t.ok(readFileSync(join(out, 'one file')).equals(bytes(lengthBytes, 9)));
    t.ok(got.downloadedBytes <= 1.01 * lengthBytes, `${got.downloadedBytes} of ${lengthBytes}`);
    t.ok(server.sentBytes < lengthBytes);
  },
);

t.test(
  'a web seed with wrong bytes is found out, and the rest comes from libtorrent',
  { skip: noLibtorrent },
  async (t) => {
    const lengthBytes = 8 * 2 ** 20;
    const { folder, torrent, url, out } = await single(t, lengthBytes, {
      answer: (request, response) => {
        const [, first = 0, last = 0] = /(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? [];
        const length = Number(last) - Number(first) + 1;
        const range = {
          'content-range': `bytes ${first}-${last}/${lengthBytes}`,
          'content-length': String(length),
        };
        response.writeHead(206, range).end(Buffer.alloc(length, 7));
        return true;
      },
    });
    const peer = await seedWithLibtorrent(t, folder, [torrent]);
    await cliJson<Got>(t, ['get', torrent, '--out', out, ...alone, '--web-seed', url, '--peer', peer]);
    t.ok(readFileSync(join(out, 'one file')).equals(bytes(lengthBytes, 9)));
  },
);

t.test('servers that break the rules are left, each with its reason', async (t) => {
  const whole = { 'content-range': 'bytes 0-299999/300000' };
  const hostile: Record<string, WebServerOptions['answer']> = {
    'http-404': (_, response) => response.writeHead(404).end() && true,
    'bad-range': (_, response) =>
      response.writeHead(206, { 'content-range': 'bytes 1-300000/300001' }).end() && true,
    encoded: (_, response) => response.writeHead(206, { ...whole, 'content-encoding': 'gzip' }).end() && true,
    'forbidden-address': (_, response) =>
      response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end() && true,
    'bad-redirect': (request, response) => response.writeHead(302, { location: request.url }).end() && true,
    'head-too-long': (_, response) => {
      response.socket?.write(`HTTP/1.1 206 OK\r\nx: ${'y'.repeat(2 ** 20)}`);
      return true;
    },
  };
  for (const [reason, answer] of Object.entries(hostile)) {
    const { torrent, url, out } = await single(t, 300_000, { ...(answer ? { answer } : {}) });
    const ended = await cli(t, ['get', torrent, '--out', out, ...alone, '--timeout', '1', '--web-seed', url]);
    t.equal(ended.code, 4, reason);
    t.match(ended.stderr, new RegExp(`Web seed ${url}: ${reason}`), reason);
  }
});

t.test("a torrent's web seeds are not asked when nobody wants that", async (t) => {
  const { folder, server, out } = await single(t, 100_000);
  const torrent = join(folder, 'named.torrent');
  const make = ['torrent', 'make', join(folder, 'one file'), '--out', torrent, '--web-seed', server.url];
  await cliJson(t, make);
  const ended = await cli(t, ['get', torrent, '--out', out, ...alone, '--timeout', '1', '--no-web-seeds']);
  t.equal(ended.code, 4);
  t.equal(server.requests.length, 0);
  const wrong = await cli(t, ['get', torrent, '--out', out, ...alone, '--web-seed', 'ftp://127.0.0.1/']);
  t.match(wrong, { code: 2, stderr: /not an http or https URL/ });
});
