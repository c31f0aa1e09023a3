/** Nodes in one virtual network: each has a real `Session` over a `SimHost`. */
import { createHash } from 'node:crypto';
import { Session, type SessionOptions } from '../../src/swarm/session.js';
import type { Swarm } from '../../src/swarm/swarm.js';
import type { SwarmEvents, SwarmOptions } from '../../src/swarm/swarm-options.js';
import { SimClock, seededRandom } from './sim-clock.js';
import { SimHost, type SimHostOptions } from './sim-host.js';
import { SimNetwork, type SimNetworkOptions } from './sim-network.js';
import { type SimShape, SimStore } from './sim-store.js';

const TICK_MS = 1000;

/** One torrent that all nodes of a test share. The info dictionary is any bytes: only its hash is looked at. */
export class SimTorrentFile {
  readonly shape: SimShape;
  readonly infoBytes: Uint8Array;
  readonly infoHashV1: Uint8Array;
  readonly infoHashV2: Uint8Array;

  constructor(pieces: number, options: { blocksPerPiece?: number; infoBytes?: Uint8Array } = {}) {
    const pieceLengthBytes = (options.blocksPerPiece ?? 256) * 16_384;
    // The last piece is short, and its last block as well.
    this.shape = { lengthBytes: pieces * pieceLengthBytes - 20_000, pieceLengthBytes };
    this.infoBytes = options.infoBytes ?? new TextEncoder().encode(`info of ${pieces} pieces`);
    this.infoHashV1 = Uint8Array.from(createHash('sha1').update(this.infoBytes).digest());
    this.infoHashV2 = Uint8Array.from(createHash('sha256').update(this.infoBytes).digest());
  }
}

export interface SimNodeOptions extends Omit<SimHostOptions, 'address' | 'wake'> {
  /** One of its own when absent. */
  readonly address?: string;
  /** Says that it has everything, and has nothing. */
  readonly lies?: boolean;
  /** Has everything from the start. */
  readonly seed?: boolean;
  /** Knows the infohash only. */
  readonly magnet?: boolean;
  /** The info dictionary of the magnet link turns out to say that the torrent is private. */
  readonly isPrivate?: boolean;
  /** Its torrent came without these. */
  readonly lacks?: 'v2-hashes' | 'all-hashes';
  readonly swarm?: Partial<SwarmOptions>;
  readonly session?: Partial<SessionOptions>;
  readonly events?: SwarmEvents;
  /** Another torrent than the world's. */
  readonly file?: SimTorrentFile;
}

export class SimNode {
  readonly host: SimHost;
  readonly session: Session;
  readonly store: SimStore;
  readonly swarm: Swarm;
  /** Pieces in the order in which they came. */
  readonly pieces: number[] = [];
  completions = 0;

  constructor(world: SimWorld, file: SimTorrentFile, number: number, options: SimNodeOptions) {
    const { clock } = world;
    this.host = new SimHost(world.network, {
      ...options,
      address: options.address ?? `10.0.${number >> 8}.${number & 255}`,
      wake: () => this.session.apply(this.host.drain()),
    });
    this.session = new Session({
      host: this.host,
      peerId: Uint8Array.from(createHash('sha1').update(`node ${number}`).digest()),
      clock: () => clock.nowMs,
      random: seededRandom(world.seed + number),
      listenPort: () => this.host.address.port,
      ...options.session,
    });
    this.store = new SimStore(file.shape, {
      complete: options.seed ?? false,
      lies: options.lies ?? false,
      ...(options.lacks ? { lacks: options.lacks } : {}),
    });
    const content = { store: this.store, ...file.shape };
    const known = options.magnet ? {} : { infoBytes: file.infoBytes, content };
    this.swarm = this.session.add({
      infoHashV1: file.infoHashV1,
      infoHashV2: file.infoHashV2,
      ...known,
      ...options.swarm,
      events: {
        ...options.events,
        metadata: (infoBytes) => {
          options.events?.metadata?.(infoBytes);
          this.swarm.attach(content, { private: options.isPrivate ?? false });
        },
        piece: (piece) => {
          this.pieces.push(piece);
          options.events?.piece?.(piece);
        },
        complete: () => {
          this.completions++;
          options.events?.complete?.();
        },
      },
    });
    const tick = () => {
      if (this.host.isDead || this.swarm.state === 'closed') return;
      this.session.tick(clock.nowMs);
      clock.after(TICK_MS, tick);
    };
    clock.after(TICK_MS, tick);
  }

  /** Hosts whose links sent blocks that are bad. */
  badHosts(): ReadonlySet<string> {
    return new Set([...this.store.badSenders].map((link) => this.host.hostOf(link)));
  }

  get isDone(): boolean {
    return this.swarm.state === 'seeding';
  }

  meet(...others: SimNode[]): this {
    this.swarm.addPeers(others.map((other) => other.host.address));
    return this;
  }
}

export class SimWorld {
  readonly clock = new SimClock();
  readonly network: SimNetwork;
  readonly seed: number;
  readonly nodes: SimNode[] = [];
  readonly #file: SimTorrentFile;

  constructor(file: SimTorrentFile, options: SimNetworkOptions = {}) {
    this.#file = file;
    this.seed = options.seed ?? 1;
    this.network = new SimNetwork(this.clock, options);
  }

  node(options: SimNodeOptions = {}): SimNode {
    const node = new SimNode(this, options.file ?? this.#file, this.nodes.length + 1, options);
    this.nodes.push(node);
    return node;
  }

  close(): void {
    for (const node of this.nodes) node.session.close();
  }
}
