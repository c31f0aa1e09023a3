import * as bindings from '../../bindings/index.js';
import type { HeaderChain } from './headers.js';
import type { Store } from './store.js';
import { call, task } from './task.js';

/** Ids, roots and weight of a block: hashes of 32 bytes in internal order, those of its transactions joined. */
export type DecodedBlock = Readonly<bindings.DecodedBlock>;

/**
 * Reads a block in full serialization, of whatever chain; whether it is valid is not looked at.
 * @throws BlockswarmError ERR_BLOCK_DAMAGED
 */
export function decodeBlock(block: Uint8Array): DecodedBlock {
  return call(() => bindings.decodeBlock(block));
}

/** What is proven of a blocks file at `chain` level. */
export type JudgeReport = Readonly<bindings.JudgeReport>;

/** Judges the blocks of a segment against their headers as pieces arrive, in any order (DESIGN §2). */
export class BlocksJudge {
  readonly #inner: bindings.BlocksJudge;

  constructor(store: Store, chain: HeaderChain, network: string, firstHeight: number, endHeight: number) {
    this.#inner = call(
      () => new bindings.BlocksJudge(store.inner, chain.inner, network, firstHeight, endHeight),
    );
  }

  /** Looks at a piece that became servable. Runs on a worker; calls may overlap. */
  pieceArrived(piece: number, signal?: AbortSignal): Promise<JudgeReport> {
    return task(() => this.#inner.pieceArrived(piece), signal);
  }

  report(): JudgeReport {
    return call(() => this.#inner.report());
  }
}
