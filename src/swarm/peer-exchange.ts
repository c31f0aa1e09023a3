/**
 * Peer exchange (BEP 11): once a minute each peer is told whom else we are connected to, and tells us. Only connected
 * peers whose listening address is known are told. What peers tell is rationed by who tells and by what is told, so that
 * no liar fills the book with addresses of its own, or makes us knock at a victim's doors.
 */
import { networkOf } from '../connector/network.js';
import { type DialPolicy, formatPeerAddress, isMeantBy, type PeerAddress } from '../connector.js';
import { UT_HOLEPUNCH } from '../wire/holepunch.js';
import {
  encodePexMessage,
  MAX_FIRST_PEX_PEERS,
  MAX_PEX_BYTES,
  MAX_PEX_PEERS,
  type PexPeer,
  parsePexMessage,
  UT_PEX,
} from '../wire/pex.js';
import { Allowance } from './allowance.js';
import { BAD_MESSAGE, type Extension, FLOOD, type Offence, type Partner } from './extensions.js';
import type { Peer } from './peer.js';

/** BEP 11: not more often. */
const SEND_MS = 60_000;
/** A peer that there is nothing to tell is looked at again after so long. */
const LOOK_AGAIN_MS = 5000;
/** Live peers that one peer is told of. */
const MAX_TOLD = 200;
/** Messages taken at once; then one in `SEND_MS`, less a peer's clock that runs fast. */
const BURST = 3;
const REFILL_MS = 50_000;
/** Messages beyond that, before the peer is closed. */
const MAX_IGNORED = 10;

export interface PeerExchangeOptions {
  /** All links of the torrent. */
  readonly peers: ReadonlyMap<number, Peer>;
  readonly dialPolicy: Pick<DialPolicy, 'mayDial'>;
  /** An address that may be dialled, and who told it. */
  learnt(peer: PexPeer, from: Partner, nowMs: number): void;
}

/** What was said to one peer, and by it. */
interface Exchange {
  nextSendMs: number;
  /** Links that it was told of. */
  readonly told: Set<number>;
  readonly messages: Allowance;
  received: number;
  ignored: number;
}

export class PeerExchange implements Extension {
  readonly name = UT_PEX;
  readonly maxBytes = MAX_PEX_BYTES;
  readonly #options: PeerExchangeOptions;
  readonly #exchanges = new Map<Partner, Exchange>();
  readonly #ration = new PexRation();
  /** Peers that are gone, to be told as dropped: by link, with the time it was noticed. */
  readonly #gone = new Map<number, { address: PeerAddress; atMs: number }>();
  #current = new Map<number, PexPeer>();

  constructor(options: PeerExchangeOptions) {
    this.#options = options;
  }

  onHandshake(partner: Partner, nowMs: number): void {
    if (!partner.speaks(UT_PEX)) this.#exchanges.delete(partner);
    else if (!this.#exchanges.has(partner)) {
      const messages = new Allowance(BURST, REFILL_MS, nowMs);
      this.#exchanges.set(partner, { nextSendMs: nowMs, told: new Set(), messages, received: 0, ignored: 0 });
    }
  }

  onMessage(partner: Partner, payload: Uint8Array, nowMs: number): Offence | null {
    const exchange = this.#exchanges.get(partner);
    if (!exchange?.messages.take(nowMs)) return exchange && ++exchange.ignored > MAX_IGNORED ? FLOOD : null;
    const most = exchange.received++ === 0 ? MAX_FIRST_PEX_PEERS : MAX_PEX_PEERS;
    const message = parsePexMessage(payload, most);
    if (!message) return BAD_MESSAGE;
    const from = partner.peer.address.host;
    for (const peer of message.added) {
      if (!isMeantBy(peer.address.host, from) || !this.#options.dialPolicy.mayDial(peer.address, 'learnt'))
        continue;
      if (this.#ration.take(from, peer.address, nowMs)) this.#options.learnt(peer, partner, nowMs);
    }
    return null;
  }

  tick(partners: Iterable<Partner>, nowMs: number): void {
    let isLooked = false;
    for (const [partner, exchange] of this.#exchanges) {
      if (nowMs < exchange.nextSendMs) continue;
      if (!isLooked) this.#look(partners, nowMs);
      isLooked = true;
      exchange.nextSendMs = nowMs + (this.#tell(partner, exchange) ? SEND_MS : LOOK_AGAIN_MS);
    }
  }

  ended(partner: Partner): void {
    this.#exchanges.delete(partner);
  }

  /** Looks up who can be told of. */
  #look(partners: Iterable<Partner>, nowMs: number): void {
    const current = new Map<number, PexPeer>();
    const holepunchers = new Set<number>();
    for (const partner of partners) if (partner.speaks(UT_HOLEPUNCH)) holepunchers.add(partner.link);
    for (const peer of this.#options.peers.values()) {
      const address = peer.known?.address;
      if (!address || !peer.isOpen || peer.isClosing) continue;
      if (!this.#options.dialPolicy.mayDial(address, 'learnt')) continue;
      const flags = {
        // Whoever is told so dials it encrypted: also where it only showed that it can.
        prefersEncryption: peer.encrypted || peer.prefersEncryption,
        utp: peer.transport === 'utp',
        seed: peer.known?.seed === true || peer.uploadOnly,
        holepunch: holepunchers.has(peer.link),
        reachable: !peer.incoming,
      };
      current.set(peer.link, { address, flags });
    }
    for (const [link, { address }] of this.#current) {
      if (!current.has(link)) this.#gone.set(link, { address, atMs: nowMs });
    }
    for (const [link, { atMs }] of this.#gone) {
      if (nowMs - atMs < 2 * SEND_MS) break;
      this.#gone.delete(link);
    }
    this.#current = current;
  }

  /** Tells a peer what changed since it was told last; false when there is nothing to tell. */
  #tell(partner: Partner, { told }: Exchange): boolean {
    const isFirst = told.size === 0;
    const added: PexPeer[] = [];
    const dropped: PeerAddress[] = [];
    for (const link of told) {
      if (this.#current.has(link) || dropped.length >= MAX_PEX_PEERS) continue;
      told.delete(link);
      const gone = this.#gone.get(link);
      if (gone) dropped.push(gone.address);
    }
    const most = Math.min(isFirst ? MAX_FIRST_PEX_PEERS : MAX_PEX_PEERS, MAX_TOLD - told.size);
    const { host } = partner.peer.address;
    for (const [link, peer] of this.#current) {
      if (added.length >= most) break;
      if (link === partner.link || told.has(link) || !isMeantBy(peer.address.host, host)) continue;
      told.add(link);
      added.push(peer);
    }
    if (added.length === 0 && dropped.length === 0) return false;
    partner.send(UT_PEX, encodePexMessage({ added, dropped }));
    return true;
  }
}

/** The time in which addresses are counted. */
const WINDOW_MS = 10 * 60_000;
/** Addresses taken in that time from one who tells them, ... */
const MAX_PER_TELLER = 200;
/** ... in one network (/24, /48), of one host, and in all. */
const MAX_PER_NETWORK = 32;
const MAX_PER_HOST = 8;
const MAX_PER_WINDOW = 2000;

/** Counts what is learnt. An address told twice is counted once. */
class PexRation {
  #untilMs = 0;
  readonly #addresses = new Set<string>();
  readonly #counts = new Map<string, number>();

  take(from: string, address: PeerAddress, nowMs: number): boolean {
    if (nowMs >= this.#untilMs) {
      this.#untilMs = nowMs + WINDOW_MS;
      this.#addresses.clear();
      this.#counts.clear();
    }
    const text = formatPeerAddress(address);
    if (this.#addresses.has(text)) return true;
    const keys: [string, number][] = [
      [`from ${from}`, MAX_PER_TELLER],
      [`in ${networkOf(address.host)}`, MAX_PER_NETWORK],
      [`of ${address.host}`, MAX_PER_HOST],
    ];
    if (this.#addresses.size >= MAX_PER_WINDOW) return false;
    if (keys.some(([key, most]) => (this.#counts.get(key) ?? 0) >= most)) return false;
    for (const [key] of keys) this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
    this.#addresses.add(text);
    return true;
  }
}
