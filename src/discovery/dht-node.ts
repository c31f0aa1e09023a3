/**
 * Our node in the DHT of one address family (BEP 32: IPv4 and IPv6 are two). Owns its id and table, asks and answers,
 * and keeps the table fresh.
 */
import { addressScope, type PeerAddress } from '../connector.js';
import { type AddressFamily, addressFamily, parseCompactAddress } from '../wire/compact-address.js';
import { NODES_FIELD, type NodeInfo, nodeBytes, parseCompactNodes } from './compact-nodes.js';
import type { ExternalAddress } from './external-address.js';
import type { ItemStore } from './item-store.js';
import { bytesOf, type KrpcFields, type KrpcQuery, type KrpcReply } from './krpc.js';
import { boundId, isBoundId, randomId, randomIdSharing } from './node-id.js';
import { PeerStore } from './peer-store.js';
import type { ReplyAllowance } from './reply-allowance.js';
import { respond, SAMPLE_INTERVAL_MS } from './responder.js';
import { K, RoutingTable } from './routing-table.js';
import type { Answer, Transactions } from './transactions.js';
import { type VisitedNode, walk } from './walk.js';
import type { WriteTokens } from './write-token.js';

export interface DhtNodeOptions {
  readonly family: AddressFamily;
  readonly id: Uint8Array | null;
  /** Nodes of an earlier run: asked first. */
  readonly saved: readonly NodeInfo[];
  readonly bootstrap: readonly PeerAddress[];
  readonly transactions: Transactions;
  readonly items: ItemStore;
  readonly tokens: WriteTokens;
  readonly allowance: ReplyAllowance;
  readonly externalAddress: ExternalAddress;
  readonly clock: () => number;
  readonly answerMs: number;
  readonly send: (payload: Uint8Array, to: PeerAddress) => void;
  readonly mayDial: (address: PeerAddress) => boolean;
  /** The node of the other family, when we speak it. */
  readonly other: () => DhtNode | null;
}

/** What to ask on a walk. */
export interface Question {
  readonly method: string;
  readonly args: KrpcFields;
  /** `true` ends the walk. */
  readonly visit?: (reply: KrpcReply, from: PeerAddress) => boolean;
}

/** Strangers who are asked whether they are there, or whether they asked, at a time. */
const MAX_CHECKS = 16;
/** We look around again after this time, longer each time, */
const HURRY_MS = 5000;
/** but at most so much, */
const REST_MAX_MS = 15 * 60_000;
/** or so much while hardly anybody is known. */
const POOR_REST_MAX_MS = 60_000;
/** Nodes asked at each tick whether they are still there. */
const PINGS_PER_TICK = 2;
/** Nodes of the other family that one reply brings. */
const MAX_HINTS = 2;
const SAMPLE_INFOHASHES = 20;
/** Networks that must agree on where we are. */
const MIN_VOTES = 4;

export class DhtNode {
  readonly family: AddressFamily;
  readonly #options: DhtNodeOptions;
  readonly #peers: PeerStore;
  readonly #closing = new AbortController();
  #table: RoutingTable;
  #saved: readonly NodeInfo[];
  #checks = 0;
  #answeredMs = Number.NEGATIVE_INFINITY;
  #lookAroundAtMs = Number.NEGATIVE_INFINITY;
  #restMs = HURRY_MS;
  #isUpkeeping = false;
  #sampled: readonly Uint8Array[] = [];
  #sampleAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: DhtNodeOptions) {
    const { family, clock, id, saved } = options;
    this.family = family;
    this.#options = options;
    this.#peers = new PeerStore(clock);
    this.#table = new RoutingTable(id ?? randomId(), clock);
    this.#saved = saved;
  }

  get id(): Uint8Array {
    return this.#table.id;
  }

  get table(): RoutingTable {
    return this.#table;
  }

  get peers(): PeerStore {
    return this.#peers;
  }

  /** Asks a node once, and learns from its answer. Where it may be asked, whoever calls has decided. */
  async ask(to: PeerAddress, method: string, args: KrpcFields): Promise<Answer> {
    const { transactions, clock, allowance } = this.#options;
    const askedMs = clock();
    const answer = await transactions.ask(to, method, args);
    if (answer.kind === 'silence') {
      // When nobody answers at all it is us who are cut off.
      if (this.#answeredMs >= askedMs) this.#table.failed(to);
      return answer;
    }
    this.#answeredMs = clock();
    allowance.prove(to.host);
    if (answer.kind === 'reply') {
      this.#table.answered({ id: answer.id, host: to.host, port: to.port });
      if (answer.ip) this.#hear(answer.ip, to);
      this.#hintOther(answer, to);
    }
    return answer;
  }

  /** Whether a node is there; learns it, if so. */
  async ping(to: PeerAddress): Promise<boolean> {
    return (await this.ask(to, 'ping', new Map([['id', this.id]]))).kind === 'reply';
  }

  /** Walks to the nodes nearest to a target, asking each the same. */
  walk(target: Uint8Array, { method, args, visit }: Question, signal: AbortSignal): Promise<VisitedNode[]> {
    const { family, bootstrap, mayDial, answerMs, other } = this.#options;
    const seeds = this.#table.closest(target, 2 * K);
    const isPoor = seeds.length < K;
    const wantsOther = other()?.isPoor() === true;
    const fields = new Map(args).set('id', this.id);
    if (wantsOther) fields.set('want', ['n4', 'n6']);
    return walk({
      family,
      target,
      ownId: this.id,
      seeds: isPoor ? [...seeds, ...this.#saved.filter(mayDial)] : seeds,
      bootstrap: isPoor ? bootstrap : [],
      ask: (to) => this.ask(to, method, fields),
      mayAsk: mayDial,
      ...(visit && { visit }),
      slowMs: answerMs / 2,
      signal,
    });
  }

  /** Hardly anybody is known. */
  isPoor(): boolean {
    return this.#table.size < K;
  }

  /** Answers a question. `false` when it is not worth an answer. */
  take(query: KrpcQuery, from: PeerAddress, questionBytes: number): boolean {
    const { send, items, tokens, allowance, other } = this.#options;
    const tables = (family: AddressFamily) =>
      family === this.family ? this.#table : (other()?.table ?? null);
    const sampled = () => this.#sample();
    const responder = { tables, peers: this.#peers, items, tokens, allowance, sampled };
    const response = respond(responder, query, from, questionBytes);
    if (response?.ifProven && !query.readOnly && this.#checks < MAX_CHECKS) {
      // The answer is too large for someone who may not have asked: first it must say that it is there.
      const { ifProven, payload } = response;
      this.#check(from, (isThere) => send(isThere ? ifProven : payload, from));
      return true;
    }
    if (response) send(response.payload, from);
    if (!query.readOnly) this.#meet({ id: query.id, host: from.host, port: from.port });
    return response !== null;
  }

  /** Keeps the table fresh; to be called every few seconds. */
  tick(): void {
    for (const node of this.#table.questionable(PINGS_PER_TICK)) void this.ping(node);
    if (!this.#isUpkeeping) void this.#upkeep();
  }

  /** Nodes worth keeping for the next start. */
  nodes(): NodeInfo[] {
    return this.#table.nodes();
  }

  close(): void {
    this.#closing.abort();
  }

  /** Looks around when it is time to, or into a bucket where nothing has moved. */
  async #upkeep(): Promise<void> {
    const { clock, bootstrap } = this.#options;
    this.#isUpkeeping = true;
    if (clock() >= this.#lookAroundAtMs) {
      const isAlone = this.#table.size + this.#saved.length + bootstrap.length === 0;
      if (!isAlone) await this.#lookAround();
    } else {
      const bits = this.#table.staleBucket();
      if (bits !== null) await this.#visit(randomIdSharing(this.id, bits));
    }
    this.#isUpkeeping = false;
  }

  /**
   * Walks to our neighbours, and into each part of the network of which too few are known. Without the latter, who
   * joined about when we did knows as little of a part as we do, and a walk to there ends among nodes that know but each
   * other (Kademlia, section 2.3).
   */
  async #lookAround(): Promise<void> {
    const table = this.#table;
    await this.#visit(table.id);
    for (let bits = 0; bits <= table.lastBucket; bits++) {
      if (this.#closing.signal.aborted || this.#table !== table) break;
      if (table.hasRoom(bits)) await this.#visit(randomIdSharing(table.id, bits));
    }
    // The id was bound anew while it was under way: then it is due at once.
    if (this.#table !== table) return;
    // Who begins together with us will be known later.
    this.#lookAroundAtMs = this.#options.clock() + this.#restMs;
    this.#restMs = Math.min(this.isPoor() ? POOR_REST_MAX_MS : REST_MAX_MS, this.#restMs * 2);
    if (!this.isPoor()) this.#saved = [];
  }

  async #visit(target: Uint8Array): Promise<void> {
    const question = { method: 'find_node', args: new Map([['target', target]]) };
    await this.walk(target, question, this.#closing.signal);
  }

  /** Somebody asked us: worth knowing, if there is room, and if it is there. */
  #meet(node: NodeInfo): void {
    if (this.#checks >= MAX_CHECKS || !this.#table.wants(node) || !this.#options.mayDial(node)) return;
    this.#check(node, () => {});
  }

  #check(address: PeerAddress, done: (isThere: boolean) => void): void {
    this.#checks++;
    void this.ping(address).then((isThere) => {
      this.#checks--;
      done(isThere);
    });
  }

  /** A reply brings nodes of the other family: they are asked while hardly anybody is known there (BEP 32). */
  #hintOther(reply: KrpcReply, from: PeerAddress): void {
    const other = this.#options.other();
    if (!other?.isPoor()) return;
    const nodes = bytesOf(reply.values, NODES_FIELD[other.family], nodeBytes(other.family), 2048);
    if (!nodes) return;
    for (const node of parseCompactNodes(nodes, other.family, MAX_HINTS)) {
      // Addresses of two families cannot be compared: only what means the same everywhere is taken from everybody.
      if (addressScope(node.host) === 'global' || addressScope(from.host) !== 'global') other.#meet(node);
    }
  }

  /** BEP 42: where others see us decides our id. Few could move it, and who moves it chooses what we are near to. */
  #hear(ip: Uint8Array, { host: from }: PeerAddress): void {
    const { clock, externalAddress } = this.#options;
    const { family } = this;
    const seen = parseCompactAddress(ip, family);
    if (seen && addressFamily(seen) === family) {
      externalAddress.vote({ address: seen.host, from, source: 'dht' });
    }
    const host = externalAddress.current(family);
    if (host === null || isBoundId(this.id, host) || externalAddress.votes(family) < MIN_VOTES) return;
    const table = new RoutingTable(boundId(host), clock);
    for (const node of this.#table.nodes()) table.answered(node);
    this.#table = table;
    this.#lookAroundAtMs = Number.NEGATIVE_INFINITY;
    this.#restMs = HURRY_MS;
  }

  #sample(): readonly Uint8Array[] {
    const nowMs = this.#options.clock();
    if (nowMs >= this.#sampleAtMs) {
      this.#sampled = this.#peers.sample(SAMPLE_INFOHASHES);
      this.#sampleAtMs = nowMs + SAMPLE_INTERVAL_MS;
    }
    return this.#sampled;
  }
}
