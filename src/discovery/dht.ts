/**
 * The mainline DHT (BEP 5, 32, 42, 43, 44, 51): finds peers by infohash, says where we are, and keeps and finds items.
 *
 * Walks are bounded in time, in peers, and in how many run at once: a stranger can always name one more node that is
 * closer. Nothing is resolved here: bootstrap addresses are IP literals.
 */
import { setMaxListeners } from 'node:events';
import { isIPv4 } from 'node:net';
import type { Encodable } from '../bencode.js';
import { formatPeerAddress, isMeantBy, type PeerAddress } from '../connector.js';
import { sameBytes } from '../units.js';
import { type AddressFamily, addressFamily, parseCompactAddress } from '../wire/compact-address.js';
import { checkItem, type DhtItem, isMutable, isSigned, itemTarget } from './dht-item.js';
import { DhtNode, type Question } from './dht-node.js';
import { type DhtState, NO_DHT_STATE } from './dht-state.js';
import { ExternalAddress } from './external-address.js';
import { type InfohashSample, parseSample } from './infohash-sample.js';
import { itemFields, parseItem } from './item-fields.js';
import { ItemStore } from './item-store.js';
import { type KrpcReply, parseKrpc } from './krpc.js';
import { ID_BYTES } from './node-id.js';
import { ReplyAllowance } from './reply-allowance.js';
import { Transactions } from './transactions.js';
import { Turns } from './turns.js';
import type { VisitedNode } from './walk.js';
import { WriteTokens } from './write-token.js';

/** A datagram that came in. */
export interface Datagram {
  readonly host: string;
  readonly port: number;
  readonly payload: Uint8Array;
}

export interface DhtOptions {
  /** Hands a datagram to the network; `false` when it could not be taken. */
  readonly send: (payload: Uint8Array, host: string, port: number) => boolean;
  /** Where the UDP port is bound: an IPv4 address, an IPv6 address, or `::` for both families. */
  readonly address: PeerAddress;
  /** Whether a datagram may go to an address that somebody told us. */
  readonly mayDial: (address: PeerAddress) => boolean;
  /** Nodes to begin with; they may be asked wherever they are. */
  readonly bootstrap?: readonly PeerAddress[];
  /** Ids and nodes of an earlier run; random ids when absent. */
  readonly state?: DhtState;
  /** Takes the votes of nodes on where we are, and decides our id; one of its own when absent. */
  readonly externalAddress?: ExternalAddress;
  /** BEP 43: asks, and answers nobody. */
  readonly readOnly?: boolean;
  /** Longest time of one walk. */
  readonly lookupMs?: number;
  /** Most peers of one lookup. */
  readonly peersPerLookup?: number;
  /** Walks at the same time; further ones wait their turn. */
  readonly walks?: number;
  /** How long a node has for its answer. */
  readonly answerMs?: number;
  /** Milliseconds since any fixed start. */
  readonly clock?: () => number;
}

interface Waitable {
  readonly signal?: AbortSignal;
}

const TICK_MS = 5000;
/** Nodes that the user or peers named, and that may be asked wherever they are. */
const MAX_NAMED = 1000;
/** A running DHT node. Datagrams for it come in through `deliver`. */
export class Dht {
  readonly #options: DhtOptions;
  readonly #nodes: readonly DhtNode[];
  readonly #transactions: Transactions;
  readonly #items: ItemStore;
  readonly #external: ExternalAddress;
  readonly #turns: Turns;
  readonly #clock: () => number;
  readonly #named: Set<string>;
  readonly #closing = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #lookupMs: number;
  readonly #peersPerLookup: number;
  #refused = 0;

  constructor(options: DhtOptions) {
    const { bootstrap = [], state = NO_DHT_STATE, walks = 40, answerMs = 2000, readOnly = false } = options;
    const { clock = () => performance.now() } = options;
    this.#options = options;
    this.#clock = clock;
    this.#lookupMs = options.lookupMs ?? 30_000;
    this.#peersPerLookup = options.peersPerLookup ?? 500;
    this.#named = new Set(bootstrap.map(formatPeerAddress));
    this.#turns = new Turns(walks);
    this.#items = new ItemStore(clock);
    this.#external = options.externalAddress ?? new ExternalAddress();
    const send = (payload: Uint8Array, { host, port }: PeerAddress) => {
      options.send(payload, host, port);
    };
    this.#transactions = new Transactions({ send, answerMs, readOnly });
    const shared = {
      transactions: this.#transactions,
      items: this.#items,
      tokens: new WriteTokens(clock),
      allowance: new ReplyAllowance(clock),
      externalAddress: this.#external,
      mayDial: (address: PeerAddress) => this.#mayAsk(address),
      ...{ clock, answerMs, send },
    };
    this.#nodes = familiesOf(options.address.host).map((family) => {
      const { id, nodes: saved } = state[family];
      const own = bootstrap.filter((address) => addressFamily(address) === family);
      const other = () => this.#nodes.find((node) => node.family !== family) ?? null;
      return new DhtNode({ ...shared, family, id, saved, bootstrap: own, other });
    });
    // A listener for each walk.
    setMaxListeners(0, this.#closing.signal);
    this.#timer = setInterval(() => this.#tick(), TICK_MS).unref();
    queueMicrotask(() => this.#tick());
  }

  /** Takes what the native core received and is no other protocol's. Never throws for what a stranger sent. */
  deliver(datagrams: Iterable<Datagram>): void {
    for (const { host, port, payload } of datagrams) {
      if (this.#closing.signal.aborted) return;
      let isTaken = false;
      try {
        isTaken = this.#take({ host, port }, payload);
      } catch {
        // The last net under all checks: one odd datagram must not end the process.
      }
      if (!isTaken) this.#refused++;
    }
  }

  /** Adds a node that the user or a peer (BEP 5 PORT message) named: it is pinged, and kept when it answers. */
  addNode(address: PeerAddress, options: { asked?: boolean } = {}): void {
    // Bounded, as whoever calls this in a loop may not know.
    if (options.asked === true && this.#named.size < MAX_NAMED) this.#named.add(formatPeerAddress(address));
    const node = this.#nodeOf(address);
    if (node && this.#mayAsk(address) && !this.#closing.signal.aborted) void node.ping(address);
  }

  /** The nodes that answered lately. */
  nodes(): PeerAddress[] {
    return this.#nodes.flatMap((node) => node.nodes().map(({ host, port }) => ({ host, port })));
  }

  /** What is worth keeping for the next start. */
  state(): DhtState {
    const of = (family: AddressFamily) => {
      const node = this.#nodes.find((each) => each.family === family);
      return node ? { id: node.id, nodes: node.nodes() } : (this.#options.state ?? NO_DHT_STATE)[family];
    };
    return { ipv4: of('ipv4'), ipv6: of('ipv6') };
  }

  /** Where the world sees us, as far as the votes tell that the nodes' answers hold (BEP 42). */
  get externalAddress(): ExternalAddress {
    return this.#external;
  }

  /** How long ago the oldest announcement of an infohash came of those that our own nodes keep; null: they keep none. */
  oldestAnnouncementMs(infoHash: Uint8Array): number | null {
    const times = this.#nodes.map(({ peers }) => peers.oldestMs(infoHash)).filter((time) => time !== null);
    return times.length === 0 ? null : this.#clock() - Math.min(...times);
  }

  /** Datagrams that were no question worth an answer, and no answer to a question of ours. */
  refusedDatagrams(): number {
    return this.#refused;
  }

  /**
   * Yields the peers of an infohash (20 bytes), each once, as answers come in. Ends by itself; ends at once when the
   * node is closed.
   *
   * @throws `signal.reason` when aborted
   */
  async *lookup(
    infoHash: Uint8Array,
    { signal }: Waitable = {},
  ): AsyncGenerator<PeerAddress, void, undefined> {
    checkHash(infoHash, 'infoHash');
    const seen = new Set<string>();
    const take = (address: PeerAddress | null) => {
      if (address === null || seen.size >= this.#peersPerLookup) return [];
      const key = formatPeerAddress(address);
      return seen.has(key) || !seen.add(key) ? [] : [address];
    };
    const own = this.#nodes.flatMap((node) =>
      node.peers
        .values(infoHash, this.#peersPerLookup)
        .flatMap((compact) => take(parseCompactAddress(compact, node.family))),
    );
    const question = {
      method: 'get_peers',
      args: new Map([['info_hash', infoHash]]),
      visit: (reply: KrpcReply, from: PeerAddress) => {
        // A stranger out there may not point us at our own machine or network.
        const peers = peersOf(reply).filter((peer) => isMeantBy(peer.host, from.host));
        return { found: peers.flatMap(take), isEnough: seen.size >= this.#peersPerLookup };
      },
    };
    yield* own;
    yield* this.#stream(infoHash, question, signal);
  }

  /**
   * Says that peers of an infohash (20 bytes) find us on a TCP port. Gives the number of nodes that took it: 0 when
   * none did, as when none is known.
   *
   * @throws `signal.reason` when aborted
   */
  async announce(infoHash: Uint8Array, port: number, { signal }: Waitable = {}): Promise<number> {
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`"port" expected integer in 1..65535, got ${port}`);
    }
    checkHash(infoHash, 'infoHash');
    const args = new Map<string, Encodable>([['info_hash', infoHash]]);
    const walked = await this.#walk(infoHash, { method: 'get_peers', args }, signal);
    const fields = new Map(args).set('port', port).set('implied_port', 0);
    return this.#write(walked, 'announce_peer', fields, signal);
  }

  /**
   * Finds an item by its target (20 bytes): the SHA-1 of its value, or of its public key and salt. Of a mutable one the
   * latest that any node has and that its key signed; `null` when none is found.
   *
   * @throws `signal.reason` when aborted
   */
  async getItem(
    target: Uint8Array,
    { publicKey, salt, signal }: Waitable & Pick<DhtItem, 'publicKey' | 'salt'> = {},
  ): Promise<DhtItem | null> {
    checkHash(target, 'target');
    let best = this.#items.get(target);
    const visit = (reply: KrpcReply) => {
      const item = parseItem(reply.values, salt ?? null);
      if (!item || !sameBytes(itemTarget(item), target)) return false;
      if (!isMutable(item)) {
        best = item;
        return true;
      }
      const isNewer = best?.seq === undefined || item.seq > best.seq;
      const isKeys = publicKey === undefined || sameBytes(item.publicKey, publicKey);
      if (isNewer && isKeys && isSigned(item)) best = item;
      return false;
    };
    // An immutable one that we keep ourselves is what it must be.
    if (best && !isMutable(best)) return best;
    await this.#walk(target, { method: 'get', args: new Map([['target', target]]), visit }, signal);
    return best;
  }

  /**
   * Puts an item to the nodes nearest to its target; `cas` is the `seq` of the one that it may replace. Gives the
   * number of nodes that took it: 0 also when all of them have a newer one.
   *
   * @throws RangeError for an item that no node would take; `signal.reason` when aborted
   */
  async putItem(item: DhtItem, { cas, signal }: Waitable & { readonly cas?: number } = {}): Promise<number> {
    checkItem(item);
    const target = itemTarget(item);
    const { salt } = item;
    const args = new Map<string, Encodable>([['target', target]]);
    const walked = await this.#walk(target, { method: 'get', args }, signal);
    const fields: Map<string, Encodable> = itemFields(item);
    if (salt?.length) fields.set('salt', salt);
    if (cas !== undefined) fields.set('cas', cas);
    const taken = await this.#write(walked, 'put', fields, signal);
    // We are a node as well: whoever asks us gets it.
    if (taken > 0 || walked.every(({ visited }) => visited.length === 0)) {
      this.#items.put(item, this.#options.address.host, cas ?? null);
    }
    return taken;
  }

  /**
   * Yields what the nodes on the way to a target (20 bytes) keep (BEP 51), as they answer.
   *
   * @throws `signal.reason` when aborted
   */
  async *sampleInfohashes(
    target: Uint8Array,
    { signal }: Waitable = {},
  ): AsyncGenerator<InfohashSample, void, undefined> {
    checkHash(target, 'target');
    const visit = (reply: KrpcReply) => {
      const sample = parseSample(reply);
      return { found: sample ? [sample] : [], isEnough: false };
    };
    yield* this.#stream(
      target,
      { method: 'sample_infohashes', args: new Map([['target', target]]), visit },
      signal,
    );
  }

  /** Stops; running lookups end. No timer is left. Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#closing.abort();
    for (const node of this.#nodes) node.close();
    this.#transactions.close();
  }

  #tick(): void {
    if (this.#closing.signal.aborted) return;
    for (const node of this.#nodes) node.tick();
  }

  #take(from: PeerAddress, payload: Uint8Array): boolean {
    const node = this.#nodeOf(from);
    const message = node && from.port > 0 ? parseKrpc(payload) : null;
    if (!node || !message) return false;
    if (message.kind !== 'query') return this.#transactions.take(from, message);
    return this.#options.readOnly === true || node.take(message, from, payload.length);
  }

  /** A walk in each family, in turn; what the answers hold comes out as they come in. */
  async *#stream<T>(
    target: Uint8Array,
    question: Omit<Question, 'visit'> & {
      readonly visit: (reply: KrpcReply, from: PeerAddress) => { found: readonly T[]; isEnough: boolean };
    },
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T, void, undefined> {
    const found: T[] = [];
    let hasEnded = false;
    let wake = () => {};
    const leave = new AbortController();
    const onAbort = () => leave.abort(signal?.reason);
    signal?.throwIfAborted();
    signal?.addEventListener('abort', onAbort, { once: true });
    const visit = (reply: KrpcReply, from: PeerAddress) => {
      const seen = question.visit(reply, from);
      found.push(...seen.found);
      wake();
      return seen.isEnough;
    };
    const walked = this.#walk(target, { ...question, visit }, leave.signal)
      .catch(() => {})
      .finally(() => {
        hasEnded = true;
        wake();
      });
    try {
      for (;;) {
        signal?.throwIfAborted();
        const next = found.shift();
        if (next !== undefined) yield next;
        else if (hasEnded) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      signal?.removeEventListener('abort', onAbort);
      leave.abort();
      await walked;
    }
  }

  /** The nearest nodes of each family that answered. Empty when the node closes first. */
  async #walk(
    target: Uint8Array,
    question: Question,
    signal: AbortSignal | undefined,
  ): Promise<{ node: DhtNode; visited: readonly VisitedNode[] }[]> {
    signal?.throwIfAborted();
    const stop = new AbortController();
    const onStop = () => stop.abort();
    const closing = this.#closing.signal;
    signal?.addEventListener('abort', onStop, { once: true });
    closing.addEventListener('abort', onStop, { once: true });
    if (closing.aborted) stop.abort();
    try {
      const hasTurn = await this.#turns.take(stop.signal).then(
        () => true,
        () => false,
      );
      signal?.throwIfAborted();
      if (!hasTurn) return [];
      const timer = setTimeout(onStop, this.#lookupMs);
      try {
        const walks = this.#nodes.map(async (node) => ({
          node,
          visited: await node.walk(target, question, stop.signal),
        }));
        return await Promise.all(walks);
      } finally {
        clearTimeout(timer);
        this.#turns.give();
        signal?.throwIfAborted();
      }
    } finally {
      signal?.removeEventListener('abort', onStop);
      closing.removeEventListener('abort', onStop);
    }
  }

  /** Asks the nodes that a walk found to keep something; gives how many said that they do. */
  async #write(
    walked: readonly { node: DhtNode; visited: readonly VisitedNode[] }[],
    method: string,
    fields: ReadonlyMap<string, Encodable>,
    signal: AbortSignal | undefined,
  ): Promise<number> {
    const asked = walked.flatMap(({ node, visited }) =>
      visited.map(async (to) => {
        if (to.token === null) return false;
        const args = new Map(fields).set('id', node.id).set('token', to.token);
        return (await node.ask(to, method, args)).kind === 'reply';
      }),
    );
    const taken = await Promise.all(asked);
    signal?.throwIfAborted();
    return taken.filter(Boolean).length;
  }

  #nodeOf(address: PeerAddress): DhtNode | undefined {
    const family = addressFamily(address);
    return this.#nodes.find((node) => node.family === family);
  }

  #mayAsk(address: PeerAddress): boolean {
    return this.#named.has(formatPeerAddress(address)) || this.#options.mayDial(address);
  }
}

/** A socket of `::` hears and reaches both. */
function familiesOf(host: string): AddressFamily[] {
  if (isIPv4(host)) return ['ipv4'];
  return host === '::' ? ['ipv4', 'ipv6'] : ['ipv6'];
}

function peersOf({ values }: KrpcReply): PeerAddress[] {
  const list = values.get('values');
  if (!Array.isArray(list)) return [];
  return list.flatMap((compact) => {
    if (!(compact instanceof Uint8Array)) return [];
    return parseCompactAddress(compact, 'ipv4') ?? parseCompactAddress(compact, 'ipv6') ?? [];
  });
}

function checkHash(hash: Uint8Array, name: string): void {
  if (hash.length !== ID_BYTES)
    throw new RangeError(`"${name}" expected ${ID_BYTES} bytes, got ${hash.length}`);
}
