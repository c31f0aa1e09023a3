/** The catalogues that came with the program. */
import { isWorthTrying } from '../../chain/claim.js';
import { fromHex } from '../../units.js';
import { KNOWN_CATALOGUES, type KnownCatalogue } from '../known-catalogues.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

export class KnownSource implements CatalogueSource {
  readonly name = 'known';
  readonly #known: Readonly<Record<string, readonly KnownCatalogue[]>>;

  constructor(known = KNOWN_CATALOGUES) {
    this.#known = known;
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const { network, floor, timeoutSeconds } = search;
    let failure: unknown = null;
    for (const { infoHashV1, infoHashV2, count, work } of this.#known[network.name] ?? []) {
      const claim = {
        infoHashV1: fromHex(infoHashV1, 20) ?? new Uint8Array(),
        infoHashV2: fromHex(infoHashV2, 32) ?? new Uint8Array(),
        count,
        work: fromHex(work.padStart(64, '0'), 32) ?? new Uint8Array(),
      };
      if (!isWorthTrying(claim, network, floor)) continue;
      try {
        const fetched = await search.fetch({ infoHash: infoHashV1, claim, timeoutSeconds }, signal);
        search.offer({ reader: fetched.reader, from: this.name, voices: 1, fetched });
      } catch (error) {
        failure = error;
      }
    }
    if (failure) throw failure;
  }
}
