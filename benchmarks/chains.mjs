// Chains of benchmarks/chaingen, made once and kept in the cache: by what was asked for and the generator's source.
// `node benchmarks/chains.mjs` makes the largest, a data directory of 2 GiB, and prints where it lies.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cacheFolder, fingerprint, keepNewest, keyOf } from '../scripts/cache.mjs';
import { cargoProgram } from './cargo.mjs';

/** A chain may have some GiB. */
const keptChains = 4;
/** The flags of 2 GiB of regtest in 16 sealed segments, as a download leaves them, with branches that were left. */
export const largeChain = [
  '--blocks=2400',
  '--bytes-per-block=900000',
  '--inputs-per-block=1500',
  '--stale-every=250',
  '--reorg=1100:2',
  '--xor',
  '--shuffle',
];

/**
 * The flags of 2.3 million signed inputs, and on top of them as many blocks of nothing as outlast the two weeks above
 * Core's assumed-valid block. Plain block files, by height.
 */
export const signedChain = [
  '--blocks=3250',
  '--empty-blocks=2100',
  '--bytes-per-block=660000',
  '--inputs-per-block=2200',
];

/** The file of a chain's records, in order of arrival; `flags` are chaingen's. */
export function cachedRecords(flags) {
  return join(cachedChain('--out', 'records.dat', flags), 'records.dat');
}

/** A data directory with a chain, written by Core's engine. Only read it: it is shared. */
export function cachedDatadir(flags) {
  return join(cachedChain('--datadir', 'datadir', flags), 'datadir');
}

/** The folder with what chaingen made and said. It appears as a whole or not at all. */
function cachedChain(kind, name, flags) {
  const source = fingerprint('benchmarks/chaingen/src', 'benchmarks/chaingen/Cargo.toml');
  const chains = cacheFolder('chains');
  const folder = join(chains, keyOf(source, kind, ...flags));
  if (existsSync(folder)) {
    utimesSync(folder, new Date(), new Date());
    return folder;
  }
  const program = cargoProgram('chaingen');
  const draft = mkdtempSync(join(chains, 'draft-'));
  try {
    const args = flags.flatMap((flag) => flag.split('='));
    const report = execFileSync(program, [kind, join(draft, name), ...args], { encoding: 'utf8' });
    writeFileSync(join(draft, 'report.json'), report);
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
  keepNewest(chains, keptChains);
  return folder;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const begun = performance.now();
  const datadir = cachedDatadir(largeChain);
  const seconds = Math.round((performance.now() - begun) / 1000);
  const report = JSON.parse(readFileSync(join(datadir, '..', 'report.json'), 'utf8'));
  process.stdout.write(`${JSON.stringify({ datadir, seconds, ...report })}\n`);
}
