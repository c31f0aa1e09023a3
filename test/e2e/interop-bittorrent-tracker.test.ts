/** The server half of `bittorrent-tracker`, as its fork without WebRTC has it: over HTTP and UDP, with counts (BEP 48). */
import { Server } from '@peertube/bittorrent-tracker-server';
import t, { type Test } from 'tap';
import { DialPolicy } from '../../src/connector.js';
import { type LiveTorrent, TrackerClient } from '../../src/discovery/trackers/tracker-client.js';
import { Reactor } from '../../src/native.js';
import { trackerNetwork } from '../../src/node/tracker-network.js';

const sizes = { networkThreads: 1, workerThreads: 1, assemblyBytes: 2 ** 20, links: 8, halfOpenLinks: 8 };
/** ASCII: its counts of others come under a name that is no infohash. */
const names = ['a'.repeat(20), 'b'.repeat(20)];

async function server(t: Test): Promise<Server> {
  const made = new Server({ http: true, udp: true, ws: false, stats: false, interval: 1_800_000 });
  // Told of what it takes for malformed: nothing of ours is.
  made.on('warning', (error: Error) => t.fail(error.message));
  await new Promise<void>((resolve) =>
    made.listen(0, { http: '127.0.0.1', udp: '127.0.0.1', udp6: '::1' }, resolve),
  );
  t.teardown(() => new Promise<void>((resolve) => made.close(resolve)));
  return made;
}

/** A client with sockets of its own, that says it listens on a port. */
function client(t: Test, port: number): TrackerClient {
  const address = { host: '127.0.0.1', port };
  const reactor: Reactor = new Reactor({ connector: { kind: 'direct' }, ...sizes }, () =>
    made.deliver(reactor.drain().trackerAnswers),
  );
  reactor.bindUdp('127.0.0.1', 0);
  const privacy = { udp: true, names: 'dns' as const };
  const made: TrackerClient = new TrackerClient({
    network: trackerNetwork({
      reactor,
      dialPolicy: new DialPolicy({ listening: address }),
      address,
      privacy,
    }),
    clock: () => performance.now(),
    random: Math.random,
    port: () => port,
    peerId: () => Buffer.from(`-BS0010-${String(port).padStart(12, '0')}`),
    key: () => port,
    ipVersions: [4],
  });
  const timer = setInterval(() => made.tick(performance.now()), 20);
  t.teardown(async () => {
    clearInterval(timer);
    await made.close(1000);
    await reactor.shutdown();
  });
  return made;
}

/** Resolves when the seed was named for each infohash. */
function live(leftBytes: number) {
  let left = names.length;
  let done = () => {};
  const all = new Promise<void>((resolve) => (done = resolve));
  const torrent: LiveTorrent = {
    counts: () => ({ uploadedBytes: 0, downloadedBytes: 0, leftBytes }),
    wantedPeers: () => 50,
    isHungry: () => false,
    isPartialSeed: () => false,
    trackerChanged: () => {},
    found: (addresses) => {
      if (addresses.some(({ port }) => port === 1001) && --left === 0) done();
    },
  };
  return { torrent, all };
}

for (const scheme of ['http', 'udp'] as const) {
  t.test(`two find each other by it over ${scheme}, and it counts them`, async (t) => {
    const tracker = await server(t);
    const { port } = (scheme === 'http' ? tracker.http : tracker.udp4).address();
    const url = `${scheme}://127.0.0.1:${port}/announce`;
    const [seed, leech] = [client(t, 1001), client(t, 1002)];
    const started = new Promise<void>((resolve) => {
      let left = names.length;
      tracker.on('start', () => --left === 0 && resolve());
    });
    seed.attach(seed.add(names, [[url]]) ?? -1, live(0).torrent);
    await started;
    const { torrent, all } = live(9);
    const number = leech.add(names, [[url]]) ?? -1;
    leech.attach(number, torrent);
    await all;
    const counts = await leech.scrape(url, names, AbortSignal.timeout(10_000));
    for (const name of names) t.match(counts.get(name), { seeds: 1, leechers: 1 });
    const completed = new Promise((resolve) => tracker.once('complete', resolve));
    leech.completed(number);
    await completed;
    const stopped = new Promise((resolve) => tracker.once('stop', resolve));
    leech.remove(number);
    await stopped;
  });
}
