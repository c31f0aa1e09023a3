/**
 * Which stripe a peer is asked for next. States of a piece: STATE.md.
 *
 * Rules, in order: highest priority; pieces already open before new ones (a whole piece can be judged and
 * served); then rarest first (ties broken at random), random for the first pieces (so that a newcomer soon has
 * something to trade), or lowest number first when sequential. A stripe is asked of one peer, until endgame. A
 * suspect gets pieces of its own, so that a bad one has one possible author.
 */
import { Availability } from './availability.js';
import type { Geometry } from './geometry.js';
import { HaveMap } from './have-map.js';
import { OpenPiece, type Stripe } from './open-piece.js';

/** What the picker sees of a peer. */
export interface PickerPeer {
  readonly link: number;
  has(piece: number): boolean;
  /** A suspect: asked only for pieces that nobody else works on. */
  readonly onParole: boolean;
}

export type PickOrder = 'rarest' | 'sequential';

export interface PickerOptions {
  readonly geometry: Geometry;
  /** BEP 3 bitmap of the pieces we have already. */
  readonly had?: Uint8Array;
  readonly order?: PickOrder;
  /** In `[0, 1)`. */
  readonly random: () => number;
}

/** Highest priority of a piece; 0 is "not wanted". */
const MAX_PRIORITY = 7;

/** Pieces picked at random before rarest first begins. */
const RANDOM_FIRST_PIECES = 4;

/** In endgame a stripe is asked of at most this many peers. */
const ENDGAME_TAKERS = 3;

export class Picker {
  readonly geometry: Geometry;
  readonly availability: Availability;
  readonly #order: PickOrder;
  readonly #random: () => number;
  readonly #had: HaveMap;
  readonly #priorities: Uint8Array;
  /** Wanted pieces neither had nor open, in no order, and where in it each piece is (-1: not). */
  readonly #missing: number[] = [];
  readonly #places: Int32Array;
  /** How many of `#missing` have each priority. */
  readonly #missingAt = new Uint32Array(MAX_PRIORITY + 1);
  readonly #open = new Map<number, OpenPiece>();
  #wantedLeft = 0;

  constructor(options: PickerOptions) {
    const { pieceCount } = options.geometry;
    this.geometry = options.geometry;
    this.availability = new Availability(pieceCount);
    this.#order = options.order ?? 'rarest';
    this.#random = options.random;
    this.#had = new HaveMap(options.had);
    this.#priorities = new Uint8Array(pieceCount);
    this.#places = new Int32Array(pieceCount).fill(-1);
  }

  /** Wanted pieces not yet had. */
  get wantedLeft(): number {
    return this.#wantedLeft;
  }

  get hadCount(): number {
    return this.#had.count;
  }

  get openCount(): number {
    return this.#open.size;
  }

  has(piece: number): boolean {
    return this.#had.has(piece);
  }

  /** Whether the piece is wanted and not had. */
  wants(piece: number): boolean {
    return (this.#priorities[piece] ?? 0) > 0 && !this.#had.has(piece);
  }

  /** Whether somebody with this map has something for us. */
  wantsFrom(map: HaveMap): boolean {
    if (map.all) return this.#wantedLeft > 0;
    if (map.count === 0 || this.#wantedLeft === 0) return false;
    for (const piece of this.#missing) if (map.has(piece)) return true;
    for (const piece of this.#open.keys()) if (map.has(piece) && this.wants(piece)) return true;
    return false;
  }

  /** Sets the priority of pieces `[first, end)`; 0 stops fetching them once what is open is released. */
  want(first: number, end: number, priority = 1): void {
    const { pieceCount } = this.geometry;
    if (!Number.isInteger(first) || !Number.isInteger(end) || first < 0 || first > end || end > pieceCount) {
      throw new RangeError(`"first, end" expected a range in 0..${pieceCount}, got ${first}, ${end}`);
    }
    if (!Number.isInteger(priority) || priority < 0 || priority > MAX_PRIORITY) {
      throw new RangeError(`"priority" expected integer in 0..${MAX_PRIORITY}, got ${priority}`);
    }
    for (let piece = first; piece < end; piece++) {
      const wanted = this.wants(piece);
      this.#removeMissing(piece);
      this.#priorities[piece] = priority;
      if (this.wants(piece) !== wanted) this.#wantedLeft += wanted ? -1 : 1;
      this.#addMissing(piece);
    }
  }

  /** The next stripe for this peer, now asked of it; null when there is none to give. */
  take(peer: PickerPeer): Stripe | null {
    const open = this.#bestOpen(peer, peer.onParole ? peer.link : null);
    if (open && (peer.onParole || (this.#priorities[open.piece] ?? 0) >= this.#topMissing())) {
      return open.take(peer.link);
    }
    const missing = this.#bestMissing(peer);
    if (
      missing !== null &&
      (!open || (this.#priorities[missing] ?? 0) > (this.#priorities[open.piece] ?? 0))
    ) {
      return this.#openPiece(missing, peer).take(peer.link);
    }
    // A suspect helps with shared pieces rather than idle: when one is bad, all of it is fetched anew, alone.
    return (open ?? (peer.onParole ? this.#bestOpen(peer, null) : null))?.take(peer.link) ?? null;
  }

  /**
   * Endgame: when every wanted stripe is asked of somebody, a stripe that is also asked of others. The rest is
   * cancelled when the first of them delivers.
   */
  takeAgain(peer: PickerPeer): Stripe | null {
    if (peer.onParole || this.#missing.length > 0) return null;
    let best: { open: OpenPiece; at: number; stripe: Stripe; takers: number } | null = null;
    for (const open of this.#open.values()) {
      if (open.free > 0 && this.wants(open.piece)) return null;
      if (open.owner !== null || open.complete || !this.wants(open.piece) || !peer.has(open.piece)) continue;
      for (const [at, stripe] of open.stripes.entries()) {
        const takers = open.takers(at);
        if (open.inHand(at) || takers.length >= ENDGAME_TAKERS || takers.includes(peer.link)) continue;
        if (!best || takers.length < best.takers) best = { open, at, stripe, takers: takers.length };
      }
    }
    return best?.open.takeAt(best.at, peer.link) ? best.stripe : null;
  }

  /** `link` will not deliver the stripe: others may. */
  release(link: number, stripe: Stripe): void {
    this.#open.get(stripe.piece)?.release(stripe.firstBlock, link);
  }

  /** `link` left, rests or is no longer a suspect: others may go on with the pieces that were its own. */
  disown(link: number): void {
    for (const open of this.#open.values()) if (open.owner === link) open.owner = null;
  }

  /** The stripe is in hand; returns the other links that it is still asked of. */
  finish(link: number, piece: number, firstBlock: number): readonly number[] {
    return this.#open.get(piece)?.finish(firstBlock, link) ?? [];
  }

  /** Whether the piece waits for its verdict. */
  isJudged(piece: number): boolean {
    return this.#open.get(piece)?.complete ?? false;
  }

  /** The piece is verified and on disk; returns what is still asked of others. */
  done(piece: number): { link: number; stripe: Stripe }[] {
    if (this.#had.has(piece) || piece >= this.geometry.pieceCount) return [];
    if (this.wants(piece)) this.#wantedLeft--;
    this.#removeMissing(piece);
    this.#had.add(piece);
    return this.#closeOpen(piece);
  }

  /** The piece failed and its blocks are gone; returns what is still asked of others. */
  reset(piece: number): { link: number; stripe: Stripe }[] {
    const taken = this.#closeOpen(piece);
    this.#addMissing(piece);
    return taken;
  }

  /** The piece was had and cannot be read any more. */
  lose(piece: number): void {
    if (!this.#had.remove(piece)) return;
    if (this.wants(piece)) this.#wantedLeft++;
    this.#addMissing(piece);
  }

  /** Asks again for a piece whose verdict never came: what is in hand is skipped by the link. */
  reopen(piece: number): void {
    this.#open.get(piece)?.reopen();
  }

  /**
   * Asks again for all of every piece that is neither asked of anybody nor judged: after a rest the byte mover may have
   * forgotten what was in hand, and what it has not is skipped by the link.
   */
  reopenAll(): void {
    for (const open of this.#open.values()) if (!open.complete) open.reopen();
  }

  #closeOpen(piece: number): { link: number; stripe: Stripe }[] {
    const taken = [...(this.#open.get(piece)?.taken() ?? [])];
    this.#open.delete(piece);
    return taken;
  }

  #openPiece(piece: number, peer: PickerPeer): OpenPiece {
    this.#removeMissing(piece);
    const open = new OpenPiece(piece, this.geometry, peer.onParole ? peer.link : null);
    this.#open.set(piece, open);
    return open;
  }

  /** The open piece with free stripes to go on with: highest priority, then longest open or lowest number. */
  #bestOpen(peer: PickerPeer, owner: number | null): OpenPiece | null {
    let best: OpenPiece | null = null;
    for (const open of this.#open.values()) {
      if (open.free === 0 || open.owner !== owner || !this.wants(open.piece) || !peer.has(open.piece))
        continue;
      if (!best || this.#before(open.piece, best.piece)) best = open;
    }
    return best;
  }

  #bestMissing(peer: PickerPeer): number | null {
    const count = this.#missing.length;
    const random = this.#order === 'rarest' && this.#had.count < RANDOM_FIRST_PIECES;
    // Beginning anywhere breaks ties at random for the price of one number.
    const start = Math.floor(this.#random() * count);
    let best: number | null = null;
    for (let step = 0; step < count; step++) {
      const piece = this.#missing[(start + step) % count];
      if (piece === undefined || !peer.has(piece)) continue;
      if (best === null || this.#before(piece, best, random ? null : this.availability)) best = piece;
    }
    return best;
  }

  #before(piece: number, other: number, rarity: Availability | null = null): boolean {
    const higher = (this.#priorities[piece] ?? 0) - (this.#priorities[other] ?? 0);
    if (higher !== 0) return higher > 0;
    if (this.#order === 'sequential') return piece < other;
    return rarity !== null && rarity.of(piece) < rarity.of(other);
  }

  #topMissing(): number {
    for (let priority = MAX_PRIORITY; priority > 0; priority--) {
      if ((this.#missingAt[priority] ?? 0) > 0) return priority;
    }
    return 0;
  }

  #addMissing(piece: number): void {
    if (!this.wants(piece) || this.#open.has(piece) || this.#places[piece] !== -1) return;
    this.#places[piece] = this.#missing.push(piece) - 1;
    this.#count(piece, 1);
  }

  #removeMissing(piece: number): void {
    const place = this.#places[piece] ?? -1;
    if (place < 0) return;
    const last = this.#missing.pop();
    if (last !== undefined && last !== piece) {
      this.#missing[place] = last;
      this.#places[last] = place;
    }
    this.#places[piece] = -1;
    this.#count(piece, -1);
  }

  #count(piece: number, by: number): void {
    const priority = this.#priorities[piece] ?? 0;
    this.#missingAt[priority] = (this.#missingAt[priority] ?? 0) + by;
  }
}
