import t from 'tap';
import { IdleTorrents } from '../../src/swarm/idle-torrents.js';
import type { Incoming } from '../../src/swarm/link-host.js';

const bytes = (length: number, fill: number) => new Uint8Array(length).fill(fill);
const nameOf = (fill: number) => Buffer.alloc(20, fill).toString('latin1');

function incoming(link: number, fill: number): Incoming {
  const [peerId, reserved] = [bytes(20, 9), bytes(8, 0)];
  return { link, host: '127.0.0.1', port: 1, infoHash: bytes(20, fill), peerId, reserved } as Incoming;
}

/** Torrents whose waking ends when it is told to. */
function scene() {
  const log: string[] = [];
  const ends: ((isAwake: boolean) => void)[] = [];
  const idle = new IdleTorrents({
    wake: (torrent) => {
      log.push(`wake ${torrent}`);
      return new Promise((resolve, reject) => {
        ends.push((isAwake) => (isAwake ? resolve() : reject(new Error('no content'))));
      });
    },
    settle: ({ link }) => log.push(`settle ${link}`),
    refuse: ({ link }) => log.push(`refuse ${link}`),
  });
  const end = async (isAwake: boolean) => {
    ends.shift()?.(isAwake);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { idle, end, take: () => log.splice(0) };
}

t.test('the first peer wakes a torrent, those after it wait for the same waking', async (t) => {
  const { idle, end, take } = scene();
  idle.add(nameOf(1), 7);
  t.equal(idle.take(incoming(1, 2)), false, 'nobody knows that name');
  t.equal(idle.take(incoming(2, 1)), true);
  t.equal(idle.take(incoming(3, 1)), true);
  t.same(take(), ['wake 7']);
  await end(true);
  t.same(take(), ['settle 2', 'settle 3']);
  idle.remove(nameOf(1));
  t.equal(idle.take(incoming(4, 1)), false);
});

t.test('a torrent that cannot be opened turns its peers away, and may be tried again', async (t) => {
  const { idle, end, take } = scene();
  idle.add(nameOf(1), 7);
  idle.take(incoming(1, 1));
  await end(false);
  t.same(take(), ['wake 7', 'refuse 1']);
  t.equal(idle.take(incoming(2, 1)), true);
  t.same(take(), ['wake 7']);
});

t.test('who knows all names does not wake them all at once', async (t) => {
  const { idle, end, take } = scene();
  for (let n = 0; n < 100; n++) idle.add(nameOf(n), n);
  const taken = Array.from({ length: 100 }, (_, n) => idle.take(incoming(n, n)));
  t.equal(taken.filter(Boolean).length, 32);
  t.equal(taken[31], true);
  for (let n = 0; n < 100; n++) idle.take(incoming(1000 + n, 0));
  take();
  await end(true);
  t.equal(take().length, 16, 'so many wait for one');
  t.equal(idle.take(incoming(5000, 50)), true, 'there is room again');
});
