/** A catalogue made anew from a node's data directory: nobody is asked. */
import { join } from 'node:path';
import { CatalogueReader } from '../../chain/catalogue.js';
import { BlockswarmError } from '../../errors.js';
import { ResumeDb } from '../../native.js';
import { readCatalogueFile } from '../catalogue.js';
import { CATALOGUE_FILE } from '../catalogue-seeds.js';
import { resumeFileName } from '../resume.js';
import { Source } from '../source.js';
import { StateFolder } from '../state.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

export class DatadirSource implements CatalogueSource {
  readonly name: string;
  readonly #datadir: string;
  readonly #stateDir: string;

  /** `stateDir` keeps the hashes that an earlier run, or `seed`, has made; the catalogue of a `seed` that runs. */
  constructor(datadir: string, stateDir: string) {
    this.name = `datadir:${datadir}`;
    this.#datadir = datadir;
    this.#stateDir = stateDir;
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const { network, report } = search;
    const [datadir, stateDir] = [this.#datadir, this.#stateDir];
    const source = await Source.open({ datadir, stateDir, network: network.name }, signal);
    const state = this.#lock();
    if (!state) return this.#takeFromSeed(search, signal);
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

  /** Null while `seed` runs there. */
  #lock(): StateFolder | null {
    try {
      return StateFolder.open(this.#stateDir, this.#datadir);
    } catch (error) {
      if (error instanceof BlockswarmError && error.code === 'ERR_STATE_LOCKED') return null;
      throw error;
    }
  }

  /** Who seeds the directory has made its catalogue, and has the hashes to itself meanwhile. */
  async #takeFromSeed(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const path = join(StateFolder.pathOf(this.#stateDir, this.#datadir), CATALOGUE_FILE);
    const reader = await readCatalogueFile(path, search.network, signal);
    search.offer({ reader, from: this.name, voices: Number.POSITIVE_INFINITY, fetched: null });
  }
}
