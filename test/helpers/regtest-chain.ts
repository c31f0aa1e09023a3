/** The regtest chain of `benchmarks/chaingen`: three sealed segments whose blocks files have several pieces. */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { cachedFolder } from './cached-folder.js';
import { recordOffsets } from './engine.js';
import { outputOf } from './program.js';
import { makeDatadir } from './sample-datadir.js';

const root = fileURLToPath(new URL('../..', import.meta.url));
const source = join(root, 'benchmarks/chaingen/src');
const interval = 144;

export interface RegtestChain {
  /** All blocks as `magic | size | block` records in height order. */
  readonly recordsPath: string;
  /** A data directory that Core's engine made of them. */
  readonly datadir: string;
}

/** The chain; the first call builds the generator when cargo has not, and takes some seconds. */
export async function regtestChain(t: Test): Promise<RegtestChain> {
  const sources = readdirSync(source).sort();
  const inputs = sources.map((name) => readFileSync(join(source, name)));
  const folder = await cachedFolder('regtest-chain', inputs, async (draft) => {
    const recordsPath = join(draft, 'records.dat');
    const cargo = ['run', '--release', '--locked', '--quiet', '-p', 'chaingen', '--', '--out', recordsPath];
    await outputOf(t, 'cargo', cargo, { cwd: root, timeoutMs: 300_000 });
    await makeDatadir(join(draft, 'datadir'), 'regtest', recordsPath);
  });
  return { recordsPath: join(folder, 'records.dat'), datadir: join(folder, 'datadir') };
}

/** The bytes of blocks file `segment`, cut out by no code of ours. */
export function regtestBlocksFile(chain: RegtestChain, segment: number): Buffer {
  const records = readFileSync(chain.recordsPath);
  const offsets = recordOffsets(records);
  return records.subarray(offsets[segment * interval], offsets[(segment + 1) * interval]);
}

/** The hash of a block, as people write it. */
export function regtestHash(chain: RegtestChain, height: number): string {
  const records = readFileSync(chain.recordsPath);
  const start = (recordOffsets(records)[height] ?? 0) + 8;
  const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
  return sha256(sha256(records.subarray(start, start + 80)))
    .reverse()
    .toString('hex');
}
