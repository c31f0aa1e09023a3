/** A catalogue torrent that the user names. */
import type { CatalogueSearch, CatalogueSource } from './source.js';

export class InfoHashSource implements CatalogueSource {
  readonly name: string;

  /** 40 or 64 hex digits. */
  constructor(infoHash: string) {
    this.name = infoHash.toLowerCase();
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const { timeoutSeconds } = search;
    const fetched = await search.fetch({ infoHash: this.name, timeoutSeconds }, signal);
    search.offer({ reader: fetched.reader, from: this.name, voices: 1, fetched });
  }
}
