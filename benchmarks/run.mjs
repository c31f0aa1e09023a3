// npm run bench -- [NAME…] [--json] [--runs N] [--out FILE]
//
// Runs benchmarks (all of them without a name): first a line about the host, then rows as JSON lines (`--json`) or a table. Every benchmark
// proves that all subjects give the same output before it takes a time. `--out FILE` appends the JSON lines to a file.
import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ensureDebianPeers } from '../scripts/debian-peers.mjs';
import { ensureLibtorrent } from '../scripts/libtorrent.mjs';
import { host } from './host.mjs';
import { Report } from './report.mjs';

const benches = {
  hash: () => import('./micro/hash.mjs'),
  seed: () => import('./whole/seed.mjs'),
  bootstrap: () => import('./whole/bootstrap.mjs'),
};

const options = {
  json: { type: 'boolean' },
  runs: { type: 'string', default: '5' },
  out: { type: 'string' },
};
const { values, positionals } = parseArgs({ options, allowPositionals: true });
const names = positionals.length > 0 ? positionals : Object.keys(benches);
for (const name of names) {
  if (!Object.hasOwn(benches, name)) {
    process.stderr.write(`no benchmark \`${name}\`; there are: ${Object.keys(benches).join(', ')}\n`);
    process.exit(2);
  }
}

const write = (row) => {
  const line = `${JSON.stringify(row)}\n`;
  if (values.json) process.stdout.write(line);
  if (values.out) appendFileSync(values.out, line);
};
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
  const tidy = () => rmSync(folder, { recursive: true, force: true });
  process.once('exit', tidy);
  const report = new Report(name, write);
  const { run } = await benches[name]();
  await run({
    folder,
    report,
    runs: Number(values.runs),
    peers: { python: ensureLibtorrent(), ...ensureDebianPeers() },
  });
  tidy();
  if (!values.json) process.stdout.write(`\n${name}\n${report.table()}\n`);
}
