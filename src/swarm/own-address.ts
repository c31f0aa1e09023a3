/** Where others see us, and so which peers we and they prefer (BEP 40). */
import type { PeerAddress } from '../connector.js';
import { type AddressFamily, addressFamily } from '../wire/compact-address.js';
import { peerPriority } from './peer-priority.js';

/** Who counts what others say of our address. */
export interface AddressVotes {
  /** A peer says that we come from here (`yourip`, BEP 10): 4 or 16 bytes. */
  vote(vote: { readonly address: Uint8Array; readonly from: string; readonly source: 'peer' }): void;
  current(family: AddressFamily): string | null;
  /** Changes whenever an address does. */
  readonly version: number;
}

export class OwnAddress {
  readonly #listenPort: () => number | null;
  readonly #votes: AddressVotes | null;

  constructor(listenPort: () => number | null, votes: AddressVotes | null = null) {
    this.#listenPort = listenPort;
    this.#votes = votes;
  }

  /** Changes whenever priorities do. */
  get version(): number {
    return this.#votes?.version ?? 0;
  }

  /** A peer says that we come from here: 4 or 16 bytes. */
  heard(from: string, yourIp: Uint8Array): void {
    this.#votes?.vote({ address: yourIp, from, source: 'peer' });
  }

  /** The priority of a peer (BEP 40); 0 for all while our own address is not known. */
  priority(peer: PeerAddress): number {
    const host = this.#votes?.current(addressFamily(peer)) ?? null;
    return host === null ? 0 : peerPriority({ host, port: this.#listenPort() ?? 0 }, peer);
  }
}
