/**
 * Holepunch (BEP 55). As initiator: an address that cannot be dialled, told by a peer that is connected to it, is asked
 * for through that peer. As relay: two peers of ours that both speak it are told to dial each other. As target: we dial
 * whom the relay names. All of it is rationed: whoever can make us dial could make us knock at a victim's doors.
 */
import {
  type DialPolicy,
  formatPeerAddress,
  isMeantBy,
  normalizeHost,
  type PeerAddress,
} from '../connector.js';
import {
  encodeHolepunchMessage,
  type HolepunchError,
  MAX_HOLEPUNCH_BYTES,
  parseHolepunchMessage,
  UT_HOLEPUNCH,
} from '../wire/holepunch.js';
import { Allowance } from './allowance.js';
import { BAD_MESSAGE, type Extension, FLOOD, type Offence, type Partner } from './extensions.js';

/** Messages of one peer: so many at once, then one in so long. */
const BURST = 10;
const REFILL_MS = 6000;
/** Messages beyond that, before the peer is closed. */
const MAX_IGNORED = 100;
/** What we do for all peers together: rendezvous relayed, addresses dialled. */
const TORRENT_BURST = 30;
const TORRENT_REFILL_MS = 2000;
/** An address is asked for again after so long. */
const ASK_AGAIN_MS = 10 * 60_000;
/** Addresses whose relay is remembered. */
const MAX_RELAYED = 500;

export interface HolepunchOptions {
  readonly dialPolicy: Pick<DialPolicy, 'mayDial'>;
  /** Peers of the torrent that sent a handshake. */
  partners(): Iterable<Partner>;
  /** Dials at once, if there is room. */
  dial(address: PeerAddress, nowMs: number): void;
}

export class Holepunch implements Extension {
  readonly name = UT_HOLEPUNCH;
  readonly maxBytes = MAX_HOLEPUNCH_BYTES;
  readonly #options: HolepunchOptions;
  readonly #messages = new Map<Partner, { allowance: Allowance; ignored: number }>();
  /** Who is connected to an address that may be behind a NAT; the oldest first. */
  readonly #relays = new Map<string, { relay: Partner; askAgainMs: number }>();
  #relayed: Allowance | null = null;
  #dialled: Allowance | null = null;

  constructor(options: HolepunchOptions) {
    this.#options = options;
  }

  /** A peer told of this address, which speaks holepunch. */
  learnt(address: PeerAddress, relay: Partner): void {
    const key = formatPeerAddress(address);
    if (this.#relays.has(key) || !relay.speaks(UT_HOLEPUNCH)) return;
    if (this.#relays.size >= MAX_RELAYED) {
      const [oldest] = this.#relays.keys();
      if (oldest !== undefined) this.#relays.delete(oldest);
    }
    this.#relays.set(key, { relay, askAgainMs: 0 });
  }

  /** An address could not be dialled: asks whoever is connected to it for help. */
  dialFailed(address: PeerAddress, nowMs: number): void {
    const known = this.#relays.get(formatPeerAddress(address));
    if (!known || nowMs < known.askAgainMs) return;
    known.askAgainMs = nowMs + ASK_AGAIN_MS;
    known.relay.send(UT_HOLEPUNCH, encodeHolepunchMessage({ type: 'rendezvous', address }));
  }

  onMessage(partner: Partner, payload: Uint8Array, nowMs: number): Offence | null {
    const messages = this.#messages.get(partner) ?? {
      allowance: new Allowance(BURST, REFILL_MS, nowMs),
      ignored: 0,
    };
    this.#messages.set(partner, messages);
    if (!messages.allowance.take(nowMs)) return ++messages.ignored > MAX_IGNORED ? FLOOD : null;
    const message = parseHolepunchMessage(payload);
    if (!message) return BAD_MESSAGE;
    const { type, address } = message;
    if (type === 'rendezvous') this.#onRendezvous(partner, address, nowMs);
    else if (type === 'connect') this.#onConnect(partner, address, nowMs);
    // An error ends nothing: the address is asked for again when it fails to be dialled much later.
    return null;
  }

  ended(partner: Partner): void {
    this.#messages.delete(partner);
    for (const [key, { relay }] of this.#relays) if (relay === partner) this.#relays.delete(key);
  }

  #onRendezvous(partner: Partner, address: PeerAddress, nowMs: number): void {
    const target = this.#target(partner, address);
    if (typeof target === 'string') {
      partner.send(UT_HOLEPUNCH, encodeHolepunchMessage({ type: 'error', address, error: target }));
      return;
    }
    this.#relayed ??= new Allowance(TORRENT_BURST, TORRENT_REFILL_MS, nowMs);
    if (!this.#relayed.take(nowMs)) return;
    const from = addressOf(partner);
    target.send(UT_HOLEPUNCH, encodeHolepunchMessage({ type: 'connect', address: from }));
    partner.send(UT_HOLEPUNCH, encodeHolepunchMessage({ type: 'connect', address }));
  }

  /** Whom a peer asks for, or why it is not told of it. */
  #target(partner: Partner, address: PeerAddress): Partner | HolepunchError {
    if (!this.#options.dialPolicy.mayDial(address, 'learnt')) return 'no-such-peer';
    const target = this.#find(address);
    if (!target) return 'not-connected';
    if (target === partner) return 'no-self';
    if (!target.speaks(UT_HOLEPUNCH)) return 'no-support';
    const [here, there] = [addressOf(partner).host, address.host];
    // A name that a proxy or I2P leads to has no place in a message.
    if (normalizeHost(here) === null) return 'no-such-peer';
    return isMeantBy(there, here) && isMeantBy(here, there) ? target : 'no-such-peer';
  }

  #onConnect(partner: Partner, address: PeerAddress, nowMs: number): void {
    if (!isMeantBy(address.host, partner.peer.address.host)) return;
    if (!this.#options.dialPolicy.mayDial(address, 'learnt') || this.#find(address)) return;
    this.#dialled ??= new Allowance(TORRENT_BURST, TORRENT_REFILL_MS, nowMs);
    if (this.#dialled.take(nowMs)) this.#options.dial(address, nowMs);
  }

  /** The peer at an address: where it listens, or where its connection comes from. */
  #find({ host, port }: PeerAddress): Partner | undefined {
    for (const partner of this.#options.partners()) {
      const { peer } = partner;
      const isIt = [peer.known?.address, peer.address].some(
        (each) => each?.host === host && each.port === port,
      );
      if (isIt && peer.isOpen && !peer.isClosing) return partner;
    }
    return undefined;
  }
}

/** Where others can dial it: its listening address when it told one. */
function addressOf({ peer }: Partner): PeerAddress {
  return peer.known?.address ?? peer.address;
}
