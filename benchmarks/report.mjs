// Rows of a benchmark: JSON lines for programs, a table for people.
//
//   {bench, case, subject, metric, value, unit, peer?, ratio?}
//
// `value` is the median of the runs. `ratio` is the subject's value over that of the named peer.

export class Report {
  #bench;
  #write;
  #rows = [];

  constructor(bench, write) {
    this.#bench = bench;
    this.#write = write;
  }

  /** Takes the values of all runs of one metric of one subject. */
  add({ subject, metric, unit, values, peer, ...rest }) {
    const row = {
      bench: this.#bench,
      case: rest.case,
      subject,
      metric,
      value: rounded(median(values)),
      unit,
    };
    const other =
      peer &&
      this.#rows.find((seen) => seen.subject === peer && seen.metric === metric && seen.case === row.case);
    if (other) Object.assign(row, { peer, ratio: rounded(row.value / other.value) });
    this.#rows.push(row);
    this.#write(row);
  }

  table() {
    const head = ['case', 'subject', 'metric', 'value', 'unit', 'against', 'ratio'];
    const cells = this.#rows.map((row) => [
      row.case,
      row.subject,
      row.metric,
      row.value,
      row.unit,
      row.peer ?? '',
      row.ratio ?? '',
    ]);
    const texts = [head, ...cells].map((line) => line.map(String));
    const widths = head.map((_, column) => Math.max(...texts.map((line) => line[column].length)));
    return texts
      .map((line) =>
        line
          .map((text, column) => text.padEnd(widths[column]))
          .join('  ')
          .trimEnd(),
      )
      .join('\n');
  }
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Four significant digits: no run here repeats more of them. */
function rounded(value) {
  return Number(value.toPrecision(4));
}
