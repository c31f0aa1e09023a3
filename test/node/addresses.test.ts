import t from 'tap';
import { dhtNodes, resolveAll } from '../../src/node/addresses.js';

const { signal } = new AbortController();
const report = { progress: () => {}, warn: () => {}, event: () => {} };

t.test('without the DHT there are no nodes, and named ones are taken as they are', async (t) => {
  const dhtBootstrap = ['127.0.0.1:1234'];
  t.equal(await dhtNodes({ dht: false, dhtBootstrap, listen: '0.0.0.0:0' }, signal, report), null);
  t.same(await dhtNodes({ dht: true, dhtBootstrap, listen: '0.0.0.0:0' }, signal, report), [
    { host: '127.0.0.1', port: 1234 },
  ]);
});

t.test('whoever listens on loopback stays there: no public node is asked', async (t) => {
  t.same(await dhtNodes({ dht: true, listen: '127.0.0.1:0' }, signal, report), []);
  t.same(await dhtNodes({ dht: true, listen: '[::1]:0' }, signal, report), []);
});

t.test('an address that is none is an error', async (t) => {
  await t.rejects(resolveAll(['nonsense'], signal), { code: 'ERR_ADDRESS' });
});
