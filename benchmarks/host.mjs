// What a measurement was made on: the first line of every result.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, hostname, release } from 'node:os';
import { root } from '../scripts/cache.mjs';

/** Instruction sets that hashing and copying depend on. */
const interesting = [
  'ssse3',
  'avx2',
  'avx512f',
  'avx512bw',
  'sha_ni',
  'sha512',
  'vaes',
  'asimd',
  'sha1',
  'sha2',
];

export function host() {
  const cpuinfo = readFileSync('/proc/cpuinfo', 'utf8');
  const field = (name) => cpuinfo.match(new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm'))?.[1] ?? '';
  const flags = (field('flags') || field('Features')).split(' ');
  return {
    host: hostname(),
    cpu: field('model name') || process.arch,
    cpuFeatures: interesting.filter((flag) => flags.includes(flag)),
    cores: availableParallelism(),
    memoryBytes: Number(readFileSync('/proc/meminfo', 'utf8').match(/MemTotal:\s+(\d+)/)?.[1]) * 1024,
    kernel: release(),
    node: process.version,
    commit:
      git('rev-parse', '--short=12', 'HEAD') +
      (git('status', '--porcelain', '--', '.', ':!benchmarks/results') ? '+' : ''),
  };
}

function git(...args) {
  try {
    return execFileSync('git', args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  } catch {
    return 'unknown';
  }
}
