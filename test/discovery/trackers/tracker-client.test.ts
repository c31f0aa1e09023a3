/** The schedule of all announcements, on a virtual clock and with trackers that answer as they like. */
import t from 'tap';
import { encode } from '../../../src/bencode.js';
import type { HttpReply, TrackerNetwork } from '../../../src/discovery/trackers/announce.js';
import { type LiveTorrent, TrackerClient } from '../../../src/discovery/trackers/tracker-client.js';

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

type Answer = (host: string) => HttpReply | Uint8Array;

const goodReply = encode(
  new Map<string, number | Uint8Array>([
    ['interval', 1800],
    ['peers', Uint8Array.of(127, 0, 0, 9, 0, 9)],
  ]),
);
const good: Answer = () => goodReply;

/** A client and trackers on a clock that is moved by hand. */
function scene(answer: Answer = good, options: { random?: () => number; port?: () => number } = {}) {
  let nowMs = 0;
  const asked: { atMs: number; host: string; event: string | null; name: string; url: string }[] = [];
  const failing: string[] = [];
  const network: TrackerNetwork = {
    get: async (url) => {
      const [, host = '', name = ''] = /^http:..([^/:]*).*info_hash=([^&]*)/.exec(url) ?? [];
      asked.push({ atMs: nowMs, host, event: /event=([^&]*)/.exec(url)?.[1] ?? null, name, url });
      const given = answer(host);
      if (!(given instanceof Uint8Array)) return given;
      const from = { remoteAddress: { host: '127.0.0.1' }, retryAfterMs: null };
      return { failure: null, status: 200, body: given, ...from };
    },
    askUdp: null,
    i2p: null,
    resolve: async () => [],
    mayAsk: () => true,
  };
  const client = new TrackerClient({
    network,
    clock: () => nowMs,
    random: options.random ?? Math.random,
    port: options.port ?? (() => 6881),
    peerId: () => Buffer.alloc(20, 'p'),
    key: () => 1,
    ipVersions: [4],
    failing: (tracker) => failing.push(tracker),
  });
  /** Lets time go by. */
  const run = async (ms: number, stepMs = 100) => {
    for (const untilMs = nowMs + ms; nowMs < untilMs; nowMs += stepMs) {
      const before = asked.length;
      client.tick(nowMs);
      // Answers come at once: they take some turns of the loop.
      if (asked.length > before) await settled();
    }
  };
  return { client, asked, failing, run, now: () => nowMs };
}

const nameOf = (n: number) =>
  String.fromCharCode(65 + (n % 26), 65 + ((n / 26) % 26), 65 + n / 676).padEnd(20, 'x');

function live(more: Partial<LiveTorrent> = {}) {
  const found: string[] = [];
  const torrent: LiveTorrent = {
    counts: () => ({ uploadedBytes: 1, downloadedBytes: 2, leftBytes: 3 }),
    wantedPeers: () => 50,
    isHungry: () => false,
    isPartialSeed: () => false,
    trackerChanged: () => {},
    found: (peers) => found.push(...peers.map(({ host }) => host)),
    ...more,
  };
  return { torrent, found };
}

const down = { failure: 'refused', retryAfterMs: null };

t.test(
  'ten thousand torrents at three trackers: never 50 requests in a second, and a steady stream',
  async (t) => {
    const { client, asked, run } = scene();
    const tiers = ['one', 'two', 'three'].map((host) => [`http://${host}.example/announce`]);
    for (let n = 0; n < 10_000; n++) client.add([nameOf(n)], tiers);
    const hours = 2;
    await run(hours * 3_600_000);
    const times = asked.map(({ atMs }) => atMs);
    let first = 0;
    let most = 0;
    for (const [at, ms] of times.entries()) {
      while (ms - (times[first] ?? 0) >= 1000) first++;
      most = Math.max(most, at - first + 1);
    }
    t.ok(most < 50, `${most} in the busiest second`);
    const started = asked.filter(({ event }) => event === 'started');
    t.equal(started.length, 30_000, 'each once');
    t.ok((started.at(-1)?.atMs ?? 0) < 31 * 60_000, 'all within an interval');
    // Between 30 and 36 minutes each.
    const perHour = asked.filter(({ atMs }) => atMs >= 3_600_000).length / (hours - 1);
    t.ok(perHour > 50_000 && perHour <= 60_000, `${perHour} an hour`);
    const minutes = Array.from({ length: 60 }, () => 0);
    for (const { atMs } of asked) {
      const minute = Math.floor(atMs / 60_000) - (hours - 1) * 60;
      if (minute >= 0) minutes[minute] = (minutes[minute] ?? 0) + 1;
    }
    t.ok(Math.min(...minutes) > perHour / 60 / 3, `never quiet in the last hour: ${minutes}`);
  },
);

t.test('a host that fails is tried by one torrent at a time, and rests longer each time', async (t) => {
  let isUp = false;
  const { client, asked, failing, run, now } = scene(() => (isUp ? goodReply : down));
  for (let n = 0; n < 1000; n++) client.add([nameOf(n)], [['http://down.example/announce']]);
  await run(3_600_000, 1000);
  t.ok(asked.length < 20, `${asked.length} requests in an hour`);
  t.same(failing, ['http://down.example:80'], 'told once');
  isUp = true;
  await run(3_600_000);
  const names = new Set(
    asked.filter(({ event, atMs }) => event === 'started' && atMs > now() / 2).map(({ name }) => name),
  );
  t.equal(names.size, 1000, 'all come when it is back');
});

t.test('the next tracker of the tier is asked for one that fails, and stays first', async (t) => {
  const { client, asked, run } = scene((host) => (host.startsWith('bad') ? down : goodReply));
  const torrent = client.add([nameOf(1)], [['http://bad.example/announce', 'http://good.example/announce']]);
  const other = client.add([nameOf(2)], [['http://bad.example/announce', 'http://good.example/announce']]);
  t.ok(torrent !== null && other !== null);
  await run(2000);
  t.equal(asked.filter(({ host }) => host === 'good.example').length, 2);
  await run(3 * 3_600_000, 1000);
  t.ok(asked.filter(({ host }) => host === 'bad.example').length <= 2);
});

t.test(
  'events, counts and both infohashes are told; and a torrent that is let go is told as stopped',
  async (t) => {
    const { client, asked, run } = scene();
    const { torrent, found } = live();
    const number = client.add([nameOf(1), nameOf(2)], [['http://one.example/announce?passkey=x']]) ?? -1;
    client.attach(number, torrent);
    await run(1000);
    t.same(
      asked.map(({ event, name }) => [event, name]),
      [
        ['started', nameOf(1)],
        ['started', nameOf(2)],
      ],
    );
    const query = new URL(asked[0]?.url ?? '').searchParams;
    t.same(
      ['passkey', 'uploaded', 'downloaded', 'left', 'port', 'compact', 'numwant', 'peer_id'].map((key) =>
        query.get(key),
      ),
      ['x', '1', '2', '3', '6881', '1', '50', 'p'.repeat(20)],
    );
    t.match(query.get('key'), /^[0-9a-f]{8}$/);
    t.same(found, ['127.0.0.9', '127.0.0.9']);
    client.completed(number);
    await run(1000);
    t.same(
      asked.slice(2).map(({ event }) => event),
      ['completed', 'completed'],
    );
    await run(40 * 60_000, 1000);
    t.same(
      asked.slice(4).map(({ event }) => event),
      [null, null],
    );
    client.remove(number);
    await run(1000);
    t.same(
      asked.slice(6).map(({ event, url }) => [event, new URL(url).searchParams.get('numwant')]),
      [
        ['stopped', '0'],
        ['stopped', '0'],
      ],
    );
    await run(3_600_000, 1000);
    t.equal(asked.length, 8, 'nothing more');
  },
);

t.test('on exit trackers hear of it within the bound, and those that hang are given up', async (t) => {
  let realMs = 0;
  const events: (string | null)[] = [];
  let hangs = false;
  const client = new TrackerClient({
    network: {
      get: (text, _, signal) => {
        events.push(new URL(text).searchParams.get('event'));
        if (hangs)
          return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
        const body = encode(
          new Map<string, number | string>([
            ['interval', 1800],
            ['peers', ''],
          ]),
        );
        const from = { remoteAddress: { host: '127.0.0.1' }, retryAfterMs: null };
        return Promise.resolve({ failure: null, status: 200, body, ...from });
      },
      askUdp: null,
      i2p: null,
      resolve: async () => [],
      mayAsk: () => true,
    },
    clock: () => performance.now() + realMs,
    random: Math.random,
    port: () => 1,
    peerId: () => Buffer.alloc(20),
    key: () => 1,
    ipVersions: [4],
  });
  for (let n = 0; n < 3; n++) {
    const number = client.add([nameOf(n)], [[`http://tracker${n}.example/announce`]]) ?? -1;
    client.attach(number, live().torrent);
  }
  for (let n = 0; n < 5; n++) {
    realMs += 1000;
    client.tick(performance.now() + realMs);
    await settled();
  }
  hangs = true;
  const beganMs = performance.now();
  await client.close(300);
  t.ok(performance.now() - beganMs < 2000);
  t.same(events, ['started', 'started', 'started', 'stopped', 'stopped', 'stopped']);
});

t.test('a tracker that does not want the torrent is asked rarely; `never` is heeded (BEP 31)', async (t) => {
  const refuses = (retry: string | null) => () => {
    const fields: [string, string][] = [['failure reason', 'unregistered']];
    return encode(new Map(retry === null ? fields : [...fields, ['retry in', retry]]));
  };
  for (const [retry, least, most] of [
    [null, 2, 10],
    ['90', 1, 3],
    ['never', 1, 1],
  ] as const) {
    const { client, asked, run } = scene(refuses(retry));
    client.add([nameOf(1)], [['http://one.example/announce']]);
    await run(4 * 3_600_000, 1000);
    t.ok(asked.length >= least && asked.length <= most, `${retry}: ${asked.length}`);
  }
});

t.test('one that looks for peers and has none comes as soon as the tracker allows, no sooner', async (t) => {
  const answer = () =>
    encode(
      new Map<string, number | string>([
        ['interval', 1800],
        ['min interval', 120],
        ['peers', ''],
      ]) as never,
    );
  const { client, asked, run } = scene(answer, { random: () => 0.5 });
  client.attach(
    client.add([nameOf(1)], [['http://one.example/announce']]) ?? -1,
    live({ isHungry: () => true }).torrent,
  );
  await run(600_000, 1000);
  const gaps = asked.slice(1).map(({ atMs }, at) => atMs - (asked[at]?.atMs ?? 0));
  t.ok(gaps.length >= 3 && gaps.every((gap) => gap >= 120_000 && gap < 160_000), `${gaps}`);
});

t.test('an address that only means something to the tracker is not handed on', async (t) => {
  const found: string[] = [];
  const peers = Uint8Array.of(192, 168, 1, 1, 0, 9, 127, 0, 0, 1, 0, 9, 8, 8, 8, 8, 0, 9);
  const body = encode(
    new Map<string, number | Uint8Array>([
      ['interval', 1800],
      ['peers', peers],
    ]) as never,
  );
  const { client, run } = scene(() => ({
    ...{ failure: null, status: 200, body, retryAfterMs: null },
    remoteAddress: { host: '1.2.3.4' },
  }));
  const number = client.add([nameOf(1)], [['http://one.example/announce']]) ?? -1;
  client.attach(number, live({ found: (peers) => found.push(...peers.map(({ host }) => host)) }).torrent);
  await run(1000);
  t.same(found, ['8.8.8.8']);
});

t.test('trackers are told soon when another port leads to us, those of open torrents first', async (t) => {
  let port = 6881;
  const { client, asked, run } = scene(good, { port: () => port });
  const torrent = client.add([nameOf(1)], [['http://one.example/announce']]);
  client.add([nameOf(2)], [['http://one.example/announce']]);
  if (torrent === null) throw new Error('not added');
  client.attach(torrent, live().torrent);
  await run(10_000);
  port = 50_000;
  client.portChanged();
  await run(10_000);
  const told = asked.map(({ name, event, url }) => [name[0], event, /port=(\d+)/.exec(url)?.[1]]);
  t.strictSame(told.slice(2), [
    ['B', null, '50000'],
    ['C', null, '50000'],
  ]);
});

t.test('a thousand that rest tell of another port in minutes, within the limits', async (t) => {
  const { client, asked, run, now } = scene();
  for (let n = 0; n < 1000; n++) client.add([nameOf(n)], [['http://one.example/announce']]);
  await run(20 * 60_000);
  const before = asked.length;
  const startMs = now();
  client.portChanged();
  await run(5 * 60_000);
  const told = asked.slice(before);
  t.equal(new Set(told.map(({ name }) => name)).size, 1000, 'all');
  const seconds = new Map<number, number>();
  for (const { atMs } of told) {
    const second = Math.floor((atMs - startMs) / 1000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  t.ok(Math.max(...seconds.values()) < 50, `${Math.max(...seconds.values())} in the busiest second`);
});

t.test('a partial seed says so, when it becomes one and from then on (BEP 21)', async (t) => {
  const { client, asked, run } = scene();
  let isPartialSeed = false;
  const number = client.add([nameOf(1)], [['http://one.example/announce']]) ?? -1;
  client.attach(number, live({ isPartialSeed: () => isPartialSeed }).torrent);
  await run(10_000);
  isPartialSeed = true;
  client.becamePartialSeed(number);
  await run(10_000);
  t.same(
    asked.map(({ event }) => event),
    ['started', 'paused'],
  );
  await run(40 * 60_000, 1000);
  client.detach(number);
  await run(40 * 60_000, 1000);
  t.same(new Set(asked.slice(2).map(({ event }) => event)), new Set(['paused']), 'also while it rests');
});

t.test('a torrent is told when another tracker is asked for it than the one that knows it', async (t) => {
  let changes = 0;
  let isUp = true;
  const { client, asked, run } = scene((host) => (host === 'one.example' && !isUp ? down : goodReply), {
    random: () => 0.99,
  });
  const number =
    client.add([nameOf(1)], [['http://one.example/announce', 'http://two.example/announce']]) ?? -1;
  client.attach(number, live({ trackerChanged: () => changes++ }).torrent);
  await run(10_000);
  t.same(
    asked.map(({ host }) => host),
    ['one.example'],
  );
  t.equal(changes, 0);
  isUp = false;
  await run(40 * 60_000, 1000);
  t.equal(asked.at(-1)?.host, 'two.example');
  t.equal(changes, 1);
});
