import { randomBytes } from 'node:crypto';
import t from 'tap';
import { type PrivacyOptions, privacyOf } from '../../src/connector/privacy.js';
import { dhtNodes, resolveAll } from '../../src/node/addresses.js';

const { signal } = new AbortController();
const warnings: string[] = [];
const report = { progress: () => {}, warn: (text: string) => warnings.push(text), event: () => {} };

const privacy = (options: PrivacyOptions) => privacyOf(options, randomBytes);
const open = (listen: string) => privacy({ listen });
const proxied = privacy({ privacy: 'proxy', proxy: 'socks5://127.0.0.1:1' });
const tor = privacy({ privacy: 'tor' });

t.test('without the DHT there are no nodes, and named ones are taken as they are', async (t) => {
  const dhtBootstrap = ['127.0.0.1:1234'];
  const node = { host: '127.0.0.1', port: 1234 };
  t.equal(await dhtNodes({ dht: false, dhtBootstrap }, open('0.0.0.0:0'), signal, report), null);
  t.same(await dhtNodes({ dht: true, dhtBootstrap }, open('0.0.0.0:0'), signal, report), [node]);
  t.same(await dhtNodes({ dht: true, dhtBootstrap }, proxied, signal, report), [node]);
});

t.test('whoever listens on loopback stays there: no public node is asked', async (t) => {
  t.same(await dhtNodes({ dht: true }, open('127.0.0.1:0'), signal, report), []);
  t.same(await dhtNodes({ dht: true }, open('[::1]:0'), signal, report), []);
});

t.test('behind a proxy no name is looked up, and in Tor there is no DHT', async (t) => {
  t.equal(await dhtNodes({ dht: true }, proxied, signal, report), null);
  t.match(warnings, [/name a node/]);
  const dhtBootstrap = ['node.example:6881'];
  await t.rejects(dhtNodes({ dht: true, dhtBootstrap }, proxied, signal, report), {
    code: 'ERR_ADDRESS',
    message: /IP address.*node\.example:6881/,
  });
  t.equal(await dhtNodes({ dht: true, dhtBootstrap: ['127.0.0.1:1'] }, tor, signal, report), null);
  t.match(warnings, [/name a node/, /--privacy tor.*--dht-bootstrap/], 'what is of no use is said');
  t.same(await resolveAll(['peer.example:1', 'x.onion:2'], tor, signal), [
    { host: 'peer.example', port: 1 },
    { host: 'x.onion', port: 2 },
  ]);
  await t.rejects(resolveAll(['x.onion:2'], open('127.0.0.1:0'), signal), { code: 'ERR_ADDRESS' });
});

t.test('an address that is none is an error', async (t) => {
  await t.rejects(resolveAll(['nonsense'], open('127.0.0.1:0'), signal), { code: 'ERR_ADDRESS' });
});
