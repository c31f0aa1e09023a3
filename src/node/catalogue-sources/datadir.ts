/** A catalogue made anew from a node's data directory: nobody is asked. */
import { join } from 'node:path';
import { CatalogueReader } from '../../chain/catalogue.js';
import { ResumeDb } from '../../native.js';
import { resumeFileName } from '../resume.js';
import { Source } from '../source.js';
import { StateFolder } from '../state.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

export class DatadirSource implements CatalogueSource {
  readonly name: string;
  readonly #datadir: string;
  readonly #stateDir: string;

  /** `stateDir` keeps the hashes that an earlier run, or `seed`, has made. */
  constructor(datadir: string, stateDir: string) {
    this.name = `datadir:${datadir}`;
    this.#datadir = datadir;
    this.#stateDir = stateDir;
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const { network, report } = search;
    const [datadir, stateDir] = [this.#datadir, this.#stateDir];
    const source = await Source.open({ datadir, stateDir, network: network.name }, signal);
    const state = StateFolder.open(this.#stateDir, this.#datadir);
    try {
      const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
      try {
        const { bytes } = await source.catalogue(source.sealed, { signal, report, resumeDb });
        const reader = new CatalogueReader(network, Date.now() / 1000);
        reader.push(bytes);
        reader.finish(source.sealed);
        // Nobody but the owner of these files can have lied.
        search.offer({ reader, from: this.name, voices: Number.POSITIVE_INFINITY, fetched: null });
      } finally {
        await resumeDb.close();
      }
    } finally {
      state.close();
    }
  }
}
