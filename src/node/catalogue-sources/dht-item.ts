/** A catalogue that the holder of a key published in the DHT (BEP 46). The key says who says so, not that it is true. */
import { setTimeout as delay } from 'node:timers/promises';
import { isWorthTrying } from '../../chain/claim.js';
import { type DhtItem, mutableTarget } from '../../discovery/dht-item.js';
import { BlockswarmError } from '../../errors.js';
import { toHex } from '../../units.js';
import { parseCatalogueItem } from '../../wire/catalogue-item.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

/** Between two looks while the DHT is not there yet, or has nothing. */
const lookAgainMs = 2000;
/** After so long without an item there is none. */
const maxLookMs = 60_000;

export class DhtItemSource implements CatalogueSource {
  readonly name: string;
  readonly #publicKey: Uint8Array;

  /** `publicKey` is 32 bytes. */
  constructor(publicKey: Uint8Array) {
    this.name = `dht:${toHex(publicKey)}`;
    this.#publicKey = publicKey;
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const { network, floor, timeoutSeconds } = search;
    const { value } = await this.#item(search, signal);
    const claim = parseCatalogueItem(value);
    if (!claim) throw new BlockswarmError('ERR_CATALOGUE', `the item of ${this.name} is no catalogue's`);
    if (!isWorthTrying(claim, network, floor)) {
      throw new BlockswarmError(
        'ERR_CHAIN_WORK',
        `${this.name} names a catalogue with less work than the floor`,
      );
    }
    const wish = { infoHash: toHex(claim.infoHashV1), claim, timeoutSeconds };
    const fetched = await search.fetch(wish, signal);
    search.offer({ reader: fetched.reader, from: this.name, voices: 1, fetched });
  }

  async #item({ network, peerNode, timeoutSeconds }: CatalogueSearch, signal: AbortSignal): Promise<DhtItem> {
    const { dht } = peerNode;
    if (!dht) throw new BlockswarmError('ERR_NO_PEERS', `${this.name} needs the DHT, which is off`);
    const publicKey = this.#publicKey;
    const salt = new TextEncoder().encode(network.name);
    const endMs = performance.now() + Math.min(maxLookMs, timeoutSeconds * 1000);
    for (;;) {
      const item = await dht.getItem(mutableTarget(publicKey, salt), { publicKey, salt, signal });
      if (item) return item;
      if (performance.now() >= endMs) {
        throw new BlockswarmError('ERR_NO_PEERS', `the DHT has no item of ${this.name} for ${network.name}`);
      }
      await delay(lookAgainMs, undefined, { signal });
    }
  }
}
