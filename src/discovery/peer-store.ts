/** The peers that were announced to us, for half an hour: bounded in all, by infohash, and by network. */
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import { encodeCompactAddress } from '../wire/compact-address.js';
import { PrefixQuota } from './prefix-quota.js';

const PEER_AGE_MS = 30 * 60_000;
const MAX_PEERS = 20_000;
const MAX_PEERS_OF_HASH = 200;
/** Of one network. */
const MAX_PEERS_OF_PREFIX = 1000;

interface StoredPeer {
  readonly hash: string;
  readonly host: string;
  readonly compact: Uint8Array;
  readonly atMs: number;
}

export class PeerStore {
  readonly #clock: () => number;
  /** By infohash and address, the oldest first. */
  readonly #peers = new Map<string, StoredPeer>();
  readonly #byHash = new Map<string, Set<string>>();
  readonly #quota = new PrefixQuota(MAX_PEERS_OF_PREFIX);

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Infohashes that have peers. */
  get size(): number {
    return this.#byHash.size;
  }

  /** `false` when its network has all it may. */
  add(infoHash: Uint8Array, address: PeerAddress): boolean {
    this.#expire();
    const hash = Buffer.from(infoHash).toString('latin1');
    const key = `${hash}${formatPeerAddress(address)}`;
    this.#remove(key);
    if (!this.#quota.take(address.host)) return false;
    const keys = this.#byHash.get(hash) ?? new Set();
    const crowded =
      keys.size >= MAX_PEERS_OF_HASH ? keys : this.#peers.size >= MAX_PEERS ? this.#peers.keys() : [];
    const [oldest] = crowded;
    if (oldest !== undefined) this.#remove(oldest);
    const compact = encodeCompactAddress(address);
    this.#peers.set(key, { hash, host: address.host, compact, atMs: this.#clock() });
    // The last one of its infohash may just have made room.
    this.#byHash.set(hash, keys.add(key));
    return true;
  }

  /** Peers of an infohash, compact (6 or 18 bytes each): all of them, or a random part. */
  values(infoHash: Uint8Array, most: number): Uint8Array[] {
    this.#expire();
    const keys = this.#byHash.get(Buffer.from(infoHash).toString('latin1')) ?? [];
    const found = [...keys].flatMap((key) => this.#peers.get(key)?.compact ?? []);
    return randomPart(found, most);
  }

  /** When the oldest of the announcements of an infohash came that are kept; null when none is. */
  oldestMs(infoHash: Uint8Array): number | null {
    this.#expire();
    const [key] = this.#byHash.get(Buffer.from(infoHash).toString('latin1')) ?? [];
    return key === undefined ? null : (this.#peers.get(key)?.atMs ?? null);
  }

  /** Random infohashes that have peers (BEP 51). */
  sample(most: number): Uint8Array[] {
    this.#expire();
    return randomPart([...this.#byHash.keys()], most).map((hash) => Buffer.from(hash, 'latin1'));
  }

  #expire(): void {
    const before = this.#clock() - PEER_AGE_MS;
    for (const [key, { atMs }] of this.#peers) {
      if (atMs > before) return;
      this.#remove(key);
    }
  }

  #remove(key: string): void {
    const peer = this.#peers.get(key);
    if (!peer) return;
    this.#peers.delete(key);
    this.#quota.give(peer.host);
    const keys = this.#byHash.get(peer.hash);
    keys?.delete(key);
    if (keys?.size === 0) this.#byHash.delete(peer.hash);
  }
}

/** Takes `most` of the list at random, by so many steps of a shuffle. */
function randomPart<T>(list: T[], most: number): T[] {
  const count = Math.min(most, list.length);
  for (let at = 0; at < count && count < list.length; at++) {
    const other = at + Math.floor(Math.random() * (list.length - at));
    [list[at], list[other]] = [list[other] as T, list[at] as T];
  }
  return list.slice(0, count);
}
