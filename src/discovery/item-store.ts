/** The items of others that we keep (BEP 44), for two hours after they were last put: bounded in all and by network. */
import { sameBytes } from '../units.js';
import {
  type DhtItem,
  isMutable,
  isSigned,
  itemTarget,
  MAX_SALT_BYTES,
  MAX_VALUE_BYTES,
} from './dht-item.js';
import type { KrpcErrorCode } from './krpc.js';
import { PrefixQuota } from './prefix-quota.js';

const ITEM_AGE_MS = 2 * 60 * 60_000;
const MAX_ITEMS = 1000;
const MAX_ITEMS_OF_PREFIX = 64;

interface StoredItem {
  readonly item: DhtItem;
  /** Who put it. */
  readonly host: string;
  readonly atMs: number;
}

export class ItemStore {
  readonly #clock: () => number;
  /** By target, the oldest first. */
  readonly #items = new Map<string, StoredItem>();
  readonly #quota = new PrefixQuota(MAX_ITEMS_OF_PREFIX);

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  get(target: Uint8Array): DhtItem | null {
    this.#expire();
    return this.#items.get(Buffer.from(target).toString('latin1'))?.item ?? null;
  }

  /** Keeps an item for `host`; otherwise why not (BEP 44): `cas` is the `seq` that it is to replace. */
  put(item: DhtItem, host: string, cas: number | null): KrpcErrorCode | null {
    this.#expire();
    if (item.value.length > MAX_VALUE_BYTES) return 205;
    if ((item.salt?.length ?? 0) > MAX_SALT_BYTES) return 207;
    const key = Buffer.from(itemTarget(item)).toString('latin1');
    const known = this.#items.get(key);
    if (isMutable(item)) {
      const seq = known?.item.seq;
      if (seq !== undefined && cas !== null && cas !== seq) return 301;
      if (seq !== undefined && item.seq < seq) return 302;
      // The same number for another value is no update.
      if (seq === item.seq && !sameBytes(known?.item.value ?? new Uint8Array(), item.value)) return 302;
      if (!isSigned(item)) return 206;
    }
    this.#remove(key);
    // Its network has put as many as it may: it gets no room of others.
    if (!this.#quota.take(host)) return 203;
    const [oldest] = this.#items.keys();
    if (this.#items.size >= MAX_ITEMS && oldest !== undefined) this.#remove(oldest);
    this.#items.set(key, { item: copy(item), host, atMs: this.#clock() });
    return null;
  }

  #expire(): void {
    const before = this.#clock() - ITEM_AGE_MS;
    for (const [key, { atMs }] of this.#items) {
      if (atMs > before) return;
      this.#remove(key);
    }
  }

  #remove(key: string): void {
    const stored = this.#items.get(key);
    if (!stored) return;
    this.#items.delete(key);
    this.#quota.give(stored.host);
  }
}

/** Views into a datagram would keep all of it. */
function copy(item: DhtItem): DhtItem {
  const { value, publicKey, salt, seq, signature } = item;
  return {
    value: value.slice(),
    ...(publicKey && { publicKey: publicKey.slice() }),
    ...(salt && { salt: salt.slice() }),
    ...(seq !== undefined && { seq }),
    ...(signature && { signature: signature.slice() }),
  };
}
