/** A piece being fetched: which of its blocks are in hand, which are asked of whom. */
import { CELL_BLOCKS, type Geometry, STRIPE_BLOCKS } from './geometry.js';

/** The unit of work: blocks `[firstBlock, endBlock)` of one piece, as many as suit the peer. */
export interface Stripe {
  readonly piece: number;
  readonly firstBlock: number;
  readonly endBlock: number;
}

/** A stripe and the links that it is asked of: more than one only in endgame. */
export interface AskedStripe {
  readonly stripe: Stripe;
  readonly links: readonly number[];
}

const FREE = 0;
const ASKED = 1;
const IN_HAND = 2;

export class OpenPiece {
  readonly piece: number;
  /** The only link that may fetch it: a suspect whose work is to be judged alone. */
  owner: number | null;
  readonly #blocks: number;
  readonly #cells: Uint8Array;
  /** By first block. */
  readonly #asked = new Map<number, { readonly stripe: Stripe; readonly links: number[] }>();
  #free: number;
  #left: number;

  constructor(piece: number, geometry: Geometry, owner: number | null) {
    this.piece = piece;
    this.owner = owner;
    this.#blocks = geometry.blockCount(piece);
    this.#cells = new Uint8Array(Math.ceil(this.#blocks / CELL_BLOCKS));
    this.#free = this.#cells.length;
    this.#left = this.#cells.length;
  }

  /** Whether something of it is neither in hand nor asked of anybody. */
  get hasFree(): boolean {
    return this.#free > 0;
  }

  get freeCells(): number {
    return this.#free;
  }

  /** Whether all of it is in hand. */
  get complete(): boolean {
    return this.#left === 0;
  }

  get asked(): Iterable<AskedStripe> {
    return this.#asked.values();
  }

  /** The first free blocks, at most so many, now asked of `link`. */
  take(link: number, maxBlocks: number = STRIPE_BLOCKS): Stripe | null {
    const first = this.#free === 0 ? -1 : this.#cells.indexOf(FREE);
    if (first < 0) return null;
    const limit = Math.min(this.#cells.length, first + Math.max(1, Math.floor(maxBlocks / CELL_BLOCKS)));
    let end = first;
    for (; end < limit && this.#cells[end] === FREE; end++) this.#cells[end] = ASKED;
    this.#free -= end - first;
    const stripe = {
      piece: this.piece,
      firstBlock: first * CELL_BLOCKS,
      endBlock: Math.min(this.#blocks, end * CELL_BLOCKS),
    };
    this.#asked.set(stripe.firstBlock, { stripe, links: [link] });
    return stripe;
  }

  /** Asks one more link for a stripe; false when it is not asked of anybody, or of this one already. */
  takeAgain(firstBlock: number, link: number): boolean {
    const links = this.#asked.get(firstBlock)?.links;
    if (!links || links.includes(link)) return false;
    links.push(link);
    return true;
  }

  /** `link` no longer fetches the stripe; returns whether it did. */
  release(firstBlock: number, link: number): boolean {
    const asked = this.#asked.get(firstBlock);
    const taker = asked?.links.indexOf(link) ?? -1;
    if (!asked || taker < 0) return false;
    asked.links.splice(taker, 1);
    if (asked.links.length === 0) this.#free += this.#settle(asked.stripe, FREE);
    return true;
  }

  /**
   * The stripe is in hand, as `link` says that was asked for it; returns the others it is asked of, now
   * pointless. Null when it was not asked of `link`: news of an earlier try at this piece.
   */
  finish(firstBlock: number, link: number): readonly number[] | null {
    const asked = this.#asked.get(firstBlock);
    if (!asked?.links.includes(link)) return null;
    this.#left -= this.#settle(asked.stripe, IN_HAND);
    return asked.links.filter((other) => other !== link);
  }

  /** Everything is to be asked for again; blocks in hand are skipped by the link. */
  reopen(): void {
    this.#cells.fill(FREE);
    this.#asked.clear();
    this.#free = this.#cells.length;
    this.#left = this.#cells.length;
  }

  /** Nobody is asked for the stripe any more; returns how many cells it had. */
  #settle({ firstBlock, endBlock }: Stripe, state: typeof FREE | typeof IN_HAND): number {
    const [first, end] = [firstBlock / CELL_BLOCKS, Math.ceil(endBlock / CELL_BLOCKS)];
    this.#cells.fill(state, first, end);
    this.#asked.delete(firstBlock);
    return end - first;
  }
}
