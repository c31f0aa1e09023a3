/** When hashing makes way for the node. */
import t from 'tap';
import { HashRestraint } from '../../src/node/hash-restraint.js';

function scene(says: () => boolean | null = () => null, rate = 0) {
  const told: unknown[] = [];
  const report = { progress: () => {}, warn: () => {}, event: (event: object) => told.push(event) };
  const restraint = new HashRestraint({ rate, threads: 1, isInitialBlockDownload: says, report });
  const nowSeconds = 1_700_000_000;
  const look = (height: number, ageSeconds: number, nowMs: number) =>
    restraint.look(height, nowSeconds - ageSeconds, nowMs, nowSeconds);
  return { restraint, look, told };
}

const day = 24 * 60 * 60;

t.test('a chain that ends long ago and grows fast is being synced', async (t) => {
  const { restraint, look, told } = scene();
  look(100, 300 * day, 0);
  look(110, 299 * day, 1000);
  t.notOk(restraint.isSyncing, 'some blocks may come at once');
  look(130, 298 * day, 2000);
  t.ok(restraint.isSyncing);
  look(131, 298 * day, 61_000);
  t.ok(restraint.isSyncing, 'it may have to think for a while');
  look(131, 298 * day, 62_100);
  t.notOk(restraint.isSyncing);
  t.match(told, [
    { event: 'hash-rate', bytesPerSecond: 4 * 2 ** 20, isSyncing: true },
    { event: 'hash-rate', bytesPerSecond: 0, isSyncing: false },
  ]);
});

t.test('many blocks of today are none, and an old chain that rests is not', async (t) => {
  const { restraint, look } = scene();
  for (let second = 0; second < 30; second++) look(second * 100, 60, second * 1000);
  t.notOk(restraint.isSyncing);
  for (let second = 40; second < 60; second++) look(3000, 300 * day, second * 1000);
  t.notOk(restraint.isSyncing);
});

t.test('what the node says itself counts, and a lower rate of the user stays', async (t) => {
  let says: boolean | null = true;
  const { restraint, look, told } = scene(() => says, 1000);
  look(5, 60, 0);
  t.ok(restraint.isSyncing);
  says = false;
  look(6, 60, 1000);
  t.notOk(restraint.isSyncing);
  t.match(told, [{ bytesPerSecond: 1000 }, { bytesPerSecond: 1000 }]);
});
