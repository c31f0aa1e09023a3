import t from 'tap';
import type { Rates } from '../../src/swarm/link-host.js';
import { RateLimits, type RateLimitsOptions } from '../../src/swarm/rate-limits.js';
import { TrafficQuota } from '../../src/swarm/traffic-quota.js';

/** Notes what it is told. */
class RateHost {
  readonly rates = new Map<number, Rates>();
  readonly links = new Map<number, readonly number[]>();
  #next = 1;

  createRateClass(): number {
    return this.#next++;
  }
  setRateClass(rateClass: number, rates: Rates): void {
    this.rates.set(rateClass, rates);
  }
  dropRateClass(rateClass: number): void {
    this.rates.delete(rateClass);
  }
  setLinkRateClasses(link: number, rateClasses: readonly number[]): void {
    this.links.set(link, rateClasses);
  }
}

// A Sunday.
const at = (day: number, hour = 0, minute = 0) => new Date(2026, 10, 1 + day, hour, minute);
const outside = { host: '8.8.8.8' };

function setup(options: RateLimitsOptions, now = at(0)) {
  const host = new RateHost();
  const limits = new RateLimits(host, options, now);
  /** The rates that a link is under. */
  const of = (link: number) => (host.links.get(link) ?? []).map((id) => host.rates.get(id));
  return { host, limits, of };
}

const up = (uploadBytesPerSecond: number) => ({ uploadBytesPerSecond, downloadBytesPerSecond: 0 });

t.test('without any limit no link hears of a class', async (t) => {
  const { host, limits } = setup({});
  limits.joined(1, 1, outside);
  limits.tick(at(3));
  t.equal(host.rates.size, 0);
  t.equal(host.links.size, 0);
});

t.test('a link shares the rates of its torrent, its class and all, the narrowest first', async (t) => {
  const classes = [{ name: 'slow', subnets: ['8.8.0.0/16', '2001:db8::/32'], rates: up(200) }];
  const { limits, of } = setup({ rates: up(300), classes });
  limits.setTorrent(1, up(100));
  limits.joined(1, 1, outside);
  limits.joined(2, 1, { host: '9.9.9.9' });
  limits.joined(3, 2, { host: '2001:db8::5' });
  t.same(of(1), [up(100), up(200), up(300)]);
  t.same(of(2), [up(100), up(300)]);
  t.same(of(3), [up(200), up(300)]);
  limits.setTorrent(2, up(50));
  t.same(of(3), [up(50), up(200), up(300)], 'a limit that comes later holds for links that are here');
  limits.setTorrent(2, up(60));
  t.same(of(3)[0], up(60));
});

t.test('the local network is exempt, also from the quota, unless it has a class of its own', async (t) => {
  const { limits, of } = setup({ rates: up(1), quota: { uploadBytes: 1 } });
  for (const [link, host] of [
    '192.168.1.2',
    '10.1.1.1',
    '172.31.0.1',
    '127.0.0.1',
    '::1',
    'fe80::1',
    'fd00::1',
  ].entries()) {
    t.equal(limits.joined(link, 1, { host }), null, host);
    t.same(of(link), []);
  }
  t.ok(limits.joined(49, 1, { host: 'http://web.example/' }), 'a web seed is not');
  t.ok(limits.joined(50, 1, { host: '172.32.0.1' }));
  t.same(of(50), [up(1)]);
  const classes = [{ name: 'office', subnets: ['192.168.0.0/16'], rates: up(7) }];
  const { limits: others, of: ofOthers } = setup({ rates: up(9), classes });
  t.ok(others.joined(1, 1, { host: '192.168.1.2' }));
  t.same(ofOthers(1), [up(7), up(9)]);
});

t.test('schedules hold on their days and over midnight, the first that fits', async (t) => {
  const { limits } = setup({
    rates: up(10),
    schedules: [
      { days: [1, 2, 3, 4, 5], fromMinute: 8 * 60, toMinute: 18 * 60, rates: up(1) },
      { days: [6], fromMinute: 22 * 60, toMinute: 6 * 60, rates: {} },
      { fromMinute: 17 * 60, toMinute: 19 * 60, rates: up(5) },
    ],
  });
  const now = (date: Date) => {
    limits.tick(date);
    return limits.status().uploadBytesPerSecond;
  };
  t.equal(now(at(0, 12)), 10, 'Sunday');
  t.equal(now(at(1, 7, 59)), 10);
  t.equal(now(at(1, 8)), 1);
  t.equal(now(at(1, 17, 30)), 1, 'the first one');
  t.equal(now(at(1, 18)), 5);
  t.equal(now(at(6, 23)), 0, 'Saturday night');
  t.equal(now(at(7, 5, 59)), 0);
  t.equal(now(at(7, 6)), 10);
  t.equal(now(at(7, 22, 30)), 10, 'Sunday night is another one');
});

t.test('a quota is used up by what went, says so, and begins anew with the month', async (t) => {
  const { limits } = setup({ quota: { uploadBytes: 1000 } });
  const meter = limits.joined(1, 1, outside);
  meter?.count(900, 50_000);
  t.equal(meter?.mayUpload, true);
  t.equal(limits.status().uploadStopped, null);
  meter?.count(90, 0);
  t.equal(meter?.mayUpload, false, 'packets have headers');
  t.equal(meter?.mayDownload, true);
  t.equal(limits.status().uploadStopped, 'the upload quota of 2026-11 is used up');
  t.equal(limits.status().downloadStopped, null);
  limits.tick(new Date(2026, 9, 31));
  t.equal(meter?.mayUpload, false, 'setting the clock back gives nothing');
  limits.tick(new Date(2026, 11, 1));
  t.equal(meter?.mayUpload, true);
  t.same(limits.usage, { month: '2026-12', uploadedBytes: 0, downloadedBytes: 0 });
});

t.test('what was used is taken up again after a restart in the same month only', async (t) => {
  const usage = { month: '2026-11', uploadedBytes: 600, downloadedBytes: 7 };
  const quota = new TrafficQuota({ uploadBytes: 601 }, usage, at(5));
  t.same(quota.usage, usage);
  quota.count(1, 0);
  t.equal(quota.mayUpload, false);
  t.same(new TrafficQuota({}, usage, new Date(2027, 10, 1)).usage.uploadedBytes, 0);
});

t.test('what makes no sense is refused', async (t) => {
  const bad: RateLimitsOptions[] = [
    { rates: up(-1) },
    { rates: up(0.5) },
    { schedules: [{ fromMinute: 0, toMinute: 1441, rates: {} }] },
    { schedules: [{ days: [7], fromMinute: 0, toMinute: 1, rates: {} }] },
    { schedules: [{ fromMinute: 0, toMinute: 1, rates: up(-1) }] },
    { classes: [{ name: 'x', subnets: ['10.0.0.0'], rates: {} }] },
    { classes: [{ name: 'x', subnets: ['10.0.0.0/33'], rates: {} }] },
    { classes: [{ name: 'x', subnets: ['example.org/8'], rates: {} }] },
  ];
  for (const options of bad) t.throws(() => setup(options), RangeError, JSON.stringify(options));
});

t.test('a torrent that goes takes its class along', async (t) => {
  const { host, limits } = setup({});
  limits.setTorrent(1, up(5));
  t.equal(host.rates.size, 1);
  limits.joined(1, 1, outside);
  limits.left(1);
  limits.removeTorrent(1);
  t.equal(host.rates.size, 0);
});
