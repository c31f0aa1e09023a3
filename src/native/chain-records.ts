import * as bindings from '../../bindings/index.js';
import type { CoinCulprit, CoinSetOptions, MadeHints, MadeSnapshot } from './coins.js';
import { counted, task } from './task.js';

/** A chain's blocks and undo records by height, from genesis on; its headers were judged. */
export class ChainRecords {
  readonly #inner: bindings.ChainRecords;

  private constructor(inner: bindings.ChainRecords) {
    this.#inner = inner;
  }

  /** See `Datadir.chainRecords`. */
  static async ofDatadir(datadir: bindings.Datadir, signal: AbortSignal): Promise<ChainRecords> {
    const open = (cancel: bindings.CancelFlag) =>
      bindings.ChainRecords.ofDatadir(datadir, nowSeconds(), cancel);
    return new ChainRecords(await task(open, signal));
  }

  /**
   * The chain of a folder of segment files, from segment 0 to the last one without a gap; spent files may be missing.
   * @throws BlockswarmError ERR_NETWORK_UNKNOWN, ERR_DATADIR_EMPTY, ERR_DATADIR_UNREADABLE, ERR_BLOCK_DAMAGED,
   *   ERR_SPENT_MISSING, ERR_HEADERS
   */
  static async ofSegments(folder: string, network: string, signal: AbortSignal): Promise<ChainRecords> {
    const open = (cancel: bindings.CancelFlag) =>
      bindings.ChainRecords.ofSegments(folder, network, nowSeconds(), cancel);
    return new ChainRecords(await task(open, signal));
  }

  /** Behind the last block held. */
  endHeight(): number {
    return this.#inner.endHeight();
  }

  /** Whether it has less work than the floor of its network. */
  isBelowWorkFloor(): boolean {
    return this.#inner.isBelowWorkFloor();
  }

  /** 32 bytes, internal order; null beyond the chain. */
  hashAt(height: number): Uint8Array | null {
    return this.#inner.hashAt(height);
  }

  /** Null when the chain has no such block. */
  heightOf(hash: Uint8Array): number | null {
    return this.#inner.heightOf(hash);
  }

  /**
   * Writes to `out` which coins of the blocks below `endHeight` survive: found in blocks and undo records, or taken from a
   * snapshot.
   * @throws BlockswarmError ERR_SEGMENT_RANGE, ERR_SPENT_MISSING, ERR_UNDO_OLD, ERR_BLOCK_DAMAGED, ERR_BLOCK_PRUNED,
   *   ERR_DATADIR_UNREADABLE, ERR_SNAPSHOT, ERR_IO, ERR_DISK_FULL
   */
  makeHints(
    endHeight: number,
    snapshot: string | undefined,
    out: string,
    options: CoinSetOptions,
  ): Promise<MadeHints> {
    return counted(options, (counter, cancel) =>
      bindings.makeCoinHints(this.#inner, endHeight, snapshot, out, options, counter, cancel),
    );
  }

  /**
   * Writes the coins that the blocks below `endHeight` leave to `out`, in Core's format. Hints are believed.
   * @throws BlockswarmError as `makeHints`, and ERR_HINTS
   */
  makeSnapshot(
    endHeight: number,
    hints: string | undefined,
    out: string,
    options: CoinSetOptions,
  ): Promise<MadeSnapshot> {
    return counted(options, (counter, cancel) =>
      bindings.makeCoinSnapshot(this.#inner, endHeight, hints, out, options, counter, cancel),
    );
  }

  /**
   * Writes to `out` what each of the first segments creates and spends; its length in bytes.
   * @throws BlockswarmError as `makeHints`
   */
  makeSums(segments: number, out: string, options: CoinSetOptions): Promise<number> {
    return counted(options, (counter, cancel) =>
      bindings.makeCoinSums(this.#inner, segments, out, options, counter, cancel),
    );
  }

  /** The segments that come to something else than a file of `makeSums` says. @throws BlockswarmError ERR_SUMS too */
  differingSegments(sums: string, options: CoinSetOptions): Promise<readonly number[]> {
    return counted(options, (counter, cancel) =>
      bindings.differingCoinSegments(this.#inner, sums, options, counter, cancel),
    );
  }

  /** Looks for what makes the coins of a range not add up. @throws BlockswarmError as `makeSnapshot` */
  findCulprits(sides: bindings.CoinSides, options: CoinSetOptions): Promise<readonly CoinCulprit[]> {
    return counted(options, (counter, cancel) =>
      bindings.findCoinCulprits(this.#inner, sides, options, counter, cancel),
    );
  }
}

function nowSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
