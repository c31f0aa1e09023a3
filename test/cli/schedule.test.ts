import t from 'tap';
import { size } from '../../src/cli/options.js';
import { schedule } from '../../src/cli/schedule.js';

const MIB = 2 ** 20;

t.test('a schedule has days, a span and rates', async (t) => {
  t.same(schedule('mon-fri 08:00-18:00 up=1MiB down=5MiB'), [
    {
      days: [1, 2, 3, 4, 5],
      fromMinute: 480,
      toMinute: 1080,
      rates: { uploadBytesPerSecond: MIB, downloadBytesPerSecond: 5 * MIB },
    },
  ]);
  t.same(schedule('  Sat,fri-Sun  22:30-06:00  down=0 '), [
    { days: [6, 5, 0], fromMinute: 1350, toMinute: 360, rates: { downloadBytesPerSecond: 0 } },
  ]);
  const [whole] = schedule('00:00-24:00 up=9');
  t.same(whole, { fromMinute: 0, toMinute: 1440, rates: { uploadBytesPerSecond: 9 } }, 'every day');
  t.equal(schedule('00:00-01:00 up=1', schedule('02:00-03:00 up=2'))[0]?.rates.uploadBytesPerSecond, 2);
});

t.test('a schedule that cannot be read is refused, with what is wrong', async (t) => {
  const wrong: Readonly<Record<string, RegExp>> = {
    '': /time span/,
    'mon-fri': /time span/,
    'up=1': /time span/,
    '8:00-18:00 up=1': /time span/,
    '08:00-24:01 up=1': /time span/,
    '24:00-01:00 up=1': /time span/,
    '08:60-09:00 up=1': /time span/,
    '08:00-08:00 up=1': /empty/,
    '08:00-09:00': /missing/,
    '08:00-09:00 left=1': /`left=1`/,
    '08:00-09:00 up=1 up=2': /`up=2`/,
    '08:00-09:00 up=fast': /rate/,
    'someday 08:00-09:00 up=1': /`someday` is no day/,
    'mon-tue-wed 08:00-09:00 up=1': /no day/,
    'mon, 08:00-09:00 up=1': /no day/,
  };
  for (const [text, message] of Object.entries(wrong))
    t.throws(() => schedule(text), { code: 'ERR_USAGE', message }, text);
});

t.test('a quota is a size', async (t) => {
  t.same(['1', '500GiB', '2 t', '10MB'].map(size), [1, 500 * 2 ** 30, 2 * 2 ** 40, 10 * MIB]);
  for (const text of ['', '0', '-1', '1.5G', 'much', '1025TiB', '9'.repeat(17)])
    t.throws(() => size(text), { code: 'ERR_USAGE' }, text);
});
