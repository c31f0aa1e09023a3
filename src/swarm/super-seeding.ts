/**
 * Super seeding (BEP 16), for the only one who has everything: each peer is shown a piece or two at a time, and the next
 * one when an earlier one is seen at another peer. So every piece leaves us about once, and those who pass on what they
 * got are served first. It ends when others have everything as well.
 */
import type { LinkEvent, LinkHost } from './link-host.js';
import type { Peer } from './peer.js';
import type { Picker } from './picker.js';

/** One piece is on its way to a peer while the one before is on its way to others. */
const SHOWN_AT_ONCE = 2;
/** A peer that got a piece, and from whom nobody took it for so long, is shown another all the same. */
const PATIENCE_MS = 120_000;
/** So many others with everything are enough. */
const ENOUGH_SEEDS = 2;

export interface SuperSeedingOptions {
  readonly host: Pick<LinkHost, 'sendHave'>;
  readonly picker: Pick<Picker, 'availability' | 'geometry'>;
  /** In `[0, 1)`. */
  readonly random: () => number;
}

/** A piece that was shown to one peer and not yet seen at another one. */
interface Shown {
  readonly piece: number;
  /** Since when the peer has it itself. */
  gotAtMs: number | null;
}

export class SuperSeeding {
  readonly #host: Pick<LinkHost, 'sendHave'>;
  readonly #picker: Pick<Picker, 'availability' | 'geometry'>;
  readonly #random: () => number;
  /** What each peer is to pass on. */
  readonly #shown = new Map<Peer, Shown[]>();
  /** How many peers each piece is shown to. */
  readonly #counts: Uint16Array;
  /** Links of those who have everything; also of those who left then. */
  readonly #seeds = new Set<number>();
  #isOver = false;

  constructor(options: SuperSeedingOptions) {
    this.#host = options.host;
    this.#picker = options.picker;
    this.#random = options.random;
    this.#counts = new Uint16Array(options.picker.geometry.pieceCount);
  }

  /** Whether we seed like anybody else now. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** It is shown something as soon as it told what it has, or at the next tick. */
  opened(peer: Peer): void {
    if (!this.#isOver) this.#shown.set(peer, []);
    // It was greeted before the end.
    else this.#showAll(peer);
  }

  /** A peer told what it has. */
  heard(peer: Peer, event: LinkEvent, nowMs: number): void {
    if (this.#isOver || (!event.haves?.length && !event.bitmap && !event.haveAll)) return;
    for (const [other, shown] of this.#shown) {
      const before = shown.length;
      for (const each of [...shown]) {
        if (!peer.have.has(each.piece)) continue;
        if (other === peer) each.gotAtMs ??= nowMs;
        else this.#settle(shown, each);
      }
      if (shown.length < before || other === peer) this.#show(other);
    }
    if (this.#hasAll(peer)) this.#seeds.add(peer.link);
    if (this.#seeds.size >= ENOUGH_SEEDS) this.#end();
  }

  /** Once a second or so. */
  tick(nowMs: number): void {
    if (this.#isOver) return;
    for (const [peer, shown] of this.#shown) {
      for (const each of [...shown]) {
        if (each.gotAtMs !== null && nowMs - each.gotAtMs >= PATIENCE_MS) this.#settle(shown, each);
      }
      this.#show(peer);
    }
  }

  ended(peer: Peer): void {
    for (const { piece } of this.#shown.get(peer) ?? []) this.#counts[piece] = (this.#counts[piece] ?? 1) - 1;
    this.#shown.delete(peer);
  }

  #settle(shown: Shown[], each: Shown): void {
    shown.splice(shown.indexOf(each), 1);
    this.#counts[each.piece] = (this.#counts[each.piece] ?? 1) - 1;
  }

  /** Shows a peer as much as it may know of. */
  #show(peer: Peer): void {
    const shown = this.#shown.get(peer);
    if (!shown || peer.isClosing) return;
    // To a peer that is alone nobody can have told of a piece but itself.
    if (this.#isAlone(peer))
      for (const each of shown.filter(({ gotAtMs }) => gotAtMs !== null)) this.#settle(shown, each);
    while (shown.length < SHOWN_AT_ONCE) {
      const piece = this.#rarest(peer, shown);
      if (piece === null) return;
      shown.push({ piece, gotAtMs: null });
      this.#counts[piece] = (this.#counts[piece] ?? 0) + 1;
      this.#host.sendHave(peer.link, piece);
    }
  }

  #isAlone(peer: Peer): boolean {
    for (const other of this.#shown.keys()) if (other !== peer && !this.#hasAll(other)) return false;
    return true;
  }

  /** A piece that fewest have or are shown, and this peer neither; null when there is none. */
  #rarest(peer: Peer, shown: readonly Shown[]): number | null {
    let best: number | null = null;
    let fewest = Number.POSITIVE_INFINITY;
    let ties = 0;
    for (let piece = 0; piece < this.#counts.length; piece++) {
      const count = this.#picker.availability.of(piece) + (this.#counts[piece] ?? 0);
      if (count > fewest || peer.have.has(piece) || shown.some((each) => each.piece === piece)) continue;
      ties = count === fewest ? ties + 1 : 1;
      if (this.#random() * ties < 1) best = piece;
      fewest = count;
    }
    return best;
  }

  #hasAll(peer: Peer): boolean {
    return peer.have.complete(this.#counts.length);
  }

  /** Tells everybody of everything once others can. */
  #end(): void {
    this.#isOver = true;
    for (const peer of this.#shown.keys()) this.#showAll(peer);
    this.#shown.clear();
  }

  #showAll(peer: Peer): void {
    if (peer.isClosing || this.#hasAll(peer)) return;
    for (let piece = 0; piece < this.#counts.length; piece++) {
      if (!peer.have.has(piece)) this.#host.sendHave(peer.link, piece);
    }
  }
}
