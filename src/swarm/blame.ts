/**
 * Who answers for bad pieces. The native core names culprits when it can: the only sender of a bad piece, or the
 * sender of a block that differs from the same block of the good piece (smart ban). When it cannot, all senders
 * are suspects: on parole each fetches pieces alone, until one of them is good (acquitted) or bad (banned).
 */
import type { PeerAddress } from '../connector.js';
import { type BanList, identity } from './bans.js';
import type { PieceVerdict } from './link-host.js';

/** Links are remembered after they closed: their blocks may be judged later. */
const MAX_REMEMBERED_LINKS = 8192;
const MAX_SUSPECTS = 1024;

export class Blame {
  readonly #bans: BanList;
  readonly #addresses = new Map<number, PeerAddress>();
  readonly #suspects = new Set<string>();

  constructor(bans: BanList) {
    this.#bans = bans;
  }

  remember(link: number, address: PeerAddress): void {
    this.#addresses.set(link, address);
    if (this.#addresses.size > MAX_REMEMBERED_LINKS) dropOldest(this.#addresses);
  }

  isSuspect(address: PeerAddress): boolean {
    return this.#suspects.has(identity(address));
  }

  /** Bans culprits and moves suspects; returns whether the standing of any peer changed. */
  judge(verdict: PieceVerdict, nowMs: number): boolean {
    const culprits = this.#known(verdict.culprits);
    for (const address of culprits) {
      this.#bans.ban(address, nowMs);
      this.#suspects.delete(identity(address));
    }
    const senders = this.#known(verdict.senders);
    // The leaves tell of each sender: who is not a culprit is none of the suspects any more.
    if (verdict.outcome === 'blamed') for (const each of senders) this.#suspects.delete(identity(each));
    if (culprits.length > 0 || verdict.outcome === 'blamed') return true;
    const [only] = senders;
    if (verdict.outcome === 'good') {
      return only !== undefined && verdict.senders.length === 1 && this.#suspects.delete(identity(only));
    }
    if (verdict.outcome !== 'bad') return false;
    for (const address of senders) {
      this.#suspects.add(identity(address));
      if (this.#suspects.size > MAX_SUSPECTS) dropOldest(this.#suspects);
    }
    return senders.length > 0;
  }

  #known(links: readonly number[]): PeerAddress[] {
    return links.map((link) => this.#addresses.get(link)).filter((address) => address !== undefined);
  }
}

function dropOldest<K>(table: { keys(): Iterable<K>; delete(key: K): boolean }): void {
  for (const oldest of table.keys()) {
    table.delete(oldest);
    return;
  }
}
