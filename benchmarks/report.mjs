// Rows of a benchmark: JSON lines for programs, tables for people.
//
//   {bench, case, subject, metric, value, unit, runs, min, max, peer?, ratio?, atLeast?, atMost?, reached?}
//   {bench, skipped, why}          a peer or a case that could not be measured
//   {bench, note}                  what a reader of the rows must know
//
// `value` is the median of the runs, `min` and `max` their spread. `ratio` is the subject's value over that of the named
// peer. `atLeast` and `atMost` are what is wanted, `reached` whether the median does.

export class Report {
  #bench;
  #write;
  #rows = [];
  #remarks = [];

  constructor(bench, write) {
    this.#bench = bench;
    this.#write = write;
  }

  /** Takes the values of all runs of one metric of one subject. */
  add({ subject, metric, unit, values, peer, atLeast, atMost, ...rest }) {
    const row = {
      bench: this.#bench,
      case: rest.case,
      subject,
      metric,
      value: rounded(median(values)),
      unit,
      runs: values.length,
      min: rounded(Math.min(...values)),
      max: rounded(Math.max(...values)),
    };
    const other =
      peer &&
      this.#rows.find((seen) => seen.subject === peer && seen.metric === metric && seen.case === row.case);
    if (other) Object.assign(row, { peer, ratio: rounded(row.value / other.value) });
    if (atLeast !== undefined) Object.assign(row, { atLeast, reached: row.value >= atLeast });
    if (atMost !== undefined) Object.assign(row, { atMost, reached: row.value <= atMost });
    this.#rows.push(row);
    this.#write(row);
  }

  skip(skipped, why) {
    this.#write({ bench: this.#bench, skipped, why });
    this.#remarks.push(`skipped ${skipped}: ${why}`);
  }

  note(note) {
    this.#write({ bench: this.#bench, note });
    this.#remarks.push(note);
  }

  /** A table for each case, subjects against metrics; below it what is wanted and whether it was reached. */
  table() {
    const cases = grouped(this.#rows, (row) => row.case);
    const tables = [...cases].map(([name, rows]) => `${name}\n${caseTable(rows)}`);
    return [...tables, ...this.#remarks].join('\n\n');
  }
}

function caseTable(rows) {
  const head = (row) => `${row.metric}, ${row.unit}`;
  const measured = rows.filter((row) => row.unit !== '×');
  const metrics = [...new Set(measured.map(head))];
  const lines = [...grouped(measured, (row) => row.subject)].map(([subject, own]) => [
    subject,
    ...metrics.map((metric) => cell(own.find((row) => head(row) === metric))),
  ]);
  const wanted = rows.filter((row) => row.unit === '×' || row.reached !== undefined).map(verdict);
  return [aligned([['', ...metrics], ...lines]), ...wanted].filter(Boolean).join('\n');
}

/** Map.groupBy, which Node 20 lacks. */
function grouped(rows, key) {
  const groups = new Map();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return groups;
}

function cell(row) {
  if (!row) return '';
  const spread = row.min < row.max ? ` (${row.min}–${row.max})` : '';
  return `${row.value}${spread}${row.ratio === undefined ? '' : ` ×${row.ratio}`}`;
}

function verdict(row) {
  const text = `${row.subject}, ${row.metric}: ${row.value} ${row.unit}`;
  if (row.reached === undefined) return `       ${text}`;
  const limit = row.atLeast === undefined ? `at most ${row.atMost}` : `at least ${row.atLeast}`;
  return `${`${row.reached ? 'ok' : 'SHORT'.padEnd(5)}`.padEnd(7)}${text}, ${limit} wanted`;
}

/** Lines of cells as text, each column as wide as its widest cell. */
export function aligned(lines) {
  const texts = lines.map((line) => line.map(String));
  const widths = texts[0].map((_, column) => Math.max(...texts.map((line) => line[column].length)));
  const padded = (line) => line.map((text, column) => text.padEnd(widths[column])).join('  ');
  return texts.map((line) => padded(line).trimEnd()).join('\n');
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Four significant digits: no run here repeats more of them. */
export function rounded(value) {
  return Number(value.toPrecision(4));
}
