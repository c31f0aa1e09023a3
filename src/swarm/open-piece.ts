/** A piece being fetched: which of its stripes are in hand, which are asked of whom. */
import { type Geometry, STRIPE_BLOCKS } from './geometry.js';

/** The unit of work: blocks `[firstBlock, endBlock)` of one piece, at most `STRIPE_BLOCKS`. */
export interface Stripe {
  readonly piece: number;
  readonly firstBlock: number;
  readonly endBlock: number;
}

export class OpenPiece {
  readonly piece: number;
  /** The only link that may fetch it: a suspect whose work is to be judged alone. */
  owner: number | null;
  readonly stripes: readonly Stripe[];
  /** Links that a stripe is asked of; more than one only in endgame. */
  readonly #takers: number[][];
  readonly #inHand: boolean[];
  #free: number;
  #left: number;

  constructor(piece: number, geometry: Geometry, owner: number | null) {
    this.piece = piece;
    this.owner = owner;
    const blocks = geometry.blockCount(piece);
    this.stripes = Array.from({ length: geometry.stripeCount(piece) }, (_, at) => ({
      piece,
      firstBlock: at * STRIPE_BLOCKS,
      endBlock: Math.min(blocks, (at + 1) * STRIPE_BLOCKS),
    }));
    this.#takers = this.stripes.map(() => []);
    this.#inHand = this.stripes.map(() => false);
    this.#free = this.stripes.length;
    this.#left = this.stripes.length;
  }

  /** Stripes neither in hand nor asked of anybody. */
  get free(): number {
    return this.#free;
  }

  /** Whether every stripe is in hand and only the verdict is missing. */
  get complete(): boolean {
    return this.#left === 0;
  }

  takers(at: number): readonly number[] {
    return this.#takers[at] ?? [];
  }

  inHand(at: number): boolean {
    return this.#inHand[at] ?? false;
  }

  /** All links that some stripe is asked of, with the stripe. */
  *taken(): Generator<{ link: number; stripe: Stripe }> {
    for (const [at, links] of this.#takers.entries()) {
      const stripe = this.stripes[at];
      if (stripe) for (const link of links) yield { link, stripe };
    }
  }

  /** The first free stripe, now asked of `link`. */
  take(link: number): Stripe | null {
    for (const [at, stripe] of this.stripes.entries()) {
      if (!this.inHand(at) && this.takers(at).length === 0) return this.takeAt(at, link) ? stripe : null;
    }
    return null;
  }

  takeAt(at: number, link: number): boolean {
    const links = this.#takers[at];
    if (!links || this.inHand(at) || links.includes(link)) return false;
    if (links.push(link) === 1) this.#free--;
    return true;
  }

  /** `link` no longer fetches the stripe; returns whether it did. */
  release(firstBlock: number, link: number): boolean {
    const at = firstBlock / STRIPE_BLOCKS;
    const links = this.#takers[at];
    const taker = links?.indexOf(link) ?? -1;
    if (!links || taker < 0) return false;
    links.splice(taker, 1);
    if (links.length === 0 && !this.inHand(at)) this.#free++;
    return true;
  }

  /**
   * The stripe is in hand, as `link` says that was asked for it; returns the others it is asked of, now
   * pointless. Null when it was not asked of `link`: news of an earlier try at this piece.
   */
  finish(firstBlock: number, link: number): readonly number[] | null {
    const at = firstBlock / STRIPE_BLOCKS;
    const links = this.#takers[at];
    if (!links?.includes(link)) return null;
    this.#takers[at] = [];
    this.#inHand[at] = true;
    this.#left--;
    return links.filter((other) => other !== link);
  }

  /** Everything is to be asked for again; blocks in hand are skipped by the link. */
  reopen(): void {
    this.#free = this.stripes.length;
    this.#left = this.stripes.length;
    for (const at of this.stripes.keys()) {
      this.#inHand[at] = false;
      this.#takers[at] = [];
    }
  }
}
