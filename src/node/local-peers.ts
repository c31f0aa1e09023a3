/** Peers of the local network: which torrents are announced there, and what becomes of who is found. */
import type { PeerAddress } from '../connector.js';
import { type GroupHost, type GroupMessage, Lsd } from '../discovery/lsd.js';
import { type IdleName, nameOf } from '../swarm/idle-torrents.js';
import type { Swarm } from '../swarm/swarm.js';

export interface LocalPeersOptions {
  readonly host: GroupHost;
  readonly listening: PeerAddress;
  /** Opens an idle torrent; then it is added as a swarm. */
  readonly wake: (torrent: number) => Promise<void>;
}

/** Torrents that are opened for announcements at a time: who knows all names must not open them all. */
const MAX_WAKING = 8;

export class LocalPeers {
  readonly #lsd: Lsd;
  readonly #wake: (torrent: number) => Promise<void>;
  readonly #swarms = new Map<IdleName, Swarm>();
  readonly #idle = new Map<IdleName, number>();
  #waking = 0;

  constructor({ host, listening, wake }: LocalPeersOptions) {
    this.#wake = wake;
    this.#lsd = new Lsd({ host, listening, found: (infoHash, peer) => this.#found(infoHash, peer) });
  }

  add(swarm: Swarm): void {
    // BEP 27: nobody is told of a private torrent but its trackers.
    if (swarm.private) return;
    for (const name of namesOf(swarm)) {
      this.#swarms.set(name, swarm);
      this.#lsd.add(name);
    }
  }

  /** Of a torrent that may be told of. */
  addIdle(name: IdleName, torrent: number): void {
    this.#idle.set(name, torrent);
    this.#lsd.add(name);
  }

  removeIdle(name: IdleName): void {
    this.#idle.delete(name);
    if (!this.#swarms.has(name)) this.#lsd.remove(name);
  }

  deliver(messages: Iterable<GroupMessage>): void {
    this.#lsd.deliver(messages);
  }

  /** To be called about once a second. */
  tick(nowMs: number): void {
    for (const [name, swarm] of this.#swarms) {
      if (swarm.state !== 'closed' && !swarm.private) continue;
      this.#swarms.delete(name);
      if (!this.#idle.has(name) || swarm.private) this.#lsd.remove(name);
    }
    this.#lsd.tick(nowMs);
  }

  close(): void {
    this.#lsd.close();
  }

  #found(infoHash: Uint8Array, peer: PeerAddress): void {
    const name = nameOf(infoHash);
    const swarm = this.#swarms.get(name);
    const torrent = this.#idle.get(name);
    if (swarm && swarm.state !== 'closed') swarm.addPeers([peer], 'lsd');
    else if (torrent !== undefined && this.#waking < MAX_WAKING) {
      this.#waking++;
      void this.#wake(torrent)
        .then(() => this.#swarms.get(name)?.addPeers([peer], 'lsd'))
        // Why it cannot be opened is told by who opens it.
        .catch(() => {})
        .finally(() => {
          this.#waking--;
        });
    }
  }
}

function namesOf({ infoHashV1, infoHashV2 }: Swarm): IdleName[] {
  return [infoHashV1, infoHashV2].filter((hash) => hash !== null).map(nameOf);
}
