import t from 'tap';
import { encode } from '../../src/bencode.js';
import { itemTarget } from '../../src/discovery/dht-item.js';
import { ItemStore } from '../../src/discovery/item-store.js';
import { MUTABLE } from '../vectors/bep44.js';

const item = (number: number) => ({ value: encode(number) });

t.test('items are kept for two hours after they were last put', async (t) => {
  let nowMs = 0;
  const items = new ItemStore(() => nowMs);
  t.equal(items.put(MUTABLE, '8.8.8.8', null), null);
  nowMs += 100 * 60_000;
  t.same(items.get(itemTarget(MUTABLE)), MUTABLE);
  t.equal(items.put(MUTABLE, '8.8.8.8', null), null, 'the same again');
  nowMs += 100 * 60_000;
  t.same(items.get(itemTarget(MUTABLE)), MUTABLE);
  nowMs += 30 * 60_000;
  t.equal(items.get(itemTarget(MUTABLE)), null);
});

t.test('what is kept is bounded, and of one network a part of it', async (t) => {
  const items = new ItemStore(() => 0);
  let taken = 0;
  for (let n = 0; n < 500; n++) if (items.put(item(n), `8.8.8.${n & 255}`, null) === null) taken++;
  t.equal(taken, 64);
  for (let n = 1000; n < 4000; n++) items.put(item(n), `${20 + (n % 70)}.7.${n & 255}.1`, null);
  const kept = Array.from({ length: 4000 }, (_, n) => items.get(itemTarget(item(n)))).filter(Boolean);
  t.equal(kept.length, 1000);
});
