// Validation on this processor's cores against a bare loop over Core's verifier: every consensus rule with scripts, all
// but the scripts, and the bytes of blocks alone. On a generated chain and on the real blocks of the sample folder.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/cache.mjs';
import { cargoProgram } from '../cargo.mjs';
import { ours } from '../contest.mjs';
import { json } from '../programs.mjs';

const bare = 'the verifier alone';
const names = { bare, scripts: ours, rest: `${ours}, scripts left out`, chain: `${ours}, bytes alone` };

export async function run({ report, runs }) {
  const validateloop = cargoProgram('validateloop');
  const samples = join(root, '../shared/data/blocks');
  const args = ['--runs', String(runs)];
  if (existsSync(samples)) args.push('--samples', samples);
  else report.skip('real mainnet blocks', `no ${samples}`);
  for (const figures of (await json(validateloop, args)).cases) add(report, figures);
}

function add(report, { case: name, blocks, inputs, bytes, rows }) {
  const seconds = (subject, threads) =>
    rows.find((row) => row.subject === subject && row.threads === threads).seconds;
  const over = (values, others) => values.map((value, run) => value / others[run]);
  for (const threads of [1, 2]) {
    const row = {
      case: `${name}: ${blocks} blocks, ${inputs} inputs, ${threads === 1 ? 'one core' : 'two cores'}`,
    };
    for (const subject of ['bare', 'scripts', 'rest', 'chain']) {
      const own = seconds(subject, threads);
      const label = names[subject];
      const rate = { ...row, subject: label, metric: 'inputs', unit: '1/s' };
      const speed = { ...row, subject: label, metric: 'blocks', unit: 'MiB/s' };
      if (subject !== 'chain') report.add({ ...rate, values: own.map((time) => inputs / time) });
      const wanted = subject === 'chain' && threads === 1 ? { atLeast: 400 } : {};
      report.add({ ...speed, values: own.map((time) => bytes / 2 ** 20 / time), ...wanted });
    }
    if (blocks === 1) {
      // One large transaction: the verifier copies what its inputs share for each of them.
      const wanted = threads === 1 ? { atMost: 0.1 } : {};
      const time = { ...row, subject: ours, metric: 'time', unit: 's' };
      report.add({ ...time, values: seconds('scripts', threads), ...wanted });
      continue;
    }
    const [alone, scripts, rest] = ['bare', 'scripts', 'rest'].map((subject) => seconds(subject, threads));
    const ratio = { ...row, subject: ours, unit: '×' };
    report.add({ ...ratio, metric: `rate over ${bare}`, values: over(alone, scripts), atLeast: 0.93 });
    report.add({ ...ratio, metric: 'all but scripts over all', values: over(rest, scripts), atMost: 0.07 });
    if (threads === 2) {
      const scaling = over(over(seconds('scripts', 1), scripts), over(seconds('bare', 1), alone));
      report.add({
        ...ratio,
        metric: `gain of the second core over that of ${bare}`,
        values: scaling,
        atLeast: 0.95,
      });
    }
  }
}
