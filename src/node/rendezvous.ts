/**
 * The rendezvous of a network (DESIGN §1): a swarm without a torrent, whose peers tell each other which catalogues they
 * have. Who serves some lets himself be found; who looks for one hears claims, each with whoever made it.
 */
import { rendezvousInfoHash } from '../chain/claim.js';
import { formatPeerAddress, isLoopback, type PeerAddress } from '../connector.js';
import type { Network } from '../native.js';
import { ClaimExchange } from '../swarm/claim-exchange.js';
import type { Peer } from '../swarm/peer.js';
import type { Swarm } from '../swarm/swarm.js';
import { toHex } from '../units.js';
import type { CatalogueClaim } from '../wire/bs-catalogue.js';
import type { PeerNode } from './peer-node.js';

/** Connections to people who are met; what they have to say is said in a second. */
const maxMeetings = 100;
/** Claims remembered; with more, those with the least work are forgotten. */
const maxHeard = 1000;

/** A claim and everybody who makes it. */
export interface HeardClaim {
  readonly claim: CatalogueClaim;
  /** By name of the claimant (its IP address); null where the claimant cannot be dialled. */
  readonly claimants: ReadonlyMap<string, PeerAddress | null>;
}

export class Rendezvous {
  /** One of a node is enough, for those who look and those who tell. */
  static readonly #ofNode = new WeakMap<PeerNode, Rendezvous>();
  readonly #exchange = new ClaimExchange((claims, from) => this.#hear(claims, from));
  /** By all that is claimed: of one infohash several things may be said. */
  readonly #heard = new Map<string, { claim: CatalogueClaim; claimants: Map<string, PeerAddress | null> }>();
  readonly #swarm: Swarm;
  #news: (() => void) | null = null;

  private constructor(peerNode: PeerNode, network: Network) {
    this.#swarm = peerNode.add({
      infoHashV1: rendezvousInfoHash(network),
      infoHashV2: null,
      meeting: { extension: this.#exchange, isLooking: () => this.#news !== null },
      maxLinks: maxMeetings,
      announcedFirst: true,
    });
  }

  /** A node's, of the network that all its jobs are about. */
  static at(peerNode: PeerNode, network: Network): Rendezvous {
    const rendezvous = Rendezvous.#ofNode.get(peerNode) ?? new Rendezvous(peerNode, network);
    Rendezvous.#ofNode.set(peerNode, rendezvous);
    return rendezvous;
  }

  /** Says these to whoever comes: the best first; such as are served and were read by ourselves. */
  tell(claims: readonly CatalogueClaim[]): void {
    this.#exchange.tell(claims);
  }

  /** Looks for people until `leave`; `news` is called when one of them claimed something. */
  look(news: () => void): void {
    this.#news = news;
  }

  /** Looks no more; is still found. */
  rest(): void {
    this.#news = null;
  }

  /** Whom we are connected to now. */
  get links(): number {
    return this.#swarm.status().links;
  }

  get heard(): Iterable<HeardClaim> {
    return this.#heard.values();
  }

  #hear(claims: readonly CatalogueClaim[], from: Peer): void {
    if (!this.#news) return;
    const name = claimantName(from);
    // What it says now is all that it says: nobody fills the table by saying ever more.
    for (const [key, { claimants }] of this.#heard) {
      if (claimants.delete(name) && claimants.size === 0) this.#heard.delete(key);
    }
    for (const claim of claims) {
      const { infoHashV1, infoHashV2, lengthBytes, count, work } = claim;
      const key = `${toHex(infoHashV1)} ${toHex(infoHashV2)} ${lengthBytes} ${count} ${toHex(work)}`;
      const heard = this.#heard.get(key) ?? { claim, claimants: new Map() };
      heard.claimants.set(name, from.known?.address ?? (from.incoming ? null : from.address));
      this.#heard.set(key, heard);
    }
    while (this.#heard.size > maxHeard) this.#forgetLeast();
    this.#news();
  }

  #forgetLeast(): void {
    let least: [string, CatalogueClaim] | null = null;
    for (const [key, { claim }] of this.#heard) {
      if (!least || Buffer.compare(claim.work, least[1].work) < 0) least = [key, claim];
    }
    if (least) this.#heard.delete(least[0]);
  }
}

/** Who is held to account for a claim: an address; on loopback, where all share one, with its port. */
function claimantName({ address, known }: Peer): string {
  return isLoopback(address.host) ? formatPeerAddress(known?.address ?? address) : address.host;
}
