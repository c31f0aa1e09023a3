import t from 'tap';
import type { Env } from '../../src/cli/env.js';
import { ProgressLine } from '../../src/cli/progress.js';

function line(errColumns: number, silent = false) {
  const written: string[] = [];
  let nowMs = 0;
  const env = { errColumns, err: (text: string) => written.push(text) } as unknown as Env;
  const progress = new ProgressLine(env, silent, () => nowMs);
  const show = (atMs: number, done: number, stage = 'fetching') => {
    nowMs = atMs;
    progress.show({ stage, done, total: 4 * 2 ** 20, unit: 'bytes', detail: 'height 7' });
  };
  return { progress, written, show };
}

t.test('on a terminal one line is redrawn, at most ten times a second, within its width', async (t) => {
  const { written, show, progress } = line(60);
  show(0, 0);
  show(50, 1);
  show(1000, 2 ** 20);
  t.equal(written.length, 2);
  t.ok(written.every((text) => text.startsWith('\r\x1b[K') && text.length <= 60 + 4));
  t.match(written[1], /fetching \[===== {15}\] 25% 1\.00 MiB of 4\.00 MiB/);
  progress.clear();
  t.equal(written.at(-1), '\r\x1b[K');
});

t.test('the line has the rate of the last seconds and the time that is left', async (t) => {
  const { written, show } = line(200);
  show(0, 0);
  show(1000, 2 ** 20);
  t.match(written[1], /1\.00 MiB\/s ETA 3.* s {2}height 7/);
});

t.test('without a terminal a line is written every 30 s, the first after 30 s', async (t) => {
  const { written, show } = line(0);
  for (let second = 0; second <= 65; second++) show(second * 1000, second);
  t.equal(written.length, 2);
  t.ok(written.every((text) => text.endsWith('\n') && !text.includes('\x1b')));
});

t.test('with --json nothing is written', async (t) => {
  const { written, show, progress } = line(80, true);
  show(0, 0);
  show(60_000, 1);
  progress.clear();
  t.same(written, []);
});

const transfer = {
  title: 'holiday\u001b[2J',
  downloadBytesPerSecond: 2 ** 20,
  uploadBytesPerSecond: 0,
  uploadedBytes: 0,
  peers: 3,
  seeds: 1,
  knownPeers: 12,
  hadPieces: 16,
  pieceCount: 64,
  torrents: 1,
  openTorrents: 1,
};

t.test('what goes on with peers is a block of lines within the width, redrawn in place', async (t) => {
  const written: string[] = [];
  let nowMs = 0;
  for (const columns of [80, 40]) {
    const env = { errColumns: columns, err: (text: string) => written.push(text) } as unknown as Env;
    const progress = new ProgressLine(env, false, () => nowMs);
    const show = () => {
      progress.show({ stage: 'fetching', done: 2 ** 20, total: 4 * 2 ** 20, unit: 'bytes', transfer });
      nowMs += 1000;
    };
    show();
    const [title, bar, figures, ...rest] = (written.shift() ?? '').replace('\r\x1b[K', '').split('\n');
    t.equal(title, 'holiday\ufffd[2J', 'a name does not steer the terminal');
    t.match(bar, /^\[=+ +\] 25% {2}1\.00 MiB of/);
    t.same(rest, []);
    t.ok([bar, figures].every((line = '') => line.length < columns));
    if (columns === 80) {
      t.match(bar, /1\.00 MiB of 4\.00 MiB {2}ETA 3\.0 s$/);
      t.equal(figures, 'down 1.00 MiB/s   up 0 B/s   3 peers (1 seed, 12 known)   16 of 64 pieces');
    }
    show();
    t.ok(written.shift()?.startsWith('\r\x1b[2A\x1b[J'), 'the lines before are gone');
    progress.clear();
    t.equal(written.shift(), '\r\x1b[2A\x1b[J');
  }
});

t.test('without a terminal the same is one line', async (t) => {
  const { progress, written } = line(0);
  progress.show({ stage: 'fetching', done: 1, total: 4, unit: 'bytes', transfer });
  t.same(written, [], 'the first after 30 s');
});
