import * as bindings from '../../bindings/index.js';
import { call, counted } from './task.js';

/** One thing about a coin that does not add up; `text` says it all in words. Hashes are 32 bytes in internal order. */
export type CoinCulprit = Readonly<bindings.CoinCulprit>;

/** What a set of coins comes to, as `gettxoutsetinfo` tells. */
export type CoinTotals = Readonly<bindings.CoinTotals>;

/** Outcomes that have culprits, at most ten, have no file. */
export type MadeHints = Readonly<bindings.MadeHints>;

export type MadeSnapshot = Readonly<bindings.MadeSnapshot>;

export type ReadSnapshot = Readonly<bindings.ReadSnapshot>;

/** A snapshot whose hash is in Core's own source. */
export type CoreSnapshot = Readonly<bindings.CoreSnapshot>;

/** How a pass over a chain runs. */
export interface CoinSetOptions {
  /** An existing folder: what does not fit into memory lies there meanwhile, in files without a name. */
  readonly scratch: string;
  readonly memoryBytes: number;
  readonly threads: number;
  /** Heights done in all passes; of a snapshot that is read, bytes. */
  readonly progress: (done: number) => void;
  readonly signal: AbortSignal;
}

/** Reads a UTXO snapshot from end to end. @throws BlockswarmError ERR_SNAPSHOT, ERR_IO */
export function readSnapshot(
  path: string,
  options: Pick<CoinSetOptions, 'threads' | 'progress' | 'signal'>,
): Promise<ReadSnapshot> {
  return counted(options, (counter, cancel) =>
    bindings.readCoinSnapshot(path, options.threads, counter, cancel),
  );
}

/** The lowest height first. @throws BlockswarmError ERR_NETWORK_UNKNOWN */
export function coreSnapshots(network: string): readonly CoreSnapshot[] {
  return call(() => bindings.coreSnapshots(network));
}
