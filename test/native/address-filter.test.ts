/** Addresses on the user's lists are met in neither direction; the lists may change meanwhile. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import t, { type Test } from 'tap';
import { parseAddressList } from '../../src/connector/address-list.js';
import { Reactor } from '../../src/native.js';

const infoHash = Buffer.alloc(20, 1);
const hello = {
  infoHash,
  peerId: Buffer.alloc(20, 2),
  v2: false,
  extensionHandshake: Buffer.from('d1:mdee'),
};
const list = (text: string) => parseAddressList(Buffer.from(text));
const none = list('');

function reactor(t: Test) {
  const sizes = { networkThreads: 1, workerThreads: 1, assemblyBytes: 2 ** 20, links: 8, halfOpenLinks: 8 };
  const waiting = new Set<() => void>();
  const made = new Reactor({ connector: { kind: 'direct' }, ...sizes }, () => {
    for (const wake of waiting) wake();
    waiting.clear();
  });
  t.teardown(() => made.shutdown());
  /** The first event of a link, or incoming link, that fits. */
  const next = async <T>(find: (batch: ReturnType<Reactor['drain']>) => T | undefined): Promise<T> => {
    for (;;) {
      const woken = new Promise<void>((resolve) => waiting.add(resolve));
      const found = find(made.drain());
      if (found !== undefined) return found;
      // The wake keeps nothing alive.
      const alive = setInterval(() => {}, 1000);
      await woken.finally(() => clearInterval(alive));
    }
  };
  return { made, next };
}

t.test('who is on a list is neither dialled nor let in, and a link with one ends', async (t) => {
  const ours = reactor(t);
  const theirs = reactor(t);
  const { host, port } = ours.made.listen('127.0.0.1', 0);
  const torrents = [ours.made.addTorrent(), theirs.made.addTorrent()] as const;
  const closed = (link: number) => (batch: ReturnType<Reactor['drain']>) =>
    batch.links.find((event) => event.link === link && event.state === 'closed')?.closeReason;

  ours.made.setBlocked(list('127.0.0.0/8'), none);
  const turnedAway = theirs.made.connect(torrents[1], host, port, hello);
  t.equal(await theirs.next(closed(turnedAway)), 'reset', 'it hears nothing');
  t.equal(ours.made.stats().blockedIncoming, 1);

  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => server.close());
  server.on('connection', () => t.fail('somebody on the list was dialled'));
  const address = server.address();
  const serverPort = typeof address === 'object' && address ? address.port : 0;
  const refused = ours.made.connect(torrents[0], '127.0.0.1', serverPort, hello);
  t.equal(await ours.next(closed(refused)), 'blocked');
  t.equal(ours.made.stats().blockedDials, 1);

  ours.made.setBlocked(list('127.0.0.0/8'), list('127.0.0.1'));
  const link = theirs.made.connect(torrents[1], host, port, { ...hello, peerId: Buffer.alloc(20, 3) });
  const incoming = await ours.next((batch) => batch.incoming[0]);
  t.ok(ours.made.accept(incoming.link, torrents[0], hello));
  await theirs.next((batch) => batch.links.find((event) => event.link === link && event.state === 'open'));
  ours.made.setBlocked(list('127.0.0.1'), none);
  t.equal(await ours.next(closed(incoming.link)), 'blocked');
});
