/**
 * The mainline DHT (BEP 5, IPv4): finds peers by infohash and says where we are.
 *
 * `bittorrent-dht` does the routing, behind this interface and behind a socket that lets only sound datagrams in.
 * Walks are bounded in time, in peers, and in how many run at once: a stranger can always name one more node that is
 * closer. Nothing is resolved here: bootstrap addresses are IP literals.
 */

import { Client } from 'bittorrent-dht';
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import { type Datagram, DatagramSocket, type DatagramSocketOptions } from './datagram-socket.js';

export interface DhtOptions extends DatagramSocketOptions {
  /** Nodes to begin with; they may be asked wherever they are. */
  bootstrap?: readonly PeerAddress[];
  /** Our id, 20 bytes; random when absent. */
  nodeId?: Uint8Array;
  /** Longest time of one walk. */
  lookupMs?: number;
  /** Most peers of one lookup. */
  peersPerLookup?: number;
  /** Walks at the same time; further ones wait their turn. */
  walks?: number;
  /** How long a node has for its answer. */
  answerMs?: number;
}

const PEERS_KEPT = 10_000;
const PEER_AGE_MS = 30 * 60 * 1000;
const HASH_BYTES = 20;

/** A running DHT node. Datagrams for it come in through `deliver`. */
export class Dht {
  private readonly client: Client;
  private readonly socket: DatagramSocket;
  private readonly bootstrap: ReadonlySet<string>;
  private readonly asked = new Set<string>();
  private readonly closing = new AbortController();
  private readonly lookupMs: number;
  private readonly peersPerLookup: number;
  private readonly walks: number;
  private readonly answerMs: number;
  private running = 0;
  private readonly waiting: (() => void)[] = [];
  private closed: Promise<void> | null = null;

  constructor(options: DhtOptions) {
    const {
      bootstrap = [],
      nodeId,
      lookupMs = 30_000,
      peersPerLookup = 500,
      walks = 8,
      answerMs = 2000,
    } = options;
    this.bootstrap = new Set(bootstrap.map(formatPeerAddress));
    this.lookupMs = lookupMs;
    this.peersPerLookup = peersPerLookup;
    this.walks = walks;
    this.answerMs = answerMs;
    this.socket = new DatagramSocket({
      ...options,
      mayDial: (address) => this.isAsked(address) || options.mayDial(address),
    });
    this.client = new Client({
      socket: this.socket,
      bootstrap: bootstrap.map(({ host, port }) => ({ host, port })),
      // Whatever comes here is sent as it is: the socket refuses what is no IP, and dns is never asked.
      isIP: () => true,
      timeout: answerMs,
      maxPeers: PEERS_KEPT,
      maxAge: PEER_AGE_MS,
      ...(nodeId === undefined ? {} : { nodeId: Buffer.from(nodeId) }),
    });
    this.client.setMaxListeners(0);
    // Warnings are other people's malformed answers. Errors cannot come from a socket that is bound already.
    this.client.on('error', () => {});
    this.client.listen();
  }

  /** Datagrams that the native core received and that are no other protocol's. */
  deliver(datagrams: Iterable<Datagram>): void {
    this.socket.deliver(datagrams);
  }

  /** Adds a node that the user or a peer (BEP 5 PORT message) named: it is pinged, and kept when it answers. */
  addNode(address: PeerAddress, options: { asked?: boolean } = {}): void {
    if (this.closed !== null) return;
    // Bounded, as whoever calls this in a loop may not know.
    if (options.asked === true && this.asked.size < 1000) this.asked.add(formatPeerAddress(address));
    this.client.addNode({ host: address.host, port: address.port });
  }

  /** The nodes that answered lately: worth keeping for the next start. */
  nodes(): PeerAddress[] {
    return this.client.nodes.toArray().map(({ host, port }) => ({ host, port }));
  }

  /** Datagrams refused for their shape. */
  refusedDatagrams(): number {
    return this.socket.refused;
  }

  /**
   * Yields the peers of an infohash (20 bytes), each once, as answers come in. Ends by itself; ends at once when the
   * node is closed.
   *
   * @throws `signal.reason` when aborted
   */
  async *lookup(
    infoHash: Uint8Array,
    options: { signal?: AbortSignal } = {},
  ): AsyncGenerator<PeerAddress, void, undefined> {
    // The client hands this very object back with each peer: it tells walks for the same hash apart.
    const key = infoHashBuffer(infoHash);
    const seen = new Set<string>();
    const found: PeerAddress[] = [];
    let ended = false;
    let wake = () => {};
    const walk = new AbortController();
    const onPeer = ({ host, port }: PeerAddress, hash: Buffer) => {
      if (hash !== key || seen.size >= this.peersPerLookup) return;
      const name = formatPeerAddress({ host, port });
      if (seen.has(name)) return;
      seen.add(name);
      found.push({ host, port });
      if (seen.size >= this.peersPerLookup) walk.abort();
      wake();
    };
    const onAbort = () => {
      walk.abort();
      wake();
    };
    const { signal } = options;
    signal?.throwIfAborted();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.client.on('peer', onPeer);
    const walked = this.walk(key, walk.signal).finally(() => {
      ended = true;
      wake();
    });
    try {
      for (;;) {
        signal?.throwIfAborted();
        const peer = found.shift();
        if (peer !== undefined) yield peer;
        else if (ended) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.client.off('peer', onPeer);
      signal?.removeEventListener('abort', onAbort);
      walk.abort();
      await walked;
    }
  }

  /**
   * Says that peers of an infohash (20 bytes) find us on a TCP port. Gives the number of nodes that took it: 0 when
   * none did, as when none is known.
   *
   * @throws `signal.reason` when aborted
   */
  async announce(
    infoHash: Uint8Array,
    port: number,
    options: { signal?: AbortSignal } = {},
  ): Promise<number> {
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`"port" expected integer in 1..65535, got ${port}`);
    }
    const key = infoHashBuffer(infoHash);
    const { signal } = options;
    signal?.throwIfAborted();
    // The walk leaves a table of the closest nodes with their write tokens. Without one the client would begin a
    // walk of its own, which nothing bounds.
    const walked = await this.walk(key, signal);
    signal?.throwIfAborted();
    if (!walked || this.closed !== null) return 0;
    const announced = new Promise<number>((resolve) => {
      this.client.announce(key, port, (_error, count) => resolve(count ?? 0));
    });
    const taken = await this.within(this.lookupMs, announced, signal);
    signal?.throwIfAborted();
    return taken ?? 0;
  }

  /** Stops; running lookups end. No timer is left. Idempotent. */
  close(): Promise<void> {
    this.closed ??= new Promise((resolve) => {
      this.closing.abort();
      for (const proceed of this.waiting.splice(0)) proceed();
      this.client.destroy(resolve);
    });
    return this.closed;
  }

  /** One walk to the nodes closest to a hash. `true` when it came to its end, by itself or as its time was up. */
  private async walk(key: Buffer, signal?: AbortSignal): Promise<boolean> {
    await this.turn(signal);
    try {
      if (signal?.aborted === true || this.closed !== null) return false;
      let stop = () => {};
      const finished = new Promise<true>((resolve) => {
        stop = this.client.lookup(key, () => resolve(true));
      });
      const inTime = await this.within(this.lookupMs, finished, signal);
      stop();
      // Stopped, it asks nobody more and ends when what is on its way is answered or timed out.
      return (inTime ?? (await this.within(3 * this.answerMs, finished, signal))) === true;
    } finally {
      this.running -= 1;
      this.waiting.shift()?.();
    }
  }

  /** Waits until fewer than `walks` are running, then counts this one. */
  private async turn(signal?: AbortSignal): Promise<void> {
    while (this.running >= this.walks && signal?.aborted !== true && this.closed === null) {
      let proceed = () => {};
      await new Promise<void>((resolve) => {
        proceed = resolve;
        this.waiting.push(proceed);
        signal?.addEventListener('abort', proceed, { once: true });
      });
      signal?.removeEventListener('abort', proceed);
      const place = this.waiting.indexOf(proceed);
      if (place !== -1) this.waiting.splice(place, 1);
    }
    this.running += 1;
  }

  /** What `work` gives, or `null` when the time is up, the signal fires, or the node closes first. */
  private within<T>(timeoutMs: number, work: Promise<T>, signal?: AbortSignal): Promise<T | null> {
    return new Promise((resolve) => {
      const done = (value: T | null) => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', giveUp);
        this.closing.signal.removeEventListener('abort', giveUp);
        resolve(value);
      };
      const giveUp = () => done(null);
      const timer = setTimeout(giveUp, timeoutMs);
      signal?.addEventListener('abort', giveUp, { once: true });
      this.closing.signal.addEventListener('abort', giveUp, { once: true });
      work.then(done, giveUp);
      if (signal?.aborted === true || this.closing.signal.aborted) giveUp();
    });
  }

  private isAsked(address: PeerAddress): boolean {
    const name = formatPeerAddress(address);
    return this.bootstrap.has(name) || this.asked.has(name);
  }
}

function infoHashBuffer(infoHash: Uint8Array): Buffer {
  if (infoHash.length !== HASH_BYTES) {
    throw new RangeError(`"infoHash" expected ${HASH_BYTES} bytes, got ${infoHash.length}`);
  }
  return Buffer.from(infoHash);
}
