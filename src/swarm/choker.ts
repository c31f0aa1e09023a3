/**
 * Who may download from us (BEP 3, "Choking"). Upload slots are one resource of the whole session.
 *
 * Torrents we still fetch: tit for tat, the peers that give most are served, and one slot rotates at random
 * (optimistic unchoke), so that newcomers get a chance. Torrents we have: round robin with a quota (libtorrent's
 * seed choker): a peer keeps its slot until it got a fair share, then the one that waited longest is next. A
 * free slot is given away at once.
 */

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
  setChoked(choked: boolean, nowMs: number): void;
}

export interface ChokerOptions {
  /** Peers served at the same time. */
  readonly slots?: number;
  readonly roundMs?: number;
  /** The optimistic slot rotates every so many rounds. */
  readonly optimisticRounds?: number;
  /** When seeding, a slot is kept at least this long and until this much was served. */
  readonly quotaMs?: number;
  readonly quotaBytes?: number;
  /** In `[0, 1)`. */
  readonly random: () => number;
}

export class Choker {
  readonly #slots: number;
  readonly #roundMs: number;
  readonly #optimisticRounds: number;
  readonly #quotaMs: number;
  readonly #quotaBytes: number;
  readonly #random: () => number;
  #nextRoundMs = 0;
  #rounds = 0;
  #optimistic: ChokerPeer | null = null;

  constructor(options: ChokerOptions) {
    this.#slots = options.slots ?? 128;
    if (!Number.isInteger(this.#slots) || this.#slots < 1) {
      throw new RangeError(`"slots" expected integer >= 1, got ${this.#slots}`);
    }
    this.#roundMs = options.roundMs ?? 10_000;
    this.#optimisticRounds = options.optimisticRounds ?? 3;
    this.#quotaMs = options.quotaMs ?? 60_000;
    this.#quotaBytes = options.quotaBytes ?? 64 * 1024 * 1024;
    this.#random = options.random;
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
    waiting.sort(byWaiting);
    for (const peer of waiting) if (free-- > 0) peer.setChoked(false, nowMs);
  }

  #round(peers: readonly ChokerPeer[], nowMs: number): void {
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
      ...this.#roundRobin(served, servedSlots, nowMs),
      ...this.#titForTat(traded, this.#slots - servedSlots),
    ];
  }

  #roundRobin(peers: readonly ChokerPeer[], slots: number, nowMs: number): ChokerPeer[] {
    const sated = (peer: ChokerPeer) =>
      peer.unchoked &&
      nowMs - peer.unchokedAtMs >= this.#quotaMs &&
      (peer.servedBytes >= this.#quotaBytes || nowMs - peer.unchokedAtMs >= 5 * this.#quotaMs);
    const rank = (peer: ChokerPeer) => (sated(peer) ? 2 : peer.unchoked ? 0 : 1);
    return [...peers].sort((a, b) => rank(a) - rank(b) || byWaiting(a, b)).slice(0, slots);
  }

  #titForTat(peers: readonly ChokerPeer[], slots: number): ChokerPeer[] {
    if (slots === 0) return [];
    const givers = peers.filter((peer) => !peer.snubbed && peer.downloadRate > 0);
    const best = givers.sort((a, b) => b.downloadRate - a.downloadRate).slice(0, Math.max(0, slots - 1));
    const others = peers.filter((peer) => !best.includes(peer));
    const rotate = this.#rounds % this.#optimisticRounds === 0;
    if (rotate || !this.#optimistic || !others.includes(this.#optimistic)) {
      this.#optimistic = others[Math.floor(this.#random() * others.length)] ?? null;
    }
    const rest = others.filter((peer) => peer !== this.#optimistic).sort(byWaiting);
    return [...best, ...(this.#optimistic ? [this.#optimistic] : []), ...rest].slice(0, slots);
  }
}

function byWaiting(a: ChokerPeer, b: ChokerPeer): number {
  // Written without subtraction: -Infinity - -Infinity is no order.
  return a.unchokedAtMs < b.unchokedAtMs ? -1 : a.unchokedAtMs > b.unchokedAtMs ? 1 : 0;
}
