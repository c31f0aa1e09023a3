/**
 * The data directory that is being made: which segments the engine has taken, where they lie in its files,
 * and what a killed run left in those files that the engine never indexed.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EngineProcess, EngineTip } from '../bridge/engine/parent.js';
import type { CatalogueReader, CatalogueRecord } from '../chain/catalogue.js';
import { segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import { type Datadir, type Network, type ResumeDb, Store, scanDatadir } from '../native.js';
import { displayHash } from '../units.js';
import type { PeerNode } from './peer-node.js';
import { resumeKey, scrub } from './resume.js';
import type { SegmentDownload } from './segment-download.js';

export interface NewDatadirOptions {
  readonly network: Network;
  readonly blocksDir: string;
  readonly scratch: string;
  readonly engine: EngineProcess;
  readonly peerNode: PeerNode;
  readonly resumeDb: ResumeDb;
}

export class NewDatadir {
  /** Segments wholly in the engine, from the first on. */
  taken = 0;
  readonly #options: NewDatadirOptions;
  #datadir: Datadir | null = null;
  /**
   * A killed engine forgets its latest blocks and writes over them. The files then hold old copies beyond
   * the place where it writes, so what was scanned before is not to be trusted: scan anew each time, until the same
   * blocks lie in the same places again.
   */
  #rewriting = false;
  /** Height up to which the files held blocks when this run began. */
  #heldHeight = 0;

  constructor(options: NewDatadirOptions) {
    this.#options = options;
  }

  heights(index: number): { firstHeight: number; endHeight: number } {
    return segmentHeights(index, this.#options.network.interval);
  }

  /**
   * Finds out where an earlier run ended. Blocks that lie in the files but that the engine does not know are
   * copied out to scratch before it writes over them. Segments that it has are served again, in the background.
   * @throws BlockswarmError ERR_DATADIR_FOREIGN when the directory follows another chain than the catalogue
   */
  async recover(catalogue: CatalogueReader, signal: AbortSignal): Promise<EngineTip> {
    const { tip } = this.#options.engine;
    const { chain, records } = catalogue;
    const known = Math.min(tip.height, chain.height());
    const onChain =
      tip.height <= chain.height()
        ? Buffer.compare(tip.hash, chain.hashAt(tip.height)) === 0
        : await this.#options.engine.knows(chain.hashAt(known), { signal });
    if (!onChain) {
      throw new BlockswarmError(
        'ERR_DATADIR_FOREIGN',
        `the data directory is at height ${tip.height} (${displayHash(tip.hash)}), which is not on the catalogue's chain`,
      );
    }
    this.taken = Math.min(records.length, Math.floor((tip.height + 1) / this.#options.network.interval));
    const datadir = await scanDatadir(this.#options.blocksDir, this.#options.network.name, signal);
    const heldHeight = datadir.tip()?.height ?? 0;
    this.#heldHeight = heldHeight;
    this.#datadir = datadir;
    this.#rewriting = heldHeight > tip.height;
    for (const record of records.slice(this.taken)) {
      if (!this.#rewriting || this.heights(record.index).endHeight > heldHeight + 1) break;
      await this.#copyOut(record, datadir, signal);
    }
    void this.#serveTaken(records.slice(0, this.taken), datadir, signal);
    return tip;
  }

  /** The engine has taken a whole segment: serve it from the engine's files and free its scratch. */
  async take(download: SegmentDownload, signal: AbortSignal): Promise<void> {
    if (this.#datadir && !this.#rewriting) await this.#datadir.rescan(signal);
    else this.#datadir = await scanDatadir(this.#options.blocksDir, this.#options.network.name, signal);
    if (this.heights(download.index).endHeight > this.#heldHeight) this.#rewriting = false;
    await download.moveTo(this.#datadir.blocksExtents(download.index));
    this.taken = download.index + 1;
  }

  /** Saves a segment from files that are about to be written over. */
  async #copyOut({ index, blocks }: CatalogueRecord, datadir: Datadir, signal: AbortSignal): Promise<void> {
    const path = join(this.#options.scratch, blocks.name);
    if (existsSync(path)) return;
    const store = Store.overExtents(blocks, datadir.blocksExtents(index));
    // What is torn is fetched again: only whole segments are worth copying.
    if ((await store.verify(0, blocks.pieceCount, signal)) === blocks.pieceCount)
      await store.copyTo(path, signal);
  }

  /** Serves what an earlier run left, a segment at a time; hashes what no run before this one has. */
  async #serveTaken(
    records: readonly CatalogueRecord[],
    datadir: Datadir,
    signal: AbortSignal,
  ): Promise<void> {
    const { blocksDir, peerNode, resumeDb } = this.#options;
    try {
      const unseen: (() => Promise<unknown>)[] = [];
      for (const { index, blocks } of records) {
        const store = Store.overExtents(blocks, datadir.blocksExtents(index));
        const key = resumeKey(blocks, blocksDir);
        const { trusted, toCheck } = await store.resume(resumeDb, key, signal);
        for (const [first, end] of toCheck) await store.verify(first, end, signal);
        if (store.servableCount() < blocks.pieceCount || signal.aborted) continue;
        await store.save(resumeDb, key, false);
        peerNode.addContent(blocks, store);
        unseen.push(() => scrub(store, blocks, trusted, signal));
      }
      for (const look of unseen) await look();
    } catch {
      // Serving is a courtesy to others here; the job itself does not need it.
    }
  }
}
