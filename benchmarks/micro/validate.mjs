// Validation on this processor's cores against a bare loop over Core's verifier: every consensus rule with scripts and
// sums, the same without scripts, and the bytes of blocks alone; and the sums over coins against a bare SHA-256 loop. On
// a generated chain of more than two million inputs, and on the real blocks of the sample folder. Two more
// blocks are legal and cost the most.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/cache.mjs';
import { cargoProgram } from '../cargo.mjs';
import { cachedDatadir, signedChain } from '../chains.mjs';
import { ours } from '../contest.mjs';
import { json } from '../programs.mjs';

const bare = 'the verifier alone';
const names = { bare, scripts: ours, rest: `${ours}, scripts left out`, chain: `${ours}, bytes alone` };
const hashed = { sha256: 'SHA-256 alone', sums: `${ours}, salted sums`, muhash: `${ours}, MuHash` };

export async function run({ report, runs }) {
  const validateloop = cargoProgram('validateloop');
  const samples = join(root, '../shared/data/blocks');
  const args = ['--runs', String(runs), join(cachedDatadir(signedChain), 'regtest', 'blocks')];
  if (existsSync(samples)) args.push('--samples', samples);
  else report.skip('real mainnet blocks', `no ${samples}`);
  // Some five minutes each on two cores.
  const { cases } = await json(validateloop, args, { timeout: runs * 1_200_000 });
  report.note(
    'the last block has 1,000 inputs of 24,300 that a block has room for: such a one takes 590 times as long',
  );
  for (const figures of cases) {
    addRules(report, figures);
    if (figures.blocks > 1) addSums(report, figures);
  }
}

const over = (values, others) => values.map((value, run) => value / others[run]);

function addRules(report, { case: name, blocks, inputs, bytes, rows }) {
  const of = (subject, threads) => rows.find((row) => row.subject === subject && row.threads === threads);
  const seconds = (subject, threads) => of(subject, threads).seconds;
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
      const wanted = subject === 'chain' && threads === 1 && blocks > 1 ? { atLeast: 400 } : {};
      report.add({ ...speed, values: own.map((time) => bytes / 2 ** 20 / time), ...wanted });
    }
    if (blocks === 1) {
      // One large transaction: the verifier copies what its inputs share for each of them.
      const wanted = threads === 1 && name.startsWith('mainnet') ? { atMost: 0.1 } : {};
      const time = { ...row, metric: 'time', unit: 's' };
      for (const subject of ['bare', 'scripts'])
        report.add({
          ...time,
          subject: names[subject],
          values: seconds(subject, threads),
          ...(subject === 'scripts' ? wanted : {}),
        });
      continue;
    }
    const [alone, scripts, rest] = ['bare', 'scripts', 'rest'].map((subject) => seconds(subject, threads));
    const ratio = { ...row, subject: ours, unit: '×' };
    report.add({ ...ratio, metric: `rate over ${bare}`, values: over(alone, scripts), atLeast: 0.93 });
    const [aloneCpu, scriptsCpu] = ['bare', 'scripts'].map((subject) => of(subject, threads).cpuSeconds);
    report.add({ ...ratio, metric: `the same by CPU time`, values: over(aloneCpu, scriptsCpu) });
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

function addSums(report, { case: name, coins, hashedBytes, rows }) {
  const seconds = (subject) => rows.find((row) => row.subject === subject).seconds;
  const row = { case: `${name}: sums over ${coins} coins of ${Math.round(hashedBytes / coins)} bytes` };
  for (const [subject, label] of Object.entries(hashed)) {
    const values = seconds(subject).map((time) => coins / time);
    report.add({ ...row, subject: label, metric: 'coins', unit: '1/s', values });
  }
  const values = over(seconds('sha256'), seconds('sums'));
  const metric = `salted sums over ${hashed.sha256}`;
  report.add({ ...row, subject: ours, metric, unit: '×', values, atLeast: 0.8 });
}
