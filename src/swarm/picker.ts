/**
 * Which stripe a peer is asked for next. States of a piece: STATE.md.
 *
 * Rules, in order: highest priority; pieces already open before new ones (a whole piece can be judged and
 * served); what the peer suggests; then rarest first (ties broken at random), random for the first pieces (so
 * that a newcomer soon has something to trade), or lowest number first when sequential. A window keeps all of
 * this to a range that moves on as its first pieces come. A stripe is asked of one peer, until endgame. A
 * suspect gets pieces of its own, so that a bad one has one possible author.
 */
import { Availability } from './availability.js';
import { CELL_BLOCKS, type Geometry, STRIPE_BLOCKS } from './geometry.js';
import { HaveMap } from './have-map.js';
import { MAX_PRIORITY, Missing } from './missing.js';
import { OpenPiece, type Stripe } from './open-piece.js';

/** What the picker sees of a peer. */
export interface PickerPeer {
  readonly link: number;
  readonly have: HaveMap;
  /** A suspect: asked only for pieces that nobody else works on. */
  readonly onParole: boolean;
  /** Pieces it would like to send (BEP 6). */
  readonly suggested?: Iterable<number>;
}

export type PickOrder = 'rarest' | 'sequential';

/** Only this many pieces are fetched, from the first one that is wanted and missing, at or behind `first`. */
export interface PickWindow {
  readonly first: number;
  readonly pieces: number;
}

export interface PickerOptions {
  readonly geometry: Geometry;
  /** BEP 3 bitmap of the pieces we have already. */
  readonly had?: Uint8Array;
  readonly order?: PickOrder;
  readonly window?: PickWindow;
  /** Pieces that must not be begun before they are `unhold`. */
  readonly held?: HaveMap;
  /** In `[0, 1)`. */
  readonly random: () => number;
}

/** Pieces picked at random before rarest first begins. */
const RANDOM_FIRST_PIECES = 4;

/** In endgame a stripe is asked of at most this many peers. */
const ENDGAME_TAKERS = 3;

/** When a link will be done with a stripe it is asked for, in ms from now. */
type Lateness = (link: number, stripe: Stripe) => number;

/** What may be asked for again. */
interface Candidate {
  readonly open: OpenPiece;
  readonly stripe: Stripe;
  readonly takers: number;
  readonly lateMs: number;
}

export class Picker {
  readonly geometry: Geometry;
  readonly availability: Availability;
  readonly #order: PickOrder;
  readonly #random: () => number;
  readonly #had: HaveMap;
  readonly #held: HaveMap | null;
  /** Wanted and not had. */
  readonly #wanted = new HaveMap();
  readonly #priorities: Uint8Array;
  /** Wanted, inside of the window, not had and not open. */
  readonly #missing: Missing;
  readonly #open = new Map<number, OpenPiece>();
  /** Those of the open ones that anybody may be asked for something of. */
  readonly #free = new Set<OpenPiece>();
  /** How many of the open ones are a suspect's own. */
  #owned = 0;
  /** Pieces `[first, end)` may be begun. */
  #bounds: { readonly first: number; readonly end: number };
  #window: PickWindow | null = null;

  constructor(options: PickerOptions) {
    const { geometry, order = 'rarest' } = options;
    const { pieceCount } = geometry;
    this.geometry = geometry;
    this.availability = new Availability(geometry, (piece) => this.#missing.moved(piece));
    this.#order = order;
    this.#random = options.random;
    this.#had = new HaveMap(options.had);
    this.#held = options.held ?? null;
    this.#priorities = new Uint8Array(pieceCount);
    this.#missing = new Missing({
      pieceCount,
      bySequence: order === 'sequential',
      level: (piece) => this.availability.level(piece),
    });
    this.#bounds = { first: 0, end: pieceCount };
    if (options.window) this.setWindow(options.window);
  }

  /** Wanted pieces not yet had. */
  get wantedLeft(): number {
    return this.#wanted.count;
  }

  get hadCount(): number {
    return this.#had.count;
  }

  get openCount(): number {
    return this.#open.size;
  }

  /**
   * Wanted blocks that nobody is asked for yet, also behind the window; about: each piece that was not begun counts as a
   * whole one.
   */
  get freeBlocks(): number {
    const unbegun = Math.max(0, this.wantedLeft - this.#open.size);
    let cells = 0;
    for (const open of this.#free) cells += open.freeCells;
    return cells * CELL_BLOCKS + unbegun * this.geometry.blockCount(0);
  }

  has(piece: number): boolean {
    return this.#had.has(piece);
  }

  /** Whether the piece is wanted and not had. */
  wants(piece: number): boolean {
    return this.#wanted.has(piece);
  }

  /** Whether somebody with this map has something for us. */
  wantsFrom(map: HaveMap): boolean {
    if (map.all) return this.wantedLeft > 0;
    return map.count > 0 && this.wantedLeft > 0 && this.#wanted.next(0, this.geometry.pieceCount, map) >= 0;
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
      this.#priorities[piece] = priority;
      if (priority === 0) this.#wanted.remove(piece);
      else if (!this.#had.has(piece)) this.#wanted.add(piece);
      this.#place(piece);
    }
    this.#moveWindow();
  }

  /** Pieces `[first, end)` may be begun. */
  unhold(first: number, end: number): void {
    for (let piece = first; piece < end; piece++) if (this.#held?.remove(piece)) this.#place(piece);
  }

  /** Keeps to a window from now on, or (null) no longer. Pieces open outside of it are finished. */
  setWindow(window: PickWindow | null): void {
    const { pieceCount } = this.geometry;
    if (window) {
      const { first, pieces } = window;
      if (!Number.isInteger(first) || first < 0 || first > pieceCount)
        throw new RangeError(`"first" expected integer in 0..${pieceCount}, got ${first}`);
      if (!Number.isInteger(pieces) || pieces < 1)
        throw new RangeError(`"pieces" expected integer >= 1, got ${pieces}`);
    }
    this.#window = window;
    this.#moveWindow();
  }

  /** The next stripe for this peer, now asked of it; null when there is none to give. */
  take(peer: PickerPeer, maxBlocks: number = STRIPE_BLOCKS): Stripe | null {
    const open = peer.onParole ? this.#own(peer) : this.#bestFree(peer);
    if (open && (peer.onParole || this.#priority(open.piece) >= this.#missing.topPriority)) {
      return this.#takeOf(open, peer, maxBlocks);
    }
    const missing = this.#bestMissing(peer);
    if (missing >= 0 && (!open || this.#priority(missing) > this.#priority(open.piece))) {
      return this.#takeOf(this.#openPiece(missing, peer), peer, maxBlocks);
    }
    // A suspect helps with shared pieces rather than idle: when one is bad, all of it is fetched anew, alone.
    const shared = open ?? (peer.onParole ? this.#bestFree(peer) : null);
    return shared && this.#takeOf(shared, peer, maxBlocks);
  }

  /** A stripe of one of these pieces, which the peer sends although it chokes us (BEP 6, "allowed fast"). */
  takeAllowed(peer: PickerPeer, allowed: Iterable<number>, maxBlocks: number = STRIPE_BLOCKS): Stripe | null {
    for (const piece of allowed) {
      if (!this.wants(piece) || !peer.have.has(piece)) continue;
      const open = this.#open.get(piece) ?? (this.#missing.has(piece) ? this.#openPiece(piece, peer) : null);
      if (!open?.hasFree || open.owner !== (peer.onParole ? peer.link : null)) continue;
      return this.#takeOf(open, peer, maxBlocks);
    }
    return null;
  }

  /**
   * Endgame: when every wanted stripe is asked of somebody, a stripe that is also asked of others. The rest is
   * cancelled when the first of them delivers. Where a window is all asked for, the same for its first piece: it
   * holds up all others. Of those asked least often, the one that will come last, and none that its takers will
   * have sent within `withinMs`.
   */
  takeAgain(
    peer: PickerPeer,
    lateness: Lateness = () => Number.POSITIVE_INFINITY,
    withinMs = 0,
  ): Stripe | null {
    if (peer.onParole || this.#missing.size > 0) return null;
    for (const open of this.#free) if (this.wants(open.piece)) return null;
    const { first, end } = this.#bounds;
    const isEnd = !this.#window || this.#wanted.next(end, this.geometry.pieceCount) < 0;
    let best = null as Candidate | null;
    for (const open of this.#open.values()) {
      if (open.owner !== null || open.complete || !this.wants(open.piece) || !peer.have.has(open.piece))
        continue;
      if (!isEnd && open.piece !== first) continue;
      for (const { stripe, links } of open.asked) {
        if (links.length >= ENDGAME_TAKERS || links.length > (best?.takers ?? ENDGAME_TAKERS)) continue;
        if (links.includes(peer.link)) continue;
        const lateMs = Math.min(...links.map((link) => lateness(link, stripe)));
        if (lateMs <= withinMs || (best?.takers === links.length && lateMs <= best.lateMs)) continue;
        best = { open, stripe, takers: links.length, lateMs };
      }
    }
    return best?.open.takeAgain(best.stripe.firstBlock, peer.link) ? best.stripe : null;
  }

  /** `link` will not deliver the stripe: others may. */
  release(link: number, stripe: Stripe): void {
    const open = this.#open.get(stripe.piece);
    if (open?.release(stripe.firstBlock, link)) this.#note(open);
  }

  /** `link` left, rests or is no longer a suspect: others may go on with the pieces that were its own. */
  disown(link: number): void {
    if (this.#owned === 0) return;
    for (const open of this.#open.values()) {
      if (open.owner !== link) continue;
      open.owner = null;
      this.#owned--;
      this.#note(open);
    }
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
    if (piece >= this.geometry.pieceCount || !this.#had.add(piece)) return [];
    this.#wanted.remove(piece);
    const taken = this.#closeOpen(piece);
    this.#place(piece);
    this.#moveWindow();
    return taken;
  }

  /** The piece failed and its blocks are gone; returns what is still asked of others. */
  reset(piece: number): { link: number; stripe: Stripe }[] {
    const taken = this.#closeOpen(piece);
    this.#place(piece);
    return taken;
  }

  /** The piece was had and cannot be read any more. */
  lose(piece: number): void {
    if (!this.#had.remove(piece)) return;
    if (this.#priority(piece) > 0) this.#wanted.add(piece);
    this.#place(piece);
    this.#moveWindow();
  }

  /** Asks again for a piece whose verdict never came: what is in hand is skipped by the link. */
  reopen(piece: number): void {
    const open = this.#open.get(piece);
    if (!open) return;
    open.reopen();
    this.#note(open);
  }

  /**
   * Asks again for all of every piece that is neither asked of anybody nor judged: after a rest the byte mover may have
   * forgotten what was in hand, and what it has not is skipped by the link.
   */
  reopenAll(): void {
    for (const open of this.#open.values()) if (!open.complete) this.reopen(open.piece);
  }

  #priority(piece: number): number {
    return this.#priorities[piece] ?? 0;
  }

  #takeOf(open: OpenPiece, peer: PickerPeer, maxBlocks: number): Stripe | null {
    const stripe = open.take(peer.link, maxBlocks);
    this.#note(open);
    return stripe;
  }

  /** Keeps `#free` true to what the piece is now. */
  #note(open: OpenPiece): void {
    if (open.hasFree && open.owner === null) this.#free.add(open);
    else this.#free.delete(open);
  }

  #openPiece(piece: number, peer: PickerPeer): OpenPiece {
    this.#missing.remove(piece);
    const open = new OpenPiece(piece, this.geometry, peer.onParole ? peer.link : null);
    if (peer.onParole) this.#owned++;
    this.#open.set(piece, open);
    return open;
  }

  #closeOpen(piece: number): { link: number; stripe: Stripe }[] {
    const open = this.#open.get(piece);
    if (!open) return [];
    if (open.owner !== null) this.#owned--;
    this.#open.delete(piece);
    this.#free.delete(open);
    return [...open.asked].flatMap(({ stripe, links }) => links.map((link) => ({ link, stripe })));
  }

  /** The open piece to go on with: highest priority, then longest open or lowest number. */
  #bestFree(peer: PickerPeer): OpenPiece | null {
    let best: OpenPiece | null = null;
    for (const open of this.#free) {
      if (!this.wants(open.piece) || !peer.have.has(open.piece)) continue;
      if (!best || this.#before(open.piece, best.piece)) best = open;
    }
    return best;
  }

  /** A piece that is the suspect's own. */
  #own(peer: PickerPeer): OpenPiece | null {
    if (this.#owned === 0) return null;
    for (const open of this.#open.values()) {
      if (open.owner === peer.link && open.hasFree && this.wants(open.piece) && peer.have.has(open.piece))
        return open;
    }
    return null;
  }

  #before(piece: number, other: number): boolean {
    const higher = this.#priority(piece) - this.#priority(other);
    return higher > 0 || (higher === 0 && this.#order === 'sequential' && piece < other);
  }

  #bestMissing(peer: PickerPeer): number {
    const byRarity = this.#order === 'rarest';
    const anyWill = byRarity && this.#had.count < RANDOM_FIRST_PIECES;
    const best = this.#missing[anyWill ? 'any' : 'best'](peer.have, this.#random());
    if (best < 0 || !byRarity) return best;
    for (const piece of peer.suggested ?? []) {
      const isAsGood = this.#missing.has(piece) && this.#priority(piece) >= this.#priority(best);
      if (isAsGood && peer.have.has(piece)) return piece;
    }
    return best;
  }

  /** Puts the piece among the missing ones when it belongs there, else takes it out. */
  #place(piece: number): void {
    const { first, end } = this.#bounds;
    const isInside = piece >= first && piece < end;
    if (isInside && this.wants(piece) && !this.#open.has(piece) && !this.#held?.has(piece))
      this.#missing.add(piece, this.#priority(piece));
    else this.#missing.remove(piece);
  }

  /** The window begins with a piece that is still to come; where none is, it stays. */
  #moveWindow(): void {
    const { pieceCount } = this.geometry;
    const old = this.#bounds;
    const from = this.#window ? this.#wanted.next(this.#window.first, pieceCount) : 0;
    const first = from < 0 ? old.first : from;
    const end = Math.min(pieceCount, first + (this.#window?.pieces ?? pieceCount));
    if (first === old.first && end === old.end) return;
    this.#bounds = { first, end };
    for (let piece = old.first; piece < old.end; piece++) {
      if (piece < first || piece >= end) this.#missing.remove(piece);
    }
    for (let piece = first; piece < end; piece++) {
      if (piece < old.first || piece >= old.end) this.#place(piece);
    }
  }
}
