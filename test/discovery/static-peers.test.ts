import t from 'tap';
import { staticPeers } from '../../src/discovery/static-peers.js';

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}

t.test('yields literals, and all addresses of a name', async (t) => {
  const resolve = async () => ['1.1.1.1', '::1'];
  t.same(await all(staticPeers(['10.0.0.1:5', 'seed.example:6', '[::2]:7'], { resolve })), [
    { host: '10.0.0.1', port: 5 },
    { host: '1.1.1.1', port: 6 },
    { host: '::1', port: 6 },
    { host: '::2', port: 7 },
  ]);
});

t.test('a name that does not resolve is reported and passed over', async (t) => {
  const faults: [string, unknown][] = [];
  const resolve = () => Promise.reject(new Error('ENOTFOUND'));
  const onFault = (text: string, error: unknown) => faults.push([text, error]);
  t.same(await all(staticPeers(['seed.example:6', '10.0.0.1:5'], { resolve, onFault })), [
    { host: '10.0.0.1', port: 5 },
  ]);
  t.match(faults, [['seed.example:6', { code: 'ERR_ADDRESS' }]]);
  t.same(await all(staticPeers(['seed.example:6'], { resolve })), []);
});

t.test('a signal ends it', async (t) => {
  const reason = new Error('enough');
  const signal = AbortSignal.abort(reason);
  await t.rejects(all(staticPeers(['10.0.0.1:5'], { signal })), reason);
});
