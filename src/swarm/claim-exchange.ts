/**
 * The exchange of catalogue claims (`bs_catalogue`) at a network's rendezvous: each side tells what it has when the
 * other one greets, and again when it has something better. What is heard is handed on with who said it.
 */
import {
  BS_CATALOGUE,
  type CatalogueClaim,
  encodeClaims,
  MAX_BS_CATALOGUE_BYTES,
  parseClaims,
} from '../wire/bs-catalogue.js';
import { Allowance } from './allowance.js';
import { BAD_MESSAGE, type Extension, FLOOD, type Offence, type Partner } from './extensions.js';
import type { Peer } from './peer.js';

/** A peer is told of news at most this often. */
const TELL_MS = 60_000;
/** Messages taken at once; then one in `REFILL_MS`, which leaves room for a clock that runs fast. */
const BURST = 3;
const REFILL_MS = 50_000;
/** Messages beyond that, before the peer is closed. */
const MAX_IGNORED = 10;

interface Exchange {
  /** What it was told; null for nothing. */
  told: Uint8Array | null;
  tellAtMs: number;
  readonly messages: Allowance;
  ignored: number;
}

export class ClaimExchange implements Extension {
  readonly name = BS_CATALOGUE;
  readonly maxBytes = MAX_BS_CATALOGUE_BYTES;
  readonly #heard: (claims: readonly CatalogueClaim[], from: Peer) => void;
  readonly #exchanges = new Map<Partner, Exchange>();
  /** Null while we have nothing to tell. */
  #payload: Uint8Array | null = null;

  constructor(heard: (claims: readonly CatalogueClaim[], from: Peer) => void) {
    this.#heard = heard;
  }

  /** Says these from now on: the best first, at most 8, and only such as we serve and have read ourselves. */
  tell(claims: readonly CatalogueClaim[]): void {
    this.#payload = claims.length > 0 ? encodeClaims(claims) : null;
  }

  onHandshake(partner: Partner, nowMs: number): void {
    if (!partner.speaks(BS_CATALOGUE)) this.#exchanges.delete(partner);
    else if (!this.#exchanges.has(partner)) {
      const messages = new Allowance(BURST, REFILL_MS, nowMs);
      this.#exchanges.set(partner, { told: null, tellAtMs: nowMs, messages, ignored: 0 });
      this.tick([], nowMs);
    }
  }

  onMessage(partner: Partner, payload: Uint8Array, nowMs: number): Offence | null {
    const exchange = this.#exchanges.get(partner);
    if (!exchange?.messages.take(nowMs)) return exchange && ++exchange.ignored > MAX_IGNORED ? FLOOD : null;
    const claims = parseClaims(payload);
    if (!claims) return BAD_MESSAGE;
    this.#heard(claims, partner.peer);
    return null;
  }

  tick(_: Iterable<Partner>, nowMs: number): void {
    if (!this.#payload) return;
    for (const [partner, exchange] of this.#exchanges) {
      if (exchange.told === this.#payload || nowMs < exchange.tellAtMs) continue;
      partner.send(BS_CATALOGUE, this.#payload);
      exchange.told = this.#payload;
      exchange.tellAtMs = nowMs + TELL_MS;
    }
  }

  ended(partner: Partner): void {
    this.#exchanges.delete(partner);
  }
}
