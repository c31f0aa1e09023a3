import t from 'tap';
import { shownUrl, WebSeeds, type WebSeedsOptions } from '../../src/swarm/web-seeds.js';

const single = () => ({ multiFile: false, paths: ['a%20b'] });
const several = () => ({ multiFile: true, paths: ['t/a', '', 't/b'] });

function setup(sources: WebSeedsOptions['sources'], random: () => number = () => 0.5) {
  const asked: { link: number; url: string; paths: readonly string[]; asked: boolean }[] = [];
  const host: WebSeedsOptions['host'] = {
    connectWebSeed: (_torrent, { url, paths, asked: byUser }) => {
      asked.push({ link: asked.length + 1, url, paths, asked: byUser });
      return asked.length;
    },
  };
  return { asked, seeds: new WebSeeds({ host, torrent: 1, sources, loopback: false, random }) };
}

const end = (reason: string, more: { retryAfterMs?: number; served?: boolean } = {}) => {
  return { reason, retryAfterMs: 0, served: false, ...more };
};

t.test('a URL that ends in a slash is a folder, and several files always lie in one', async (t) => {
  const place = (url: string, paths: typeof single) => {
    const { asked, seeds } = setup([{ url }]);
    seeds.connect(0, paths);
    return [asked[0]?.url, asked[0]?.paths];
  };
  t.same(place('http://h/file', single), ['http://h/file', []]);
  t.same(place('http://h/pub/', single), ['http://h/pub/', ['a%20b']]);
  t.same(place('http://h/pub', several), ['http://h/pub/', ['t/a', '', 't/b']]);
  t.same(place('http://h/pub/', several), ['http://h/pub/', ['t/a', '', 't/b']]);
});

t.test('three at a time, those that the user named first, each once', async (t) => {
  const sources = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ url: `http://${name}/` }));
  const { asked, seeds } = setup([...sources, { url: 'http://d/', asked: true }], () => 0.9);
  const begun = [0, 1, 2, 3].map(() => seeds.connect(0, single));
  t.match(begun, [{ link: 1, url: 'http://d/' }, { link: 2 }, { link: 3 }, null]);
  t.same(
    asked.map(({ asked }) => asked),
    [true, false, false],
  );
  seeds.ended(2, end('reset'), 0);
  t.match(seeds.connect(0, single), { link: 4 });
  t.equal(new Set(asked.map(({ url }) => url)).size, 4);
});

t.test(
  'a server that fails is left alone for longer each time, and again less once it has served',
  async (t) => {
    const { seeds } = setup([{ url: 'http://h/f' }]);
    const rest = (nowMs: number, how: ReturnType<typeof end>) => {
      const { link = 0 } = seeds.connect(nowMs, single) ?? {};
      seeds.ended(link, how, nowMs);
      for (let ms = 0; ms <= 2 ** 23; ms += 500) if (seeds.connect(nowMs + ms, single)) return ms;
      return Number.POSITIVE_INFINITY;
    };
    t.equal(rest(0, end('slow')), 7500);
    seeds.ended(2, end('slow'), 10_000);
    t.equal(seeds.connect(24_000, single), null, 'twice as long');
    t.match(seeds.connect(25_000, single), { link: 3 });
    seeds.ended(3, end('reset', { served: true }), 100_000);
    t.match(seeds.connect(107_500, single), { link: 4 });
    seeds.ended(4, end('http-503', { retryAfterMs: 300_000 }), 200_000);
    t.equal(seeds.connect(499_999, single), null, 'as the server asks');
    t.match(seeds.connect(500_000, single), { link: 5 });
    for (let n = 5; n < 40; n++) {
      seeds.ended(n, end('refused'), n * 1e9);
      t.equal(seeds.connect(n * 1e9, single), null);
      t.match(seeds.connect(n * 1e9 + 3_600_000, single), { link: n + 1 }, 'an hour at most');
    }
  },
);

t.test('a server that is wrong about the file is not asked again; one that we left is', async (t) => {
  for (const reason of [
    'http-404',
    'http-403',
    'http-416',
    'bad-range',
    'forbidden-address',
    'encoded',
    'banned',
  ]) {
    const { seeds } = setup([{ url: 'http://h/f' }]);
    seeds.connect(0, single);
    seeds.ended(1, end(reason), 0);
    t.equal(seeds.connect(1e12, single), null, reason);
    t.match(seeds.status(), [{ state: 'failed', reason }]);
  }
  for (const reason of ['http-408', 'http-429', 'http-500', 'short-body', 'unresolved']) {
    const { seeds } = setup([{ url: 'http://h/f' }]);
    seeds.connect(0, single);
    seeds.ended(1, end(reason), 0);
    t.equal(seeds.connect(0, single), null, reason);
    t.match(seeds.connect(10_000, single), { link: 2 }, reason);
  }
  const { seeds } = setup([{ url: 'http://h/f' }]);
  seeds.connect(0, single);
  seeds.ended(1, end('complete'), 0);
  t.match(seeds.connect(0, single), { link: 2 });
  t.match(seeds.status(), [{ state: 'linked', reason: 'complete' }]);
});

t.test('what is shown of a URL holds neither credentials nor query', async (t) => {
  t.equal(shownUrl('https://user:secret@h:8443/pub/f?token=secret#x'), 'https://h:8443/pub/f');
  t.equal(shownUrl('http://[::1'), 'a malformed URL');
});
