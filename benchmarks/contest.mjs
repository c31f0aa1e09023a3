// Several programs that do the same to the same bytes, in turn: rate, CPU, memory, the share of the bare loop, and how
// far ours is ahead of each other.
import { spawnSync } from 'node:child_process';
import { dropFromPageCache } from './cold.mjs';

export const ours = 'blockswarm';

/** Those programs that are there. Their versions, and why others are missing, go to the report. */
export function present(programs, report) {
  for (const { name, missing } of programs) if (missing) report.skip(name, missing);
  const there = programs.filter(({ missing }) => !missing);
  const versions = there.flatMap(({ version }) => (version ? [firstLine(version)] : []));
  report.note(`peers: ${versions.join(', ')}`);
  return there;
}

// transmission prints its version on stderr
function firstLine([command, ...args]) {
  const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8' });
  return `${stdout}${stderr}`.split(/\n| \(/, 1)[0];
}

/**
 * `subjects`: name, `measure()` → {seconds, cpuSeconds, peakMiB?}, and `lead`, how much faster we want to be; the first is
 * what the others are held against. `limit`: {name, gibPerSecond} of the bare loop. `paths`: what is read, for `cold`.
 * Returns what was measured of each, by its name.
 */
export async function contest({
  report,
  runs,
  subjects,
  lengthBytes,
  limit,
  memoryMiB,
  cold,
  paths,
  ...row
}) {
  const gib = lengthBytes / 2 ** 30;
  const name = cold ? `${row.case}, cold page cache` : row.case;
  const figures = new Map(subjects.map((subject) => [subject.name, []]));
  for (let i = 0; i < runs; i++) {
    for (const { name: subject, measure } of subjects) {
      if (cold) dropFromPageCache(paths);
      figures.get(subject).push(await measure());
    }
  }
  const [first] = subjects;
  const rates = (subject) => figures.get(subject).map(({ seconds }) => gib / seconds);
  for (const { name: subject } of subjects) {
    const own = figures.get(subject);
    const add = (metric, unit, values, more) =>
      report.add({ case: name, subject, metric, unit, values, ...more });
    const peer = { peer: subject === first.name ? undefined : first.name };
    const bound = subject === ours ? { atMost: memoryMiB } : {};
    add('rate', 'GiB/s', rates(subject), peer);
    add(
      'cpu',
      's/GiB',
      own.map(({ cpuSeconds }) => cpuSeconds / gib),
      peer,
    );
    const peaks = own.flatMap(({ peakMiB }) => peakMiB ?? []);
    if (peaks.length > 0) add('peak memory', 'MiB', peaks, { ...peer, ...bound });
    add(
      `share of ${limit.name}`,
      '%',
      rates(subject).map((rate) => (100 * rate) / limit.gibPerSecond),
    );
  }
  for (const { name: other, lead } of subjects) {
    if (other === ours || !figures.has(ours)) continue;
    const ahead = rates(ours).map((rate, run) => rate / rates(other)[run]);
    report.add({
      case: name,
      subject: ours,
      metric: `rate over ${other}`,
      unit: '×',
      values: ahead,
      atLeast: lead,
    });
  }
  return figures;
}
