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
