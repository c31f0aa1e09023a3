// npm run bench -- NAME… | all [--runs N] [--size MIB] [--cold] [--json] [--out FILE]
// npm run bench -- compare FILE FILE [--json]
//
// Runs benchmarks: first a line about the host, then rows as JSON lines (`--json`) or tables. Every benchmark proves that
// all subjects give the same output before it takes a time. `--size` is what make, verify and store work on. `--cold`
// drops their files from the page cache before each run. `--out FILE` appends the JSON lines to a file, and `compare`
// says what is better, worse or the same in the second of two such files.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { compare, comparisonTable } from './compare.mjs';
import { host } from './host.mjs';
import { Report } from './report.mjs';

const benches = {
  hash: () => import('./micro/hash.mjs'),
  store: () => import('./micro/store.mjs'),
  validate: () => import('./micro/validate.mjs'),
  'validate-chain': () => import('./whole/validate.mjs'),
  make: () => import('./whole/make.mjs'),
  verify: () => import('./whole/verify.mjs'),
  seed: () => import('./whole/seed.mjs'),
  get: () => import('./whole/get.mjs'),
  idle: () => import('./whole/idle.mjs'),
  trackers: () => import('./whole/trackers.mjs'),
  dht: () => import('./whole/dht.mjs'),
  datadir: () => import('./whole/datadir.mjs'),
  bootstrap: () => import('./whole/bootstrap.mjs'),
  follow: () => import('./whole/follow.mjs'),
};

const options = {
  json: { type: 'boolean' },
  cold: { type: 'boolean' },
  runs: { type: 'string', default: '5' },
  size: { type: 'string', default: '4096' },
  out: { type: 'string' },
};
// The way out takes along the files and the daemons of a benchmark.
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1));

const { values, positionals } = parseArgs({ options, allowPositionals: true });
const [command, ...files] = positionals;
if (command === 'compare') {
  if (files.length !== 2) refuse('`compare` takes two result files');
  const comparison = compare(...files);
  process.stdout.write(`${values.json ? JSON.stringify(comparison) : comparisonTable(comparison)}\n`);
} else {
  await measure(command === 'all' ? Object.keys(benches) : positionals);
}

async function measure(names) {
  const known = Object.keys(benches);
  const unknown = names.find((name) => !known.includes(name));
  if (names.length === 0 || unknown !== undefined)
    refuse(`no benchmark \`${unknown ?? ''}\`; there are: ${known.join(', ')}, all, compare`);
  const [runs, sizeMiB] = [Number(values.runs), Number(values.size)];
  if (![runs, sizeMiB].every((number) => Number.isSafeInteger(number) && number > 0))
    refuse('`--runs` and `--size` take whole numbers');
  const facts = host();
  write(facts);
  if (!values.json) {
    process.stdout.write(
      `${facts.cpu}, ${facts.cores} cores, ${facts.cpuFeatures.join(' ')}\n${facts.kernel}, Node ${facts.node}, commit ${facts.commit}\n`,
    );
  }
  for (const name of names) {
    const folder = mkdtempSync(
      join(process.env['BLOCKSWARM_BENCH_DIR'] ?? tmpdir(), `blockswarm-bench-${name}-`),
    );
    // A program that was just killed may still write.
    const tidy = () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    process.once('exit', tidy);
    const report = new Report(name, write);
    const { run } = await benches[name]();
    await run({ folder, report, runs, sizeMiB, cold: values.cold ?? false });
    tidy();
    if (!values.json) process.stdout.write(`\n${name}\n${report.table()}\n`);
  }
}

function write(row) {
  const line = `${JSON.stringify(row)}\n`;
  if (values.json) process.stdout.write(line);
  if (values.out) appendFileSync(values.out, line);
}

function refuse(text) {
  process.stderr.write(`${text}\n`);
  process.exit(2);
}
