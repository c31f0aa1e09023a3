import t from 'tap';
import { DhtSchedule } from '../../src/node/dht-schedule.js';
import type { Swarm } from '../../src/swarm/swarm.js';

const nameOf = (n: number) => String.fromCharCode(n & 0xff, n >> 8).padEnd(20, 'x');
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A DHT that takes announcements, or none, and a clock that only this test moves. */
function scene() {
  const announced: string[] = [];
  const lookedUp: string[] = [];
  let running = 0;
  const seen = { most: 0, taken: 3, nowMs: 0, walkMs: 0 };
  const dht = {
    async *lookup(name: Uint8Array) {
      lookedUp.push(Buffer.from(name).toString('latin1'));
      yield* [];
    },
    announce: async (name: Uint8Array) => {
      seen.most = Math.max(seen.most, ++running);
      const untilMs = seen.nowMs + seen.walkMs;
      do await turn();
      while (seen.nowMs < untilMs);
      running--;
      announced.push(Buffer.from(name).toString('latin1'));
      return seen.taken;
    },
  };
  const schedule = new DhtSchedule({ dht, port: () => 1 });
  const second = async () => {
    schedule.tick(seen.nowMs);
    for (let n = 0; n < 3; n++) await turn();
    seen.nowMs += 1000;
  };
  return { schedule, announced, lookedUp, seen, second };
}

t.test(
  'the 1,900 names of a full chain are announced within 15 minutes, and no second has a burst',
  async (t) => {
    const { schedule, announced, seen, second } = scene();
    seen.walkMs = 4000;
    const names = Array.from({ length: 1900 }, (_, n) => nameOf(n));
    for (const name of names) schedule.addIdle(name);
    for (let n = 0; n < 40; n++) await second();
    t.ok(announced.length >= 40 && announced.length <= 40 + 4 * 40, `${announced.length} at the start`);
    let most = 0;
    while (announced.length < names.length && seen.nowMs < 15 * 60_000) {
      const before = announced.length;
      await second();
      most = Math.max(most, announced.length - before);
    }
    t.same(announced, names, `in ${seen.nowMs / 1000} s`);
    t.ok(most <= 8, `${most} in a second at most`);
    t.ok(seen.most <= 24, `${seen.most} at a time`);
    await schedule.close();
  },
);

t.test(
  'a name is announced again after 15 minutes, a new one at once, and one that was removed no more',
  async (t) => {
    const { schedule, announced, seen, second } = scene();
    for (let n = 0; n < 20; n++) schedule.addIdle(nameOf(n));
    for (let n = 0; n < 60; n++) await second();
    t.equal(announced.length, 20);
    schedule.addIdle(nameOf(99));
    await second();
    t.equal(announced.at(-1), nameOf(99));
    schedule.removeIdle(nameOf(0));
    seen.nowMs = 14 * 60_000;
    await second();
    t.equal(announced.length, 21, 'nothing is due');
    seen.nowMs = 16 * 60_000;
    await second();
    t.equal(announced[21], nameOf(1));
    await schedule.close();
  },
);

t.test('while nobody takes announcements one at a time is tried', async (t) => {
  const { schedule, announced, seen, second } = scene();
  seen.taken = 0;
  for (let n = 0; n < 100; n++) schedule.addIdle(nameOf(n));
  for (let n = 0; n < 60; n++) await second();
  t.ok(announced.length >= 12 && announced.length < 30, `${announced.length} tries in a minute`);
  seen.taken = 1;
  for (let n = 0; n < 60; n++) await second();
  t.equal(new Set(announced).size, 100, 'all are announced once somebody takes them');
  await schedule.close();
});

function swarmOf(state: Swarm['state'], hash: number, isPrivate = false): Swarm {
  const infoHashV2 = new Uint8Array(32).fill(hash + 1);
  const status = () => ({ links: 0 });
  const isLooking = state === 'fetching';
  const swarm = {
    state,
    isLooking,
    private: isPrivate,
    infoHashV1: new Uint8Array(20).fill(hash),
    infoHashV2,
    status,
  };
  return { ...swarm, addPeers: () => {} } as unknown as Swarm;
}

t.test(
  'both names of a hybrid are announced and looked up; of a private torrent none, of a paused one none yet',
  async (t) => {
    const { schedule, announced, lookedUp, second } = scene();
    const hybrid = swarmOf('fetching', 1);
    const paused = swarmOf('paused', 3);
    for (const swarm of [hybrid, swarmOf('fetching', 5, true), paused, swarmOf('seeding', 7)])
      schedule.add(swarm);
    for (let n = 0; n < 3; n++) await second();
    const name = (hash: number) => Buffer.alloc(20, hash).toString('latin1');
    t.same([...new Set(lookedUp)], [name(1), name(2)]);
    t.same(announced, [name(1), name(2), name(7), name(8)]);
    Object.assign(paused, { state: 'seeding' });
    await second();
    t.same(announced.slice(4), [name(3), name(4)]);
    Object.assign(hybrid, { state: 'closed' });
    const before = lookedUp.length;
    for (let n = 0; n < 30; n++) await second();
    t.equal(lookedUp.length, before, 'one that was closed is forgotten');
    await schedule.close();
  },
);

t.test('all names are announced anew when another port leads to us', async (t) => {
  const { schedule, announced, second } = scene();
  for (let n = 0; n < 3; n++) schedule.addIdle(nameOf(n));
  while (announced.length < 3) await second();
  schedule.portChanged();
  while (announced.length < 6) await second();
  t.same(announced.slice(3), announced.slice(0, 3));
  await schedule.close();
});

t.test('what is to be announced first does not wait for those before it', async (t) => {
  const { schedule, announced, second } = scene();
  for (let n = 0; n < 100; n++) schedule.addIdle(nameOf(n));
  schedule.add(swarmOf('seeding', 200), true);
  const names = [200, 201].map((hash) => Buffer.alloc(20, hash).toString('latin1'));
  while (announced.length < 102) await second();
  t.same(announced.slice(0, 2), names);
  await schedule.close();
});
