/**
 * Makes room among connections that are of no use to anybody, when better ones may be had (libtorrent's
 * `peer_turnover`): of a set that is 90 % full, 4 % in 5 minutes and no more, so that nobody can push out
 * everybody by knocking. Where all are of use, canonical priority decides (BEP 40): who was there first could keep
 * out the whole swarm otherwise.
 */
import type { Peer } from './peer.js';

const FULL = 0.9;
const SHARE = 0.04;
const INTERVAL_MS = 5 * 60_000;

/** Somebody who came so lately, or sent or got something, is not useless yet. */
const GRACE_MS = 60_000;

export class Turnover {
  readonly #maxLinks: number;
  readonly #burst: number;
  /** Connections that may be ended now. */
  #credit: number;
  #sinceMs = 0;

  constructor(maxLinks: number) {
    this.#maxLinks = maxLinks;
    this.#burst = Math.max(1, maxLinks * SHARE);
    this.#credit = this.#burst;
  }

  /** Whether one connection of `links` may be ended for another one. */
  mayEnd(links: number, nowMs: number): boolean {
    this.#credit += ((nowMs - this.#sinceMs) * this.#burst) / INTERVAL_MS;
    this.#credit = Math.min(this.#burst, this.#credit);
    this.#sinceMs = nowMs;
    return links >= this.#maxLinks * FULL && this.#credit >= 1;
  }

  ended(): void {
    this.#credit--;
  }
}

/**
 * Whom to end. First who is idle and whom neither side waits for: those where nobody is interested, then of the lowest
 * canonical priority, then idle for longest. If there is none, then of those that give us nothing the one with the
 * lowest priority, when that is lower than the newcomer's. Null when everybody is better than the newcomer.
 */
export function whomToEnd(peers: Iterable<Peer>, nowMs: number, newcomerPriority = 0): Peer | null {
  let [useless, lowest] = [null as Peer | null, null as Peer | null];
  for (const peer of peers) {
    if (!peer.isOpen || peer.isClosing || peer.isWebSeed || peer.stripes.length > 0) continue;
    if (nowMs - peer.openedAtMs < GRACE_MS) continue;
    const isIdle = nowMs - peer.lastPayloadMs >= GRACE_MS;
    if (isIdle && (!useless || isWorse(peer, useless))) useless = peer;
    if (!peer.interested && peer.priority < (lowest?.priority ?? newcomerPriority)) lowest = peer;
  }
  return useless ?? lowest;
}

function isWorse(peer: Peer, other: Peer): boolean {
  const [interests, others] = [interest(peer), interest(other)];
  if (interests !== others) return interests < others;
  if (peer.priority !== other.priority) return peer.priority < other.priority;
  return lastUseMs(peer) < lastUseMs(other);
}

function interest(peer: Peer): number {
  return Number(peer.interested) + Number(peer.peerInterested);
}

function lastUseMs(peer: Peer): number {
  return Math.max(peer.openedAtMs, peer.lastPayloadMs);
}
