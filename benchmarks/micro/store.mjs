// The piece store: reading a segment through extents against reading it as one file, undoing the XOR of Core's block
// files, and pieces that are put together and written against a bare loop that writes them.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { cargoProgram } from '../cargo.mjs';
import { contest, ours } from '../contest.mjs';
import { copyLimit } from '../limits.mjs';
import { json, measured } from '../programs.mjs';

/** A segment of 3 GiB where the other benchmarks work on 4. */
const share = 3 / 4;

export async function run(context) {
  const storeloop = cargoProgram('storeloop');
  const mib = Math.ceil(context.sizeMiB * share);
  const common = { ...context, lengthBytes: mib * 2 ** 20, limit: copyLimit() };
  await reading(storeloop, mib, common);
  await undoing(storeloop, context);
  await writing(storeloop, mib, { ...common, cold: false });
}

async function reading(storeloop, mib, { folder, report, ...common }) {
  const place = [folder, String(mib)];
  const { extents } = await json(storeloop, ['lay', ...place]);
  const through = `${extents} extents`;
  const ways = { 'one file': 'file', [through]: 'extents', [`${through}, XOR undone`]: 'undone' };
  const name = `reading ${mib} MiB in parts of 256 KiB`;
  const figures = await contest({
    ...common,
    report,
    case: name,
    subjects: Object.entries(ways).map(([subject, way]) => ({
      name: subject,
      measure: () => measured([storeloop, 'read', way, ...place]),
    })),
    paths: [folder],
  });
  rmSync(join(folder, 'segment.dat'));
  // Waiting for the disk is nothing that extents could save.
  if (common.cold) return;
  const cpu = (subject) => figures.get(subject).map(({ cpuSeconds }) => cpuSeconds);
  report.add({
    case: name,
    subject: through,
    metric: 'cpu over one file',
    unit: '×',
    values: cpu(through).map((seconds, run) => seconds / cpu('one file')[run]),
    atMost: 1.15,
  });
}

async function undoing(storeloop, { report, runs }) {
  const seen = [];
  for (let i = 0; i < runs; i++) seen.push(await json(storeloop, ['xor']));
  const row = { case: `undoing XOR in 256 KiB, ${seen[0].ways} alignments and keys`, unit: 'GiB/s' };
  const median = seen.map((figures) => figures.median);
  report.add({ ...row, subject: ours, metric: 'rate, median', values: median });
  report.add({
    ...row,
    subject: ours,
    metric: 'rate, slowest',
    values: seen.map(({ slowest }) => slowest),
    atLeast: 20,
  });
  const { name, gibPerSecond } = copyLimit();
  const shares = median.map((rate) => (100 * rate) / gibPerSecond);
  report.add({ ...row, subject: ours, metric: `share of ${name}`, unit: '%', values: shares });
}

async function writing(storeloop, mib, { folder, ...common }) {
  const ways = { 'bare loop': 'loop', 'bare loop that hashes': 'hashed', [ours]: 'store' };
  await contest({
    ...common,
    case: `writing ${mib} MiB in pieces of 4 MiB`,
    subjects: Object.entries(ways).map(([subject, way]) => ({
      name: subject,
      measure: () => measured([storeloop, 'write', way, folder, String(mib)]),
    })),
  });
}
