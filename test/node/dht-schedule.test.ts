import t from 'tap';
import { DhtSchedule } from '../../src/node/dht-schedule.js';

const nameOf = (n: number) => String.fromCharCode(n & 0xff, n >> 8).padEnd(20, 'x');

/** A DHT that takes announcements, or none. */
function scene(taken: number) {
  const announced: string[] = [];
  let running = 0;
  let most = 0;
  const dht = {
    async *lookup() {},
    announce: async (name: Uint8Array) => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      announced.push(Buffer.from(name).toString('latin1'));
      return taken;
    },
  };
  const schedule = new DhtSchedule({ dht, port: () => 1 });
  return { schedule, announced, most: () => most };
}

t.test('idle torrents are announced one after the other, a few at a time, once in 15 minutes', async (t) => {
  const { schedule, announced, most } = scene(3);
  const names = Array.from({ length: 300 }, (_, n) => nameOf(n));
  for (const name of names) schedule.addIdle(name);
  const nowMs = performance.now();
  schedule.tick(nowMs);
  while (announced.length < names.length) await new Promise((resolve) => setImmediate(resolve));
  t.same(announced, names);
  t.equal(most(), 4);
  schedule.tick(nowMs + 14 * 60_000);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(announced.length, names.length, 'nothing is due');
  schedule.removeIdle(nameOf(0));
  schedule.tick(nowMs + 16 * 60_000);
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(announced[names.length], nameOf(1), 'the one that was removed is not announced again');
  await schedule.close();
});

t.test('while nobody takes announcements they wait', async (t) => {
  const { schedule, announced } = scene(0);
  for (let n = 0; n < 100; n++) schedule.addIdle(nameOf(n));
  schedule.tick(performance.now());
  for (let n = 0; n < 50; n++) await new Promise((resolve) => setImmediate(resolve));
  t.equal(announced.length, 4);
  await schedule.close();
});
