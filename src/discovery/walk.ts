/**
 * An iterative lookup (BEP 5): asks ever nearer nodes until the nearest that live have answered.
 *
 * A stranger can always name one more node that is nearer, so a walk is bounded in questions, and one network (/24, /64)
 * has one place among the candidates.
 */

import { globalPrefix } from '../connector/network.js';
import { formatPeerAddress, isMeantBy, type PeerAddress } from '../connector.js';
import type { AddressFamily } from '../wire/compact-address.js';
import { NODES_FIELD, type NodeInfo, nodeBytes, parseCompactNodes } from './compact-nodes.js';
import { bytesOf, type KrpcReply } from './krpc.js';
import { compareDistance } from './node-id.js';
import { K } from './routing-table.js';
import type { Answer } from './transactions.js';

export interface WalkOptions {
  readonly family: AddressFamily;
  readonly target: Uint8Array;
  /** Our own: never asked. */
  readonly ownId: Uint8Array;
  readonly seeds: readonly NodeInfo[];
  /** Asked as well: nodes whose ids are not known. */
  readonly bootstrap: readonly PeerAddress[];
  readonly ask: (to: PeerAddress) => Promise<Answer>;
  /** Whether a node that somebody named may be asked. */
  readonly mayAsk: (address: PeerAddress) => boolean;
  /** Sees each reply; `true` ends the walk. */
  readonly visit?: (reply: KrpcReply, from: PeerAddress) => boolean;
  /** After this time a question does not hold up others. */
  readonly slowMs: number;
  /** Ends the walk at once. */
  readonly signal: AbortSignal;
}

/** A node that answered, with the token that it gave for writing. */
export interface VisitedNode extends NodeInfo {
  readonly token: Uint8Array | null;
}

/** Questions under way that nobody has been slow to answer. */
const PARALLEL = 4;
const MAX_PARALLEL = 16;
const MAX_QUESTIONS = 160;
const MAX_CANDIDATES = 128;
/** What one reply may name; BEP 5 says 8, some send 20. */
const MAX_NAMED = 20;
const MAX_TOKEN_BYTES = 128;

interface Candidate extends NodeInfo {
  state: 'new' | 'asked' | 'slow' | 'answered' | 'failed';
  token: Uint8Array | null;
}

/** The nearest nodes that answered, nearest first, `K` at most. */
export function walk(options: WalkOptions): Promise<VisitedNode[]> {
  return new Promise((resolve) => new Walk(options, resolve).begin());
}

class Walk {
  readonly #options: WalkOptions;
  readonly #resolve: (nodes: VisitedNode[]) => void;
  /** The nearest first. */
  readonly #candidates: Candidate[] = [];
  readonly #addresses = new Set<string>();
  readonly #prefixes = new Set<string>();
  #underWay = 0;
  #slow = 0;
  #questions = 0;
  #hasEnded = false;

  constructor(options: WalkOptions, resolve: (nodes: VisitedNode[]) => void) {
    this.#options = options;
    this.#resolve = resolve;
  }

  begin(): void {
    const { signal, seeds, bootstrap } = this.#options;
    signal.addEventListener('abort', this.#end, { once: true });
    if (signal.aborted) this.#end();
    if (this.#hasEnded) return;
    for (const node of seeds) this.#add(node);
    for (const address of bootstrap.slice(0, MAX_PARALLEL)) {
      const key = formatPeerAddress(address);
      if (this.#addresses.has(key)) continue;
      this.#addresses.add(key);
      void this.#ask(address, null);
    }
    this.#advance();
  }

  readonly #end = (): void => {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#options.signal.removeEventListener('abort', this.#end);
    this.#resolve(this.#candidates.filter(({ state }) => state === 'answered').slice(0, K));
  };

  #advance(): void {
    if (this.#hasEnded) return;
    let isWaiting = false;
    let alive = 0;
    for (const candidate of this.#candidates) {
      if (candidate.state === 'failed' || candidate.state === 'slow') continue;
      if (++alive > K) break;
      if (candidate.state === 'asked') isWaiting = true;
      if (candidate.state !== 'new' || this.#questions >= MAX_QUESTIONS) continue;
      isWaiting = true;
      if (this.#underWay - this.#slow >= PARALLEL || this.#underWay >= MAX_PARALLEL) break;
      candidate.state = 'asked';
      void this.#ask(candidate, candidate);
    }
    // Of few, also those count that are slow.
    if (!isWaiting && (this.#underWay === 0 || alive >= K)) this.#end();
  }

  async #ask(to: PeerAddress, candidate: Candidate | null): Promise<void> {
    const { ask, slowMs } = this.#options;
    this.#underWay++;
    this.#questions++;
    let isSlow = false;
    const timer = setTimeout(() => {
      isSlow = true;
      this.#slow++;
      if (candidate) candidate.state = 'slow';
      this.#advance();
    }, slowMs);
    const answer = await ask(to);
    clearTimeout(timer);
    this.#underWay--;
    if (isSlow) this.#slow--;
    if (this.#hasEnded) return;
    if (answer.kind === 'reply') this.#take(answer, to, candidate);
    else if (candidate) candidate.state = 'failed';
    this.#advance();
  }

  #take(reply: KrpcReply, from: PeerAddress, asked: Candidate | null): void {
    const { target, family, visit, mayAsk } = this.#options;
    // Another id than the one it was named with: who named it is not to be believed, nor is the place it would take.
    if (asked && compareDistance(target, asked.id, reply.id) !== 0) {
      asked.state = 'failed';
      return;
    }
    const candidate = asked ?? this.#place({ id: reply.id, host: from.host, port: from.port });
    if (candidate) {
      candidate.state = 'answered';
      candidate.token = bytesOf(reply.values, 'token', 1, MAX_TOKEN_BYTES);
    }
    const size = nodeBytes(family);
    const nodes = bytesOf(reply.values, NODES_FIELD[family], size, 2048);
    if (nodes) {
      for (const node of parseCompactNodes(nodes, family, MAX_NAMED)) {
        // What a stranger out there calls 192.168.1.1 is none of ours.
        const isNew = !this.#addresses.has(formatPeerAddress(node));
        if (isNew && isMeantBy(node.host, from.host) && mayAsk(node)) this.#add(node);
      }
    }
    if (visit?.(reply, from)) this.#end();
  }

  #add(node: NodeInfo): void {
    const key = formatPeerAddress(node);
    if (this.#addresses.has(key)) return;
    const prefix = globalPrefix(node.host);
    if (prefix !== null && this.#prefixes.has(prefix)) return;
    if (!this.#place(node)) return;
    this.#addresses.add(key);
    if (prefix !== null) this.#prefixes.add(prefix);
  }

  /** Puts a node among the candidates, unless it is ourselves, there already, or too far. */
  #place({ id, host, port }: NodeInfo): Candidate | null {
    const { target, ownId } = this.#options;
    if (compareDistance(target, id, ownId) === 0) return null;
    let [low, high] = [0, this.#candidates.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#candidates[middle];
      const order = other ? compareDistance(target, other.id, id) : 0;
      if (order === 0) return null;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    if (low >= MAX_CANDIDATES) return null;
    const candidate: Candidate = { id, host, port, state: 'new', token: null };
    this.#candidates.splice(low, 0, candidate);
    if (this.#candidates.length > MAX_CANDIDATES) this.#candidates.pop();
    return candidate;
  }
}
