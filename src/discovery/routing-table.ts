/**
 * The nodes that we know, in buckets by how many leading bits their ids share with ours (BEP 5). Only nodes that
 * answered a question of ours are in it, so nobody gets in by forged datagrams; of one /24 (IPv6: /64) one node to a
 * bucket, so that one network cannot fill it; ids bound to their addresses (BEP 42) go before others.
 */

import { globalPrefix } from '../connector/network.js';
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import type { NodeInfo } from './compact-nodes.js';
import { commonBits, compareDistance, ID_BITS, isBoundId } from './node-id.js';

/** Nodes of a bucket, and of an answer (BEP 5). */
export const K = 8;
/** A node that failed so often in a row is gone. */
const MAX_FAILURES = 3;
/** BEP 5: a node that was silent for 15 minutes is questionable; it is asked before. */
const QUESTIONABLE_MS = 10 * 60_000;
const STALE_BUCKET_MS = 15 * 60_000;

interface TableNode extends NodeInfo {
  readonly prefix: string | null;
  readonly isBound: boolean;
  answeredMs: number;
  failures: number;
}

interface Bucket {
  nodes: TableNode[];
  /** Answered, but found no room: the newest last. */
  spares: TableNode[];
  changedMs: number;
}

export class RoutingTable {
  readonly id: Uint8Array;
  readonly #clock: () => number;
  /** The bucket at n holds ids that share n bits with ours; the last one holds all that share more as well. */
  readonly #buckets: Bucket[] = [];
  readonly #byAddress = new Map<string, TableNode>();

  constructor(id: Uint8Array, clock: () => number) {
    this.id = id;
    this.#clock = clock;
    this.#buckets.push({ nodes: [], spares: [], changedMs: clock() });
  }

  get size(): number {
    return this.#byAddress.size;
  }

  /** The number of leading bits from which on ids share a bucket with our own. */
  get lastBucket(): number {
    return this.#buckets.length - 1;
  }

  /** Whether fewer nodes are known than could be, of those whose ids share exactly so many leading bits with ours. */
  hasRoom(bits: number): boolean {
    const { nodes } = this.#buckets[Math.min(bits, this.lastBucket)] as Bucket;
    return nodes.filter(({ id, failures }) => failures === 0 && commonBits(id, this.id) === bits).length < K;
  }

  nodes(): NodeInfo[] {
    return [...this.#byAddress.values()];
  }

  /** A node answered: it gets in where there is room, or in the place of a worse one. */
  answered({ id, host, port }: NodeInfo): void {
    const nowMs = this.#clock();
    const address = formatPeerAddress({ host, port });
    const known = this.#byAddress.get(address);
    if (known && compareDistance(this.id, known.id, id) === 0) {
      known.answeredMs = nowMs;
      known.failures = 0;
      return;
    }
    // It began anew, with another id.
    if (known) this.#remove(known);
    if (commonBits(id, this.id) === ID_BITS) return;
    const prefix = globalPrefix(host);
    this.#insert({ id, host, port, prefix, isBound: isBoundId(id, host), answeredMs: nowMs, failures: 0 });
  }

  /** A node did not answer. */
  failed(address: PeerAddress): void {
    const node = this.#byAddress.get(formatPeerAddress(address));
    if (!node) return;
    node.failures++;
    const bucket = this.#bucketOf(node.id);
    if (node.failures < MAX_FAILURES && bucket.spares.length === 0) return;
    this.#remove(node);
    const spare = bucket.spares.pop();
    if (spare) this.#insert(spare);
  }

  /** Whether a node that is not known would find room, if it answered. */
  wants({ id, host, port }: NodeInfo): boolean {
    const address = formatPeerAddress({ host, port });
    if (this.#byAddress.has(address)) return false;
    const bucket = this.#bucketOf(id);
    const hasRoom = bucket.nodes.length < K || bucket === this.#buckets.at(-1);
    const prefix = globalPrefix(host);
    // Two nodes that are each a spare of the other would ask each other for ever: each question makes one be met.
    if (bucket.spares.some((spare) => formatPeerAddress(spare) === address)) return false;
    if (bucket.nodes.some((node) => compareDistance(this.id, node.id, id) === 0)) return false;
    if (prefix !== null && bucket.nodes.some((node) => node.prefix === prefix)) return false;
    return hasRoom || bucket.nodes.some((node) => node.failures > 0) || bucket.spares.length < K / 2;
  }

  /** The nearest nodes to a target, those that did not fail of late, nearest first. */
  closest(target: Uint8Array, most: number = K): NodeInfo[] {
    const found: NodeInfo[] = [];
    // Ids of the target's own bucket are nearest to it; all that share more bits with ours are next, and equally far
    // as a group; then come those that share ever fewer bits.
    const own = Math.min(commonBits(target, this.id), this.lastBucket);
    const groups = [
      [this.#buckets[own]],
      this.#buckets.slice(own + 1),
      ...this.#buckets
        .slice(0, own)
        .reverse()
        .map((bucket) => [bucket]),
    ];
    for (const group of groups) {
      const nodes = group.flatMap((bucket) => bucket?.nodes.filter((node) => node.failures === 0) ?? []);
      nodes.sort((a, b) => compareDistance(target, a.id, b.id));
      found.push(...nodes);
      if (found.length >= most) break;
    }
    return found.slice(0, most);
  }

  /** The nodes that were silent the longest, and too long to be sure of them. */
  questionable(most: number): NodeInfo[] {
    const before = this.#clock() - QUESTIONABLE_MS;
    const silent = [...this.#byAddress.values()].filter(
      (node) => node.answeredMs < before || node.failures > 0,
    );
    return silent.sort((a, b) => a.answeredMs - b.answeredMs).slice(0, most);
  }

  /** The number of shared bits of a bucket that nothing came into for long, or `null`; it counts as changed now. */
  staleBucket(): number | null {
    const nowMs = this.#clock();
    const at = this.#buckets.findIndex(({ changedMs }) => changedMs < nowMs - STALE_BUCKET_MS);
    const bucket = this.#buckets[at];
    if (!bucket) return null;
    bucket.changedMs = nowMs;
    return at;
  }

  #insert(node: TableNode): void {
    for (;;) {
      const bucket = this.#bucketOf(node.id);
      const { nodes } = bucket;
      // Who has the id already keeps it as long as it answers, and so with its network.
      const rival = nodes.find(
        (other) =>
          compareDistance(this.id, other.id, node.id) === 0 ||
          (node.prefix !== null && other.prefix === node.prefix),
      );
      if (rival && rival.failures === 0) return;
      const worse = rival ?? (nodes.length < K ? undefined : worst(nodes, node));
      if (worse) this.#remove(worse);
      if (nodes.length < K) {
        nodes.push(node);
        bucket.changedMs = this.#clock();
        this.#byAddress.set(formatPeerAddress(node), node);
        return;
      }
      if (bucket !== this.#buckets.at(-1) || this.#buckets.length >= ID_BITS) {
        const rest = bucket.spares.filter((spare) => formatPeerAddress(spare) !== formatPeerAddress(node));
        bucket.spares = [...rest, node].slice(-K);
        return;
      }
      this.#split(bucket);
    }
  }

  #split(last: Bucket): void {
    const bits = this.#buckets.length - 1;
    const deeper = (node: TableNode) => commonBits(node.id, this.id) > bits;
    this.#buckets.push({
      nodes: last.nodes.filter(deeper),
      spares: last.spares.filter(deeper),
      changedMs: last.changedMs,
    });
    last.nodes = last.nodes.filter((node) => !deeper(node));
    last.spares = last.spares.filter((node) => !deeper(node));
  }

  #remove(node: TableNode): void {
    const bucket = this.#bucketOf(node.id);
    const at = bucket.nodes.indexOf(node);
    if (at !== -1) bucket.nodes.splice(at, 1);
    this.#byAddress.delete(formatPeerAddress(node));
  }

  #bucketOf(id: Uint8Array): Bucket {
    const at = Math.min(commonBits(id, this.id), this.lastBucket);
    const bucket = this.#buckets[at];
    if (!bucket) throw new RangeError('a table has a bucket');
    return bucket;
  }
}

/** Which node gives its place to a new one: the one that failed most, or one whose id is not bound to its address. */
function worst(nodes: readonly TableNode[], newcomer: TableNode): TableNode | undefined {
  const [failing] = nodes.filter((node) => node.failures > 0).sort((a, b) => b.failures - a.failures);
  return failing ?? (newcomer.isBound ? nodes.find((node) => !node.isBound) : undefined);
}
