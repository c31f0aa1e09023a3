import t from 'tap';
import { Waker } from '../../src/node/waker.js';

const long = Number.POSITIVE_INFINITY;

t.test('a rest ends by its time, by a wake before or during it, or by its signal', async (t) => {
  const waker = new Waker();
  const stop = new AbortController();
  await waker.rest(0, stop.signal);
  waker.wake();
  waker.wake();
  await waker.rest(long, stop.signal);
  let isOver = false;
  const rest = waker.rest(long, stop.signal).then(() => {
    isOver = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  t.notOk(isOver, 'several wakes are one');
  waker.wake();
  await rest;
  const last = waker.rest(long, stop.signal);
  stop.abort();
  await last;
  await waker.rest(long, stop.signal);
  t.pass('and none begins after it');
});
