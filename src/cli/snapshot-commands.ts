/** `blockswarm snapshot make` and `snapshot verify`. */
import { exitCode } from '../errors.js';
import type { CoinTotals } from '../native.js';
import {
  checkSnapshot,
  makeSnapshot,
  type SnapshotCheck,
  type SnapshotCheckOptions,
  type SnapshotOptions,
  type SnapshotResult,
} from '../node/coin-set.js';
import { displayHash, formatBytes, formatDuration } from '../units.js';
import { culpritJson, culpritLines } from './culprits.js';
import { nothingKept, stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { CommandContext } from './program.js';

const SATOSHI = 100_000_000n;

type MakeOptions = Omit<SnapshotOptions, 'stateDir'> & { readonly stateDir?: string };

export async function snapshotMakeCommand({
  env,
  output,
  options,
  outcome,
}: CommandContext<MakeOptions>): Promise<void> {
  const startMs = performance.now();
  const settings = { ...options, stateDir: stateDir(env, options.stateDir) };
  const result = await makeSnapshot(settings, env.signal, jobReport(output)).catch(
    nothingKept(env, 'no file was written'),
  );
  const ms = performance.now() - startMs;
  if (result.file === null || result.knownToCore === false) outcome.exitCode = exitCode('ERR_COINS');
  const { network, file, height, blockHash, totals, lengthBytes, knownToCore, culprits } = result;
  const json = {
    network,
    file,
    height,
    blockHash: displayHash(blockHash),
    ...(totals && totalsJson(totals)),
    lengthBytes,
    knownToCore,
    seconds: ms / 1000,
    ...(culprits.length > 0 && { culprits: culprits.map(culpritJson) }),
  };
  output.result(json, () => madeText(result, options.hints, ms));
}

function madeText(result: SnapshotResult, hints: string | undefined, ms: number): string {
  const { network, file, height, blockHash, totals, lengthBytes, knownToCore, culprits } = result;
  if (!file || !totals) {
    return [
      `no snapshot: the coins of the blocks 0 to ${height} of ${network} do not add up`,
      ...culpritLines(culprits),
    ].join('\n');
  }
  const proof =
    hints === undefined
      ? 'every spend was found to be of a coin that was created like that, once'
      : 'the hints were believed; `snapshot verify` with the chain proves the file';
  return [
    `${file}: the coins of ${network} after block ${height}, ${formatBytes(lengthBytes)}, in ${formatDuration(ms)}`,
    ...totalsLines(blockHash, totals),
    `  ${knownText(knownToCore)}`,
    `  ${proof}`,
  ].join('\n');
}

type VerifyOptions = Omit<SnapshotCheckOptions, 'stateDir' | 'file'> & { readonly stateDir?: string };

export async function snapshotVerifyCommand({
  env,
  output,
  options,
  args,
  outcome,
}: CommandContext<VerifyOptions>): Promise<void> {
  const startMs = performance.now();
  const settings = { ...options, file: args[0] ?? '', stateDir: stateDir(env, options.stateDir) };
  const check = await checkSnapshot(settings, env.signal, jobReport(output)).catch(
    nothingKept(env, 'nothing was found out'),
  );
  const ms = performance.now() - startMs;
  if (check.knownToCore === false || check.isOfChain === false) outcome.exitCode = exitCode('ERR_SNAPSHOT');
  const { network, file, height, blockHash, totals, knownToCore, isOfChain, culprits } = check;
  const levels = { firstHeight: 0, endHeight: (height ?? 0) + 1, levels: ['chain', 'set'] };
  const json = {
    network,
    file,
    height,
    blockHash: displayHash(blockHash),
    ...totalsJson(totals),
    knownToCore,
    proven: isOfChain ? [levels] : [],
    seconds: ms / 1000,
    ...(culprits.length > 0 && { culprits: culprits.map(culpritJson) }),
  };
  output.result(json, () => checkText(check, ms));
}

function checkText(check: SnapshotCheck, ms: number): string {
  const { network, file, height, blockHash, totals, knownToCore, isOfChain, culprits } = check;
  const where = height === null ? 'of an unknown height' : `after block ${height}`;
  const lines = [
    `${file}: a snapshot of ${network} ${where}, well-formed, in ${formatDuration(ms)}`,
    ...totalsLines(blockHash, totals),
    `  ${knownText(knownToCore)}`,
  ];
  if (isOfChain === null)
    lines.push('  not compared with a chain: --datadir or --segments proves each of its coins');
  else if (isOfChain)
    lines.push(`  proven: its coins are those that the blocks 0 to ${height} create and do not spend`);
  else lines.push('  WRONG: its coins are not those that the chain leaves', ...culpritLines(culprits));
  return lines.join('\n');
}

function knownText(knownToCore: boolean | null): string {
  if (knownToCore === null) return 'not known to Core: it has no hash of the coins after this block';
  return knownToCore
    ? 'known to Core: the hash is the one in its source'
    : 'WRONG: Core has another hash of the coins after this block in its source';
}

function totalsJson({ coins, value, hashSerialized, muhash }: CoinTotals) {
  return {
    coins,
    valueSatoshi: value,
    hashSerialized: displayHash(hashSerialized),
    muhash: displayHash(muhash),
  };
}

function totalsLines(blockHash: Uint8Array, totals: CoinTotals): string[] {
  const { coins, value, hashSerialized, muhash } = totals;
  return [
    `  block            ${displayHash(blockHash)}`,
    `  coins            ${coins}, ${bitcoin(value)} BTC`,
    `  hash_serialized  ${displayHash(hashSerialized)}`,
    `  muhash           ${displayHash(muhash)}`,
  ];
}

function bitcoin(satoshi: number): string {
  const value = BigInt(satoshi);
  return `${value / SATOSHI}.${String(value % SATOSHI).padStart(8, '0')}`;
}
