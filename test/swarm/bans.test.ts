import t from 'tap';
import { BanList, identity } from '../../src/swarm/bans.js';
import { Blame } from '../../src/swarm/blame.js';
import { LinkLimits } from '../../src/swarm/link-limits.js';

const at = (host: string, port = 1) => ({ host, port });

t.test('an identity is a host, an IPv6 /64, or on loopback a port', async (t) => {
  t.equal(identity(at('1.2.3.4', 5)), identity(at('1.2.3.4', 6)));
  t.not(identity(at('1.2.3.4')), identity(at('1.2.3.5')));
  t.equal(identity(at('2001:db8:1:2::1')), identity(at('2001:db8:1:2:3:4:5:6')));
  t.equal(identity(at('2001:db8::1')), identity(at('2001:db8:0:0:9::')));
  t.not(identity(at('2001:db8:1:2::1')), identity(at('2001:db8:1:3::1')));
  t.not(identity(at('127.0.0.1', 5)), identity(at('127.0.0.1', 6)));
  t.not(identity(at('::1', 5)), identity(at('::1', 6)));
});

t.test('a ban ends, and the list is bounded', async (t) => {
  const bans = new BanList({ durationMs: 1000 });
  bans.ban(at('1.2.3.4'), 0);
  t.ok(bans.has(at('1.2.3.4', 99), 999));
  t.notOk(bans.has(at('1.2.3.4'), 1000));
  t.equal(bans.size, 0);
  for (let n = 0; n < 20_000; n++) bans.ban(at(`10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`), 0);
  t.equal(bans.size, 16_384);
  t.ok(bans.has(at('10.0.78.31'), 0), 'the newest is kept');
  t.notOk(bans.has(at('10.0.0.0'), 0));
});

t.test('culprits are banned, also long after their link closed', async (t) => {
  const bans = new BanList();
  const blame = new Blame(bans);
  blame.remember(1, at('1.1.1.1'));
  blame.remember(2, at('2.2.2.2'));
  const verdict = { torrent: 1, piece: 0, senders: [1, 2], culprits: [2] };
  t.equal(blame.judge({ ...verdict, outcome: 'good' }, 0), true);
  t.ok(bans.has(at('2.2.2.2'), 0));
  t.notOk(bans.has(at('1.1.1.1'), 0));
});

t.test('without a culprit all senders are suspects, until one delivers a good piece alone', async (t) => {
  const bans = new BanList();
  const blame = new Blame(bans);
  blame.remember(1, at('1.1.1.1'));
  blame.remember(2, at('2.2.2.2'));
  const verdict = { torrent: 1, piece: 0, senders: [1, 2], culprits: [] };
  t.equal(blame.judge({ ...verdict, outcome: 'bad' }, 0), true);
  t.ok(blame.isSuspect(at('1.1.1.1')) && blame.isSuspect(at('2.2.2.2')));
  t.equal(blame.judge({ ...verdict, outcome: 'good' }, 0), false, 'together proves nothing');
  t.equal(blame.judge({ ...verdict, outcome: 'good', senders: [1] }, 0), true);
  t.notOk(blame.isSuspect(at('1.1.1.1')));
  t.equal(blame.judge({ ...verdict, outcome: 'bad', senders: [2], culprits: [2] }, 0), true);
  t.notOk(blame.isSuspect(at('2.2.2.2')), 'a banned one is no suspect any more');
  t.equal(blame.judge({ ...verdict, outcome: 'io' }, 0), false, 'a full disk is nobody’s fault');
});

t.test('limits count links, half-open ones and hosts, and go back to nothing', async (t) => {
  const limits = new LinkLimits({ links: 4, halfOpenLinks: 2, linksPerHost: 2 });
  limits.began('1.1.1.1', true);
  limits.began('1.1.1.1', false);
  t.notOk(limits.admits('1.1.1.1'));
  t.ok(limits.admits('2.2.2.2'));
  limits.began('127.0.0.1', true);
  t.notOk(limits.mayDialNow);
  limits.opened(true);
  t.ok(limits.mayDialNow);
  limits.began('127.0.0.1', false);
  t.notOk(limits.admits('127.0.0.1'));
  limits.ended('1.1.1.1', true);
  limits.ended('1.1.1.1', false);
  t.ok(limits.admits('1.1.1.1'));
  limits.ended('127.0.0.1', false);
  limits.ended('127.0.0.1', false);
  t.equal(limits.count, 0);
  t.equal(limits.halfOpen, 0);
});
