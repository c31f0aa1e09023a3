// Two result files held against each other, row by row: better or worse only where the spreads do not touch and the
// medians are further apart than two runs of the same on a quiet machine.
import { readFileSync } from 'node:fs';
import { aligned, rounded } from './report.mjs';

const sameWithin = 0.02;
const biggerIsBetter = new Set(['GiB/s', '%', '×']);

/** Rows that both files hold: medians, spreads, ratio of the second to the first, and a verdict. */
export function compare(firstPath, secondPath) {
  const first = rowsOf(firstPath);
  const second = rowsOf(secondPath);
  const rows = [];
  for (const [key, before] of first) {
    const after = second.get(key);
    if (!after || after.unit !== before.unit) continue;
    rows.push({
      bench: before.bench,
      case: before.case,
      subject: before.subject,
      metric: before.metric,
      unit: before.unit,
      before: spreadOf(before),
      after: spreadOf(after),
      ratio: rounded(after.value / before.value),
      verdict: verdict(before, after),
    });
  }
  const alone = (own, other) => [...own.keys()].filter((key) => !other.has(key)).length;
  return { rows, onlyInFirst: alone(first, second), onlyInSecond: alone(second, first) };
}

/** The same as text for people. */
export function comparisonTable({ rows, onlyInFirst, onlyInSecond }) {
  const spread = ({ value, min, max }) => (min < max ? `${value} (${min}–${max})` : `${value}`);
  const lines = rows.map((row) => [
    row.verdict,
    row.ratio,
    row.bench,
    row.case,
    row.subject,
    `${row.metric}, ${row.unit}`,
    spread(row.before),
    spread(row.after),
  ]);
  const head = ['', 'ratio', 'bench', 'case', 'subject', 'metric', 'first', 'second'];
  const count = (wanted) => rows.filter((row) => row.verdict === wanted).length;
  const sums = `${count('better')} better, ${count('worse')} worse, ${count('same')} the same`;
  return `${aligned([head, ...lines])}\n\n${sums}; ${onlyInFirst} only in the first, ${onlyInSecond} only in the second`;
}

/** The rows of a file by what they measure. A file that was appended to counts with its last. */
function rowsOf(path) {
  const lines = readFileSync(path, 'utf8').split('\n').filter(Boolean);
  const rows = lines
    .map((line) => JSON.parse(line))
    .filter(({ metric }) => metric)
    .map(inGib);
  return new Map(rows.map((row) => [[row.bench, row.case, row.subject, row.metric].join('\t'), row]));
}

/** Rates were in MiB/s at first. */
function inGib(row) {
  return row.unit === 'MiB/s' ? { ...row, value: rounded(row.value / 1024), unit: 'GiB/s' } : row;
}

/** Nor had rows a spread. */
function spreadOf({ value, min = value, max = value, runs = 1 }) {
  return { value, min, max, runs };
}

function verdict(before, after) {
  const [old, now] = [spreadOf(before), spreadOf(after)];
  const touching = now.min <= old.max && old.min <= now.max;
  if (touching || Math.abs(now.value / old.value - 1) < sameWithin) return 'same';
  const biggerBetter = biggerIsBetter.has(before.unit) && before.atMost === undefined;
  return now.value > old.value === biggerBetter ? 'better' : 'worse';
}
