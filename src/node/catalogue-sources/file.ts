/** A catalogue in a file. */
import { readCatalogueFile } from '../catalogue.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

export class FileSource implements CatalogueSource {
  readonly name: string;

  constructor(path: string) {
    this.name = path;
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const reader = await readCatalogueFile(this.name, search.network, signal);
    search.offer({ reader, from: this.name, voices: 1, fetched: null });
  }
}
