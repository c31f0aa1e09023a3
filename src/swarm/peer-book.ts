/**
 * Addresses known for one torrent and when each may be dialled next. Failures back off exponentially; a learnt
 * address that keeps failing is forgotten, one that the user asked for never is.
 */
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import type { TriedWays } from './dial-ways.js';
import type { OwnAddress } from './own-address.js';

/** How an address became known. `asked`: by the user. */
export type PeerSource = 'asked' | 'dht' | 'tracker' | 'pex' | 'lsd' | 'incoming';

export interface KnownPeer extends TriedWays {
  readonly address: PeerAddress;
  source: PeerSource;
  /** In a row, since the last connection that opened. */
  failures: number;
  nextDialMs: number;
  /** The link to it, while there is one. */
  link: number | null;
  /** It had everything, or wanted no more, when last seen: of no use to us when we want nothing. */
  seed: boolean;
  /** When a connection to it last opened; -Infinity for never. */
  openedAtMs: number;
  /** Canonical priority (BEP 40). */
  priority: number;
}

export interface PeerBookOptions {
  readonly maxPeers?: number;
  readonly retryFirstMs?: number;
  readonly retryMaxMs?: number;
  /** A learnt address is forgotten after so many failures in a row. */
  readonly maxFailures?: number;
  /** In `[0, 1)`: spreads retries. */
  readonly random: () => number;
  /** Who is preferred among equals (BEP 40). */
  readonly own?: Pick<OwnAddress, 'version' | 'priority'>;
}

export class PeerBook {
  readonly #known = new Map<string, KnownPeer>();
  readonly #maxPeers: number;
  readonly #retryFirstMs: number;
  readonly #retryMaxMs: number;
  readonly #maxFailures: number;
  readonly #random: () => number;
  readonly #own: Pick<OwnAddress, 'version' | 'priority'> | null;
  #ownVersion = 0;
  /** Nobody is due before: thousands of torrents ask every second. */
  #quietUntilMs = 0;

  constructor(options: PeerBookOptions) {
    this.#maxPeers = options.maxPeers ?? 1000;
    this.#retryFirstMs = options.retryFirstMs ?? 3000;
    this.#retryMaxMs = options.retryMaxMs ?? 10 * 60_000;
    this.#maxFailures = options.maxFailures ?? 5;
    this.#random = options.random;
    this.#own = options.own ?? null;
  }

  get size(): number {
    return this.#known.size;
  }

  /** Returns the entry; null when the book is full of better ones. */
  add(address: PeerAddress, source: PeerSource, nowMs: number): KnownPeer | null {
    const key = formatPeerAddress(address);
    const old = this.#known.get(key);
    this.#quietUntilMs = 0;
    if (old) {
      if (source === 'asked' && old.source !== 'asked') {
        old.source = source;
        old.nextDialMs = Math.min(old.nextDialMs, nowMs);
      }
      return old;
    }
    if (this.#known.size >= this.#maxPeers && source !== 'asked' && !this.#dropWorst()) return null;
    const { host, port } = address;
    const known: KnownPeer = {
      address: { host, port },
      source,
      failures: 0,
      nextDialMs: nowMs,
      link: null,
      seed: false,
      openedAtMs: Number.NEGATIVE_INFINITY,
      priority: this.#own?.priority(address) ?? 0,
      way: 0,
      failedWays: 0,
    };
    this.#known.set(key, known);
    return known;
  }

  /**
   * The best address that may be dialled now: asked for first, then fewest failures, then longest not met, then the
   * highest priority, then longest due.
   */
  next(nowMs: number, suits: (known: KnownPeer) => boolean): KnownPeer | null {
    if (nowMs < this.#quietUntilMs) return null;
    if (this.#own && this.#own.version !== this.#ownVersion) {
      this.#ownVersion = this.#own.version;
      for (const known of this.#known.values()) known.priority = this.#own.priority(known.address);
    }
    let best: KnownPeer | null = null;
    let nextDialMs = Number.POSITIVE_INFINITY;
    for (const known of this.#known.values()) {
      if (known.link !== null) continue;
      nextDialMs = Math.min(nextDialMs, known.nextDialMs);
      if (known.nextDialMs > nowMs) continue;
      if ((!best || before(known, best)) && suits(known)) best = known;
    }
    this.#quietUntilMs = nextDialMs;
    return best;
  }

  opened(known: KnownPeer, nowMs: number): void {
    known.failures = 0;
    known.openedAtMs = nowMs;
    known.failedWays = 0;
  }

  /** Not reached in one way: another one is tried, at once. */
  again(known: KnownPeer, nowMs: number): void {
    this.#quietUntilMs = 0;
    known.link = null;
    known.nextDialMs = nowMs;
  }

  /** The connection never opened, or broke the protocol. */
  failed(known: KnownPeer, nowMs: number): void {
    this.#quietUntilMs = 0;
    known.link = null;
    known.failures++;
    if (known.source !== 'asked' && known.failures >= this.#maxFailures) {
      this.forget(known);
      return;
    }
    const delayMs = Math.min(this.#retryMaxMs, this.#retryFirstMs * 2 ** (known.failures - 1));
    known.nextDialMs = nowMs + delayMs * (0.75 + this.#random() / 2);
  }

  /** An open connection ended in peace. */
  closed(known: KnownPeer, nowMs: number): void {
    this.#quietUntilMs = 0;
    known.link = null;
    known.nextDialMs = nowMs + this.#retryFirstMs * (0.75 + this.#random() / 2);
  }

  /** We ended it for others: the longest wait. */
  rests(known: KnownPeer, nowMs: number): void {
    this.#quietUntilMs = 0;
    known.link = null;
    known.nextDialMs = nowMs + this.#retryMaxMs * (0.75 + this.#random() / 2);
  }

  forget(known: KnownPeer): void {
    this.#known.delete(formatPeerAddress(known.address));
  }

  /** Forgets all that came from these sources. */
  forgetSources(sources: ReadonlySet<PeerSource>): void {
    for (const known of this.#known.values()) if (sources.has(known.source)) this.forget(known);
  }

  /** Makes room: an unconnected address, most failures first. */
  #dropWorst(): boolean {
    let worst: KnownPeer | null = null;
    for (const known of this.#known.values()) {
      if (known.link !== null || known.source === 'asked') continue;
      if (!worst || known.failures > worst.failures) worst = known;
    }
    // Never for one that has not failed: else a flood of made-up addresses would push out good ones.
    if (!worst || worst.failures === 0) return false;
    this.forget(worst);
    return true;
  }
}

function before(known: KnownPeer, other: KnownPeer): boolean {
  const asked = Number(known.source === 'asked') - Number(other.source === 'asked');
  if (asked !== 0) return asked > 0;
  if (known.failures !== other.failures) return known.failures < other.failures;
  if (known.openedAtMs !== other.openedAtMs) return known.openedAtMs < other.openedAtMs;
  if (known.priority !== other.priority) return known.priority > other.priority;
  return known.nextDialMs < other.nextDialMs;
}
