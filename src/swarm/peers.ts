/**
 * The connections of one torrent: whom to dial and when, whom to let in, what an ending means for the next try.
 * Knows nothing of pieces.
 */
import type { DialPolicy, PeerAddress } from '../connector.js';
import type { BanList } from './bans.js';
import type { Hello, Incoming, LinkHost } from './link-host.js';
import type { LinkLimits } from './link-limits.js';
import { Peer } from './peer.js';
import { type KnownPeer, PeerBook, type PeerBookOptions, type PeerSource } from './peer-book.js';

export interface PeersOptions {
  readonly host: LinkHost;
  readonly torrent: number;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  readonly limits: LinkLimits;
  readonly bans: BanList;
  readonly dialPolicy: Pick<DialPolicy, 'mayDial'>;
  readonly book: PeerBookOptions;
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

export class Peers {
  readonly byLink = new Map<number, Peer>();
  readonly #options: PeersOptions;
  readonly #book: PeerBook;
  readonly #maxLinks: number;

  constructor(options: PeersOptions) {
    this.#options = options;
    this.#book = new PeerBook(options.book);
    this.#maxLinks = options.maxLinks ?? 200;
  }

  get knownCount(): number {
    return this.#book.size;
  }

  add(address: PeerAddress, source: PeerSource, nowMs: number): void {
    if (this.#options.dialPolicy.mayDial(address, source === 'asked' ? 'asked' : 'learnt')) {
      this.#book.add(address, source, nowMs);
    }
  }

  /** Dials the best address that is due; false when there is none or no room. */
  dial(nowMs: number, suits: (known: KnownPeer) => boolean, hello: (known: KnownPeer) => Hello): Peer | null {
    const { host, limits, bans, torrent } = this.#options;
    if (this.byLink.size >= this.#maxLinks || !limits.mayDialNow) return null;
    const known = this.#book.next(nowMs, (each) => {
      return suits(each) && limits.admits(each.address.host) && !bans.has(each.address, nowMs);
    });
    if (!known) return null;
    const { address } = known;
    const link = host.connect(torrent, address.host, address.port, hello(known));
    known.link = link;
    return this.#began(new Peer(host, { link, address, incoming: false, known, nowMs }));
  }

  /** Takes in a connection from outside; null when it is not welcome. */
  accept(incoming: Incoming, hello: Hello, nowMs: number): Peer | null {
    const { host, limits, bans, torrent, peerId } = this.#options;
    const address = { host: incoming.host, port: incoming.port };
    if (this.byLink.size >= this.#maxLinks || !limits.admits(address.host) || bans.has(address, nowMs))
      return null;
    if (sameBytes(incoming.peerId, peerId) || !host.accept(incoming.link, torrent, hello)) return null;
    const place = { link: incoming.link, address, incoming: true, known: null, nowMs };
    return this.#began(new Peer(host, place));
  }

  /** The handshake is over; returns why the connection is of no use, or null. */
  opened(peer: Peer, nowMs: number): { close: Peer; reason: string } | null {
    peer.isOpen = true;
    peer.openedAtMs = nowMs;
    this.#options.limits.opened(!peer.incoming);
    if (peer.known) this.#book.opened(peer.known);
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
    this.#options.limits.ended(peer.address.host, !peer.isOpen && !peer.incoming);
    const { known } = peer;
    if (!known) return;
    if (reason === 'self' || reason === 'banned') this.#book.forget(known);
    else if (!peer.isOpen || BAD_ENDINGS.has(reason)) this.#book.failed(known, nowMs);
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

  #began(peer: Peer): Peer {
    this.byLink.set(peer.link, peer);
    this.#options.limits.began(peer.address.host, !peer.incoming);
    return peer;
  }
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}
