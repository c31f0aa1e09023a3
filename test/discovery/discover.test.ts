import t from 'tap';
import type { PeerAddress } from '../../src/connector.js';
import { discover, type PeerSource } from '../../src/discovery/discover.js';

const peer = (number: number): PeerAddress => ({ host: `10.0.0.${number}`, port: 1 });
const of = (...numbers: number[]): PeerSource =>
  async function* () {
    for (const number of numbers) yield peer(number);
  };
/** Says nothing until it is stopped. */
const silent = (onEnd: () => void = () => {}): PeerSource =>
  async function* ({ signal }) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    onEnd();
    yield* [];
  };

async function all(peers: AsyncIterable<PeerAddress>): Promise<string[]> {
  const found: string[] = [];
  for await (const { host } of peers) found.push(host.slice('10.0.0.'.length));
  return found.sort();
}

t.test('merges sources, each address once', async (t) => {
  t.same(await all(discover([of(1, 2, 2), of(2, 3), of()])), ['1', '2', '3']);
  t.same(await all(discover([])), []);
});

t.test('stops at its limit and stops its sources', async (t) => {
  let ended = false;
  const endless: PeerSource = async function* () {
    for (let number = 0; ; number += 1) yield peer(number & 255);
  };
  const found = await all(discover([endless, silent(() => (ended = true))], { peers: 5 }));
  t.equal(found.length, 5);
  t.ok(ended);
});

t.test('a source that fails does not end the others', async (t) => {
  const faults: unknown[] = [];
  const error = new Error('down');
  const failing: PeerSource = async function* () {
    yield peer(9);
    throw error;
  };
  t.same(await all(discover([failing, of(1, 2)], { onFault: (fault) => faults.push(fault) })), [
    '1',
    '2',
    '9',
  ]);
  t.same(faults, [error]);
  t.same(await all(discover([failing])), ['9'], 'nobody need listen');
});

t.test('a silent source holds nobody up', async (t) => {
  const first: string[] = [];
  for await (const { host } of discover([silent(), of(1)])) {
    first.push(host);
    break;
  }
  t.same(first, ['10.0.0.1']);
});

t.test('a signal ends it', async (t) => {
  const reason = new Error('enough');
  const controller = new AbortController();
  const rejected = t.rejects(all(discover([silent(), silent()], { signal: controller.signal })), reason);
  setImmediate(() => controller.abort(reason));
  await rejected;
  await t.rejects(all(discover([of(1)], { signal: controller.signal })), reason);
});
