/**
 * The connections of one torrent: whom to dial and when, whom to let in, what an ending means for the next try.
 * Knows nothing of pieces.
 */
import type { DialPolicy, PeerAddress } from '../connector.js';
import type { PexFlags } from '../wire/pex.js';
import { type BanList, identity } from './bans.js';
import type { DialBackoff } from './dial-backoff.js';
import type { DialWays } from './dial-ways.js';
import type { Hello, Incoming, LinkHost } from './link-host.js';
import { LinkLimits } from './link-limits.js';
import type { OwnAddress } from './own-address.js';
import { Peer, type PeerPlace } from './peer.js';
import { type KnownPeer, PeerBook, type PeerSource } from './peer-book.js';
import type { RateLimits } from './rate-limits.js';
import { Turnover, whomToEnd } from './turnover.js';
import { UploadLedger } from './upload-ledger.js';

export interface PeersOptions {
  readonly host: LinkHost;
  readonly torrent: number;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** In `[0, 1)`. */
  readonly random: () => number;
  readonly limits: LinkLimits;
  readonly bans: BanList;
  readonly backoff: DialBackoff;
  readonly rates: RateLimits;
  /**
   * Ends a connection of any torrent when the session is full: a useless one, or for a newcomer one of lower priority.
   * False when that may not be done now.
   */
  readonly makeRoom: (nowMs: number, newcomerPriority: number) => boolean;
  readonly dialWays: DialWays;
  readonly dialPolicy: Pick<DialPolicy, 'mayDial'>;
  readonly ownAddress: OwnAddress;
  /** Connections of this torrent. */
  readonly maxLinks?: number;
}

/** Endings after which an address is treated as if it had not answered: it broke the protocol or was useless. */
const BAD_ENDINGS: ReadonlySet<string> = new Set([
  'wrong-info-hash',
  'bad-message',
  'too-long',
  'flood',
  'unsolicited-block',
  'bad-have-map',
  'rejects',
  'snubbed',
]);

/** One address may have this many connections of a torrent, more where the torrent may have many. */
const MIN_LINKS_PER_HOST = 4;

/** Where a private torrent's peers must not come from: from its trackers they do, or from the user (BEP 27). */
const STRANGERS: ReadonlySet<PeerSource> = new Set(['dht', 'pex', 'lsd']);

/** Whom a private torrent meets by its tracker: who came in was told of us by it. */
const OF_TRACKER: ReadonlySet<PeerSource> = new Set(['tracker', 'incoming']);

export class Peers {
  readonly byLink = new Map<number, Peer>();
  readonly #options: PeersOptions;
  readonly #book: PeerBook;
  /** Those of this torrent alone. */
  readonly #limits: LinkLimits;
  readonly #turnover: Turnover;
  readonly #ledger = new UploadLedger();
  #isPrivate = false;
  /** Of the own address by which `byLink` has its priorities. */
  #ownVersion = 0;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#book = new PeerBook({ random: options.random, own: options.ownAddress });
    const links = options.maxLinks ?? 200;
    this.#limits = new LinkLimits({
      links,
      halfOpenLinks: links,
      linksPerHost: Math.max(MIN_LINKS_PER_HOST, Math.floor(links / 16)),
    });
    this.#turnover = new Turnover(links);
  }

  get knownCount(): number {
    return this.#book.size;
  }

  /** Returns the entry; null when it may not be dialled, or the book is full. */
  add(address: PeerAddress, source: PeerSource, nowMs: number): KnownPeer | null {
    if (this.#isPrivate && STRANGERS.has(source)) return null;
    if (!this.#options.dialPolicy.mayDial(address, source === 'asked' ? 'asked' : 'learnt')) return null;
    return this.#book.add(address, source, nowMs);
  }

  /** Notes an address of which another peer says how it likes to be dialled. */
  advised(address: PeerAddress, flags: PexFlags, nowMs: number): KnownPeer | null {
    const known = this.add(address, 'pex', nowMs);
    const isTried =
      !known || known.link !== null || known.failures + known.failedWays > 0 || known.openedAtMs > 0;
    if (!isTried) this.#options.dialWays.advised(known, flags);
    return known;
  }

  /** The torrent is private (BEP 27): forgets who came from strangers, and returns their links, to be closed. */
  becomePrivate(): Peer[] {
    this.#isPrivate = true;
    this.#book.forgetSources(STRANGERS);
    return [...this.byLink.values()].filter(({ known }) => known && STRANGERS.has(known.source));
  }

  /** Forgets whom a tracker named, and who came in by it; gives those of them who are met. */
  letGoOfTracker(): Peer[] {
    this.#book.forgetSources(OF_TRACKER);
    return [...this.byLink.values()].filter(
      ({ known, isWebSeed }) => !isWebSeed && (!known || OF_TRACKER.has(known.source)),
    );
  }

  /** Dials the best address that is due; false when there is none or no room. */
  dial(nowMs: number, suits: (known: KnownPeer) => boolean, hello: (known: KnownPeer) => Hello): Peer | null {
    if (!this.mayDialNow) return null;
    const known = this.#nextDue(nowMs, suits);
    return known && this.#connect(known, hello(known), nowMs);
  }

  /** Dials an address out of turn (BEP 55): whoever is there dials us at this moment. */
  dialNow(
    address: PeerAddress,
    source: PeerSource,
    hello: (known: KnownPeer) => Hello,
    nowMs: number,
  ): Peer | null {
    const { limits, dialWays } = this.#options;
    if (!this.#limits.mayDialNow || !limits.mayDialNow) return null;
    const known = this.add(address, source, nowMs);
    if (known?.link !== null || !this.#isWelcome(address, nowMs)) return null;
    // Holes are easier to punch for UDP.
    const utp = dialWays.ways.findIndex(({ transport }) => transport === 'utp');
    if (utp >= 0) known.way = utp;
    return this.#connect(known, hello(known), nowMs);
  }

  /** Takes in a connection from outside; null when it is not welcome. */
  accept(incoming: Incoming, hello: Hello, nowMs: number): Peer | null {
    const { host, limits, bans, torrent, peerId, ownAddress } = this.#options;
    const address = { host: incoming.host, port: incoming.port };
    if (sameBytes(incoming.peerId, peerId) || bans.has(address, nowMs)) return null;
    if (!this.#limits.admits(address.host, true) || !limits.admits(address.host, true)) return null;
    const priority = ownAddress.priority(address);
    if (this.#limits.isFull && !this.#makeRoom(nowMs, priority)) return null;
    if (limits.isFull && !this.#options.makeRoom(nowMs, priority)) return null;
    if (!host.accept(incoming.link, torrent, hello)) return null;
    return this.#began({ link: incoming.link, address, incoming: true, known: null, nowMs });
  }

  /** Whether somebody may be dialled now, room or not. */
  hasDue(nowMs: number, suits: (known: KnownPeer) => boolean): boolean {
    return this.#nextDue(nowMs, suits) !== null;
  }

  /** Ends the connection that is of least use when there is little room and somebody else may be dialled. */
  turnOver(nowMs: number, suits: (known: KnownPeer) => boolean): void {
    const { ownAddress } = this.#options;
    if (this.#ownVersion !== ownAddress.version) {
      this.#ownVersion = ownAddress.version;
      for (const peer of this.byLink.values())
        if (!peer.isWebSeed) peer.priority = ownAddress.priority(peer.address);
    }
    if (this.#turnover.mayEnd(this.byLink.size, nowMs) && this.hasDue(nowMs, suits)) this.#makeRoom(nowMs);
  }

  /** Ends a connection that is of no use. */
  giveUp(peer: Peer): void {
    peer.isClosing = true;
    this.#options.host.close(peer.link, 'turnover');
  }

  /** Takes in a link to a web seed; `url` is how it is shown, and who it is when it is to blame. */
  beginWebSeed(link: number, url: string, nowMs: number): Peer {
    const address = { host: url, port: 0 };
    return this.#began({ link, address, incoming: false, known: null, nowMs, isWebSeed: true });
  }

  /** Whether there is room for one more that we dial. */
  get mayDialNow(): boolean {
    return this.#limits.mayDialNow && this.#options.limits.mayDialNow;
  }

  /** The handshake is over; returns why the connection is of no use, or null. */
  opened(peer: Peer, nowMs: number): { close: Peer; reason: string } | null {
    peer.isOpen = true;
    peer.openedAtMs = nowMs;
    this.#options.limits.opened(!peer.incoming);
    this.#limits.opened(!peer.incoming);
    if (!peer.incoming) this.#options.backoff.answered(peer.address);
    if (peer.known) this.#book.opened(peer.known, nowMs);
    const theirs = peer.peerId;
    if (!theirs) return null;
    if (sameBytes(theirs, this.#options.peerId)) return { close: peer, reason: 'self' };
    for (const other of this.byLink.values()) {
      if (
        other === peer ||
        !other.isOpen ||
        other.isClosing ||
        !other.peerId ||
        !sameBytes(other.peerId, theirs)
      )
        continue;
      // Both ends keep the one that the smaller peer id dialled: else each could close the other's choice.
      const keepDialled = compareBytes(this.#options.peerId, theirs) < 0;
      const loser = other.incoming === peer.incoming || peer.incoming === keepDialled ? peer : other;
      const keeper = loser === peer ? other : peer;
      if (loser.known && !keeper.known) {
        // Not to be dialled again while the other one lives.
        keeper.known = loser.known;
        keeper.known.link = keeper.link;
        loser.known = null;
      }
      return { close: loser, reason: 'duplicate' };
    }
    return null;
  }

  /** An incoming peer told where it listens: the address may be dialled once this connection has ended. */
  listensAt(peer: Peer, port: number, nowMs: number): void {
    const address = { host: peer.address.host, port };
    if (peer.known || !this.#options.dialPolicy.mayDial(address, 'learnt')) return;
    const known = this.#book.add(address, 'incoming', nowMs);
    if (!known || known.link !== null) return;
    known.link = peer.link;
    peer.known = known;
  }

  /** The link is gone for good. */
  ended(peer: Peer, reason: string, nowMs: number): void {
    if (!this.byLink.delete(peer.link)) return;
    const { limits, backoff, dialWays, rates } = this.#options;
    const isHalfOpen = !peer.isOpen && !peer.incoming;
    limits.ended(peer.address.host, isHalfOpen);
    this.#limits.ended(peer.address.host, isHalfOpen);
    rates.left(peer.link);
    this.#ledger.close(peer.account);
    const { known } = peer;
    const hasOtherWay = isHalfOpen && known !== null && dialWays.failed(known, reason);
    // The proxy failed, or a list of ours has the address: that says nothing of who is there.
    const isOurs = isHalfOpen && (reason === 'proxy' || reason === 'blocked');
    if (isHalfOpen && !hasOtherWay && !isOurs) backoff.failed(peer.address, reason, nowMs);
    if (!known) return;
    if (reason === 'self' || reason === 'banned') this.#book.forget(known);
    // The lists may change; nothing is sent for another try.
    else if (reason === 'blocked' && known.source !== 'asked') this.#book.forget(known);
    else if (hasOtherWay) this.#book.again(known, nowMs);
    else if (isOurs) this.#book.closed(known, nowMs);
    else if (!peer.isOpen || BAD_ENDINGS.has(reason)) this.#book.failed(known, nowMs);
    else if (reason === 'turnover') this.#book.rests(known, nowMs);
    else this.#book.closed(known, nowMs);
  }

  isBanned(peer: Peer, nowMs: number): boolean {
    return this.#options.bans.has(peer.address, nowMs);
  }

  /** Bans the addresses it has: the one it came from and the one it listens at. */
  ban(peer: Peer, nowMs: number): void {
    this.#options.bans.ban(peer.address, nowMs);
    if (peer.known) this.#options.bans.ban(peer.known.address, nowMs);
  }

  #connect(known: KnownPeer, hello: Hello, nowMs: number): Peer {
    const { host, torrent, dialWays } = this.#options;
    const { address } = known;
    const link = host.connect(torrent, address.host, address.port, hello, dialWays.of(known));
    known.link = link;
    return this.#began({ link, address, incoming: false, known, nowMs });
  }

  #began(place: Omit<PeerPlace, 'account' | 'meter'>): Peer {
    const { host, rates, torrent, ownAddress } = this.#options;
    const account = this.#ledger.open(identity(place.address));
    const meter = rates.joined(place.link, torrent, place.address);
    const peer = new Peer(host, { ...place, account, meter });
    if (!peer.isWebSeed) peer.priority = ownAddress.priority(peer.address);
    this.byLink.set(peer.link, peer);
    this.#options.limits.began(peer.address.host, !peer.incoming);
    this.#limits.began(peer.address.host, !peer.incoming);
    return peer;
  }

  #makeRoom(nowMs: number, newcomerPriority = 0): boolean {
    if (!this.#turnover.mayEnd(this.byLink.size, nowMs)) return false;
    const worst = whomToEnd(this.byLink.values(), nowMs, newcomerPriority);
    if (!worst) return false;
    this.#turnover.ended();
    this.giveUp(worst);
    return true;
  }

  #nextDue(nowMs: number, suits: (known: KnownPeer) => boolean): KnownPeer | null {
    const { backoff } = this.#options;
    return this.#book.next(nowMs, (known) => {
      const { address } = known;
      return suits(known) && this.#isWelcome(address, nowMs) && backoff.mayDial(address, nowMs);
    });
  }

  /** Whether the address is not banned, and has no more connections than one may have. */
  #isWelcome(address: PeerAddress, nowMs: number): boolean {
    const { limits, bans } = this.#options;
    const { host } = address;
    return this.#limits.admits(host, true) && limits.admits(host, true) && !bans.has(address, nowMs);
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
