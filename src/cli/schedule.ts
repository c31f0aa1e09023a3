/** Reads `--schedule`: when which rates hold. */
import { BlockswarmError } from '../errors.js';
import type { RateSchedule } from '../node/peering.js';
import { rate } from './options.js';

const days = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
const minutesOfDay = 24 * 60;

/** One more schedule: `mon-fri 08:00-18:00 up=1MiB down=5MiB`, `sat,sun 22:00-06:00 up=0`; without days: every day. */
export function schedule(text: string, all: readonly RateSchedule[] = []): RateSchedule[] {
  const words = text.trim().toLowerCase().split(/\s+/);
  const hasDays = /^[a-z]/.test(words[0] ?? '') && !/=/.test(words[0] ?? '');
  const [span = '', ...rates] = hasDays ? words.slice(1) : words;
  const [, from = '', to = ''] = /^(\d\d:\d\d)-(\d\d:\d\d)$/.exec(span) ?? [];
  const [fromMinute, toMinute] = [minuteOf(from), minuteOf(to)];
  if (fromMinute === null || toMinute === null || fromMinute === minutesOfDay)
    throw wrong(text, 'a time span such as 08:00-18:00 is missing');
  if (fromMinute === toMinute) throw wrong(text, 'the span is empty (a whole day is 00:00-24:00)');
  return [
    ...all,
    {
      ...(hasDays && { days: daysOf(words[0] ?? '', text) }),
      fromMinute,
      toMinute,
      rates: ratesOf(rates, text),
    },
  ];
}

function minuteOf(time: string): number | null {
  const [, hours, minutes] = /^(\d\d):([0-5]\d)$/.exec(time) ?? [];
  const minute = Number(hours) * 60 + Number(minutes);
  return minute <= minutesOfDay ? minute : null;
}

/** `mon`, `sat,sun`, `fri-mon`. */
function daysOf(list: string, text: string): number[] {
  const found = new Set<number>();
  for (const part of list.split(',')) {
    const [first = '', last = first, ...more] = part.split('-');
    const [from, to] = [days.indexOf(first), days.indexOf(last)];
    if (from < 0 || to < 0 || more.length > 0)
      throw wrong(text, `\`${part}\` is no day (mon, mon-fri, sat,sun)`);
    for (let day = from; ; day = (day + 1) % 7) {
      found.add(day);
      if (day === to) break;
    }
  }
  return [...found];
}

function ratesOf(words: readonly string[], text: string): RateSchedule['rates'] {
  const rates = new Map<string, number>();
  for (const word of words) {
    const [, name = '', value = ''] = /^(up|down)=(.+)$/.exec(word) ?? [];
    if (name === '' || rates.has(name))
      throw wrong(text, `\`${word}\` is none of up=RATE and down=RATE, each once`);
    rates.set(name, rate(value));
  }
  const [up, down] = [rates.get('up'), rates.get('down')];
  if (up === undefined && down === undefined) throw wrong(text, 'up=RATE or down=RATE is missing');
  return {
    ...(up !== undefined && { uploadBytesPerSecond: up }),
    ...(down !== undefined && { downloadBytesPerSecond: down }),
  };
}

function wrong(text: string, why: string): BlockswarmError {
  return new BlockswarmError(
    'ERR_USAGE',
    `expected a schedule such as 'mon-fri 08:00-18:00 up=1MiB down=5MiB', got \`${text}\`: ${why}`,
  );
}
