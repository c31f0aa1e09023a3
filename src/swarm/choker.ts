/**
 * Who may download from us (BEP 3, "Choking"). Upload slots are one resource of the whole session.
 *
 * Torrents we still fetch: tit for tat, the peers that give most are served, and one slot rotates at random
 * (optimistic unchoke), so that newcomers get a chance. Torrents we have: one of three seed chokers (libtorrent's).
 * A free slot is given away at once.
 *
 * While others wait, an address has one slot, whatever its connections and torrents, and one that was sent more
 * than it can need comes last. All of that is what we measured: nothing that a peer claims buys it a slot.
 */

import type { UploadAccount } from './upload-ledger.js';

/** What the choker sees of a peer. */
export interface ChokerPeer {
  /** It wants something from us. */
  readonly peerInterested: boolean;
  /** We serve it. */
  readonly unchoked: boolean;
  /** We have everything wanted of its torrent. */
  readonly seeding: boolean;
  /** What it gives us, bytes per second. */
  readonly downloadRate: number;
  /** It lets our requests wait. */
  readonly snubbed: boolean;
  /** When its current or last slot began; -Infinity when it never had one. */
  readonly unchokedAtMs: number;
  /** Bytes served in the current slot. */
  readonly servedBytes: number;
  /** What we send it, bytes per second. */
  readonly uploadRate: number;
  /** Length of its torrent; 0 while that is not known. */
  readonly torrentBytes: number;
  /** Whom its address stands for, what that was sent of the torrent, and when it last got a slot. */
  readonly account: Pick<UploadAccount, 'identity' | 'sentBytes' | 'slotAtMs'>;
  setChoked(choked: boolean, nowMs: number): void;
}

/**
 * Of torrents we have. `round-robin`: a peer keeps its slot until it got a fair share, then the one that waited
 * longest is next. `fastest-upload`: those who take most, and every fifth slot in turns. `anti-leech`: those who were
 * sent little or nearly all of the torrent, before those in between.
 */
export type SeedChoker = 'round-robin' | 'fastest-upload' | 'anti-leech';

export interface ChokerOptions {
  /**
   * Peers served at the same time. Absent: 128, and more as the upload allows: the last slot is one more when each of
   * n peers still gets n KiB/s.
   */
  readonly slots?: number;
  readonly seedChoker?: SeedChoker;
  readonly roundMs?: number;
  /** The optimistic slot rotates every so many rounds. */
  readonly optimisticRounds?: number;
  /** When seeding, a slot is kept at least this long and until this much was served. */
  readonly quotaMs?: number;
  readonly quotaBytes?: number;
  /** In `[0, 1)`. */
  readonly random: () => number;
}

const DEFAULT_SLOTS = 128;
const MAX_AUTO_SLOTS = 4096;

/** An address that was sent so many times the torrent is served when nobody else waits. */
const MOST_NEEDED = 1.5;

/** Of slots for the fastest, every so many goes round. */
const ROTATING_SLOT = 5;

export class Choker {
  #slots: number;
  readonly #isAuto: boolean;
  readonly #seedChoker: SeedChoker;
  readonly #roundMs: number;
  readonly #optimisticRounds: number;
  readonly #quotaMs: number;
  readonly #quotaBytes: number;
  readonly #random: () => number;
  #nextRoundMs = 0;
  #rounds = 0;
  #optimistic: ChokerPeer | null = null;

  constructor(options: ChokerOptions) {
    this.#isAuto = options.slots === undefined;
    this.#slots = options.slots ?? DEFAULT_SLOTS;
    this.#seedChoker = options.seedChoker ?? 'round-robin';
    if (!Number.isInteger(this.#slots) || this.#slots < 1) {
      throw new RangeError(`"slots" expected integer >= 1, got ${this.#slots}`);
    }
    this.#roundMs = options.roundMs ?? 10_000;
    this.#optimisticRounds = options.optimisticRounds ?? 3;
    this.#quotaMs = options.quotaMs ?? 60_000;
    this.#quotaBytes = options.quotaBytes ?? 64 * 1024 * 1024;
    this.#random = options.random;
  }

  /** Peers that may be served at the same time, now. */
  get slots(): number {
    return this.#slots;
  }

  isDue(nowMs: number): boolean {
    return nowMs >= this.#nextRoundMs;
  }

  /** Runs a round when one is due, else fills free slots. `peers` are all open ones. */
  run(peers: readonly ChokerPeer[], nowMs: number): void {
    if (!this.isDue(nowMs)) {
      this.#fill(peers, nowMs);
      return;
    }
    this.#nextRoundMs = nowMs + this.#roundMs;
    this.#round(peers, nowMs);
  }

  /** Gives free slots to whoever waits, takes none from a peer that wants it. */
  #fill(peers: readonly ChokerPeer[], nowMs: number): void {
    let free = this.#slots;
    const waiting: ChokerPeer[] = [];
    for (const peer of peers) {
      if (peer.unchoked && !peer.peerInterested) peer.setChoked(true, nowMs);
      else if (peer.unchoked) free--;
      else if (peer.peerInterested) waiting.push(peer);
    }
    if (free <= 0) return;
    waiting.sort(byNeed);
    for (const peer of dealt(waiting, peers).slice(0, free)) peer.setChoked(false, nowMs);
  }

  #round(peers: readonly ChokerPeer[], nowMs: number): void {
    if (this.#isAuto) this.#slots = slotsFor(peers);
    const interested = peers.filter((peer) => peer.peerInterested);
    const chosen = new Set<ChokerPeer>(
      interested.length <= this.#slots ? interested : this.#choose(interested, nowMs),
    );
    for (const peer of peers) if (peer.unchoked && !chosen.has(peer)) peer.setChoked(true, nowMs);
    for (const peer of chosen) if (!peer.unchoked) peer.setChoked(false, nowMs);
    this.#rounds++;
  }

  /** More peers than slots: each kind of torrent gets slots by its share of peers, and at least one. */
  #choose(interested: readonly ChokerPeer[], nowMs: number): ChokerPeer[] {
    const served = interested.filter((peer) => peer.seeding);
    const traded = interested.filter((peer) => !peer.seeding);
    const fair = Math.round((this.#slots * served.length) / interested.length);
    const low = served.length > 0 ? 1 : 0;
    const high = traded.length > 0 && this.#slots > 1 ? this.#slots - 1 : this.#slots;
    const servedSlots = Math.max(low, Math.min(high, fair));
    return [
      ...this.#serve(served, servedSlots, nowMs),
      ...this.#titForTat(traded, this.#slots - servedSlots),
    ];
  }

  #serve(peers: readonly ChokerPeer[], slots: number, nowMs: number): ChokerPeer[] {
    const inTurns = this.#inTurns(peers, nowMs);
    if (this.#seedChoker === 'round-robin') return inTurns.slice(0, slots);
    if (this.#seedChoker === 'anti-leech') {
      return dealt(inTurns.toSorted((a, b) => surplus(a) - surplus(b) || merit(b) - merit(a))).slice(
        0,
        slots,
      );
    }
    const fastest = dealt(peers.toSorted((a, b) => surplus(a) - surplus(b) || b.uploadRate - a.uploadRate));
    const first = fastest.slice(0, slots - Math.ceil(slots / ROTATING_SLOT));
    return [...first, ...inTurns.filter((peer) => !first.includes(peer))].slice(0, slots);
  }

  /** Who has a slot and not yet its share, then those who wait, longest first, then those who had their share. */
  #inTurns(peers: readonly ChokerPeer[], nowMs: number): ChokerPeer[] {
    const sated = (peer: ChokerPeer) =>
      peer.unchoked &&
      nowMs - peer.unchokedAtMs >= this.#quotaMs &&
      (peer.servedBytes >= this.#quotaBytes || nowMs - peer.unchokedAtMs >= 5 * this.#quotaMs);
    const rank = (peer: ChokerPeer) => (sated(peer) ? 2 : peer.unchoked ? 0 : 1);
    return dealt(peers.toSorted((a, b) => surplus(a) - surplus(b) || rank(a) - rank(b) || byWaiting(a, b)));
  }

  #titForTat(peers: readonly ChokerPeer[], slots: number): ChokerPeer[] {
    if (slots === 0) return [];
    const givers = peers.filter((peer) => !peer.snubbed && peer.downloadRate > 0);
    const best = dealt(givers.sort((a, b) => b.downloadRate - a.downloadRate)).slice(
      0,
      Math.max(0, slots - 1),
    );
    const others = peers.filter((peer) => !best.includes(peer));
    const rotate = this.#rounds % this.#optimisticRounds === 0;
    if (rotate || !this.#optimistic || !others.includes(this.#optimistic)) {
      this.#optimistic = others[Math.floor(this.#random() * others.length)] ?? null;
    }
    const rest = dealt(others.filter((peer) => peer !== this.#optimistic).sort(byNeed), best);
    return [...best, ...(this.#optimistic ? [this.#optimistic] : []), ...rest].slice(0, slots);
  }
}

/** Second and further connections of an address go behind the first ones of all others; else the order stays. */
function dealt(sorted: readonly ChokerPeer[], served: readonly ChokerPeer[] = []): ChokerPeer[] {
  const seen = new Map<string, number>();
  const count = ({ account: { identity } }: ChokerPeer) => {
    const before = seen.get(identity) ?? 0;
    seen.set(identity, before + 1);
    return before;
  };
  for (const peer of served) if (peer.unchoked) count(peer);
  const places = sorted.map((peer) => ({ peer, before: count(peer) }));
  return places.sort((a, b) => a.before - b.before).map(({ peer }) => peer);
}

/** The n-th slot is worth it when n peers would still get n KiB/s each. */
function slotsFor(peers: readonly ChokerPeer[]): number {
  const rate = peers.reduce((sum, peer) => sum + peer.uploadRate, 0);
  return Math.min(MAX_AUTO_SLOTS, Math.max(DEFAULT_SLOTS, Math.floor(Math.sqrt(rate / 1024))));
}

/** 1 for an address that was sent more than it can need, else 0. */
function surplus({ account, torrentBytes }: ChokerPeer): number {
  return Number(torrentBytes > 0 && account.sentBytes > MOST_NEEDED * torrentBytes);
}

/** In percent: 50 for who was sent nothing or all of the torrent, 0 for half of it. What it claims to have is not asked. */
function merit({ account, torrentBytes }: ChokerPeer): number {
  return Math.round(Math.abs(Math.min(1, account.sentBytes / Math.max(1, torrentBytes)) - 0.5) * 100);
}

function byNeed(a: ChokerPeer, b: ChokerPeer): number {
  return surplus(a) - surplus(b) || byWaiting(a, b);
}

/** By when the address last had a slot: a new connection does not begin anew. */
function byWaiting({ account: a }: ChokerPeer, { account: b }: ChokerPeer): number {
  // Written without subtraction: -Infinity - -Infinity is no order.
  return a.slotAtMs < b.slotAtMs ? -1 : a.slotAtMs > b.slotAtMs ? 1 : 0;
}
