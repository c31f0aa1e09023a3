import t from 'tap';
import { DialBackoff } from '../../src/swarm/dial-backoff.js';
import { LinkLimits } from '../../src/swarm/link-limits.js';
import { Turnover } from '../../src/swarm/turnover.js';

const at = (n: number) => ({ host: `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`, port: 6881 });

t.test('an address where nobody answers is left alone for longer each time', async (t) => {
  const backoff = new DialBackoff();
  t.ok(backoff.mayDial(at(1), 0));
  let nowMs = 0;
  const waits: number[] = [];
  for (let failures = 0; failures < 12; failures++) {
    backoff.failed(at(1), 'refused', nowMs);
    const fromMs = nowMs;
    while (!backoff.mayDial(at(1), nowMs)) nowMs += 500;
    waits.push(nowMs - fromMs);
  }
  t.same(waits.slice(0, 4), [1500, 3000, 6000, 12_000]);
  t.equal(waits.at(-1), 300_000);
  t.ok(backoff.mayDial(at(2), nowMs), 'others are not meant');
  backoff.failed(at(1), 'refused', nowMs);
  backoff.answered(at(1));
  t.ok(backoff.mayDial(at(1), nowMs));
});

t.test('an ending that is about the torrent says nothing about the address', async (t) => {
  const backoff = new DialBackoff();
  for (const reason of ['reset', 'wrong-info-hash', 'closed']) backoff.failed(at(1), reason, 0);
  t.ok(backoff.mayDial(at(1), 0));
});

t.test('what is known of dead addresses is bounded', async (t) => {
  const backoff = new DialBackoff();
  for (let n = 0; n < 20_000; n++) backoff.failed(at(n), 'refused', 0);
  t.equal(backoff.size, 16_384);
  t.ok(backoff.mayDial(at(0), 0));
  t.notOk(backoff.mayDial(at(19_999), 0));
});

t.test('an IPv6 /64 counts as one address', async (t) => {
  const limits = new LinkLimits({ linksPerHost: 2 });
  limits.began('2001:db8:1:2::1', false);
  limits.began('2001:db8:1:2:ffff::1', false);
  t.notOk(limits.admits('2001:db8:1:2::3'));
  t.ok(limits.admits('2001:db8:1:3::3'));
  limits.ended('2001:db8:1:2::9', false);
  t.ok(limits.admits('2001:db8:1:2::3'));
});

t.test('turnover ends few connections, and only of a set that is nearly full', async (t) => {
  const turnover = new Turnover(100);
  t.notOk(turnover.mayEnd(89, 0));
  let ended = 0;
  for (let nowMs = 0; nowMs <= 30 * 60_000; nowMs += 1000) {
    if (!turnover.mayEnd(90, nowMs)) continue;
    turnover.ended();
    ended++;
  }
  t.ok(ended >= 27 && ended <= 28, `4 at once, then 4 % in 5 minutes: ${ended}`);
});
