/** The native link does what its double does: the policy that was proven on one holds on the other. */
import { randomBytes } from 'node:crypto';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { fileExtents, hashExtents, Reactor, type ReactorOptions, Store } from '../../src/native.js';
import { tempFolder } from '../helpers/temp.js';
import { serveFolder } from '../helpers/web-server.js';
import { CONFORMANCE_SHAPE, type LinkPair, linkConformance } from '../sim/link-conformance.js';

const options: ReactorOptions = {
  connector: { kind: 'direct' },
  networkThreads: 1,
  workerThreads: 2,
  assemblyBytes: 2 ** 26,
  links: 64,
  halfOpenLinks: 16,
};

function reactor(t: Test): Reactor {
  const made = new Reactor(options, () => {});
  t.teardown(() => made.shutdown());
  return made;
}

async function pair(t: Test): Promise<LinkPair> {
  const folder = tempFolder(t);
  const { lengthBytes, pieceLengthBytes } = CONFORMANCE_SHAPE;
  const path = join(folder, 'whole');
  writeFileSync(path, randomBytes(lengthBytes));
  const hashes = {
    ...(await hashExtents(fileExtents(path, lengthBytes), pieceLengthBytes)),
    pieceLengthBytes,
  };
  const full = Store.overExtents(hashes, fileExtents(path, lengthBytes));
  full.setServableAll();
  const empty = Store.openScratch(hashes, join(folder, 'scratch'));
  const [seed, leech] = [reactor(t), reactor(t)];
  const { url } = await serveFolder(t, folder);
  return {
    seed: { host: seed, address: seed.listen('127.0.0.1', 0), store: full },
    bareStore: () => {
      const bare = { ...hashes, pieces: null, pieceLayer: null };
      return Store.openScratch(bare, join(folder, 'bare'));
    },
    cutFiles: () => truncateSync(path),
    webSeeds: { good: `${url}whole`, missing: `${url}missing` },
    leech: { host: leech, address: leech.listen('127.0.0.1', 0), store: empty },
    nowMs: () => performance.now(),
    step: () => new Promise((resolve) => setTimeout(resolve, 2)),
    close: async () => {
      await Promise.all([seed.shutdown(), leech.shutdown()]);
    },
  };
}

t.test('the conformance suite of links', async (t) => {
  await linkConformance(t, () => pair(t));
});

t.test('a port in use and an address that is none are errors with codes', async (t) => {
  const [one, two] = [reactor(t), reactor(t)];
  const { port } = one.listen('127.0.0.1', 0);
  t.throws(() => two.listen('127.0.0.1', port), { code: 'ERR_PORT_IN_USE' });
  t.throws(() => two.listen('nonsense', 0), { code: 'ERR_ADDRESS' });
});

t.test('only sound datagrams pass the gate', async (t) => {
  const [one, two] = [reactor(t), reactor(t)];
  const from = one.bindUdp('127.0.0.1', 0);
  const to = two.bindUdp('127.0.0.1', 0);
  // The five bytes on which the decoder behind the DHT library loops for ever.
  for (const text of ['l-3:e', 'd1:y1:', 'i1e', 'd1:yi01ee', 'd9:__proto__i1ee', 'd1:y1:qe']) {
    t.ok(one.sendUdp(Buffer.from(text), to.host, to.port));
  }
  const came: string[] = [];
  while (came.length === 0 || two.stats().malformedDatagrams < 5) {
    for (const { payload, port } of two.drain().datagrams) {
      t.equal(port, from.port);
      came.push(Buffer.from(payload).toString());
    }
    await turn();
  }
  t.same(came, ['d1:y1:qe']);
});

t.test('shutting down twice is fine', async () => {
  const one = new Reactor(options, () => {});
  await one.shutdown();
  await one.shutdown();
});
