/** Room in the state folder for pieces that are fetched in place of damaged ones in a node's files. */
import { join } from 'node:path';
import type { HybridTorrent } from '../metainfo/hybrid.js';
import type { Store } from '../native.js';
import { toHex } from '../units.js';

/** Unless the user says something else. */
export const DEFAULT_REPAIR_BYTES = 4 * 2 ** 30;

export class Repairs {
  readonly #folder: string;
  readonly #budgetBytes: number;
  /** Pieces kept, or on their way, of each torrent. */
  readonly #pieces = new Map<string, Set<number>>();
  #keptBytes = 0;
  #onTheirWayBytes = 0;

  /** At most `budgetBytes` of pieces in `folder`; 0: none is repaired. */
  constructor(folder: string, budgetBytes: number) {
    this.#folder = folder;
    this.#budgetBytes = budgetBytes;
  }

  /** Lets a store have pieces of its own; those of an earlier run are there again. @throws BlockswarmError ERR_IO */
  async prepare(torrent: HybridTorrent, store: Store): Promise<void> {
    if (this.#budgetBytes === 0) return;
    // A segment that was sealed anew has the same name.
    const folder = join(this.#folder, `${torrent.name}-${toHex(torrent.infoHashV1).slice(0, 12)}`);
    this.#keptBytes += (await store.repairInto(folder)) * torrent.pieceLengthBytes;
  }

  /** Whether a piece is being fetched, or may be from now on. */
  take({ name, pieceLengthBytes }: HybridTorrent, piece: number): boolean {
    const pieces = this.#pieces.get(name) ?? new Set();
    if (pieces.has(piece)) return true;
    if (this.#keptBytes + this.#onTheirWayBytes + pieceLengthBytes > this.#budgetBytes) return false;
    this.#pieces.set(name, pieces.add(piece));
    this.#onTheirWayBytes += pieceLengthBytes;
    return true;
  }

  /** A piece could not be kept. */
  giveBack({ name, pieceLengthBytes }: HybridTorrent, piece: number): void {
    if (this.#pieces.get(name)?.delete(piece)) this.#onTheirWayBytes -= pieceLengthBytes;
  }
}
