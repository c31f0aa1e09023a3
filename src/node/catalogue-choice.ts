/**
 * The catalogue that a job works by, and what the job finds out about it. Its author may have lied about torrents, which
 * only their content shows, or named some that nobody has: then the job begins anew with another catalogue of the same
 * headers.
 */
import type { CatalogueReader } from '../chain/catalogue.js';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import type { Network } from '../native.js';
import { displayHash, toHex } from '../units.js';
import { BadCatalogues } from './bad-catalogues.js';
import { type ChosenCatalogue, searchCatalogue } from './catalogue-search.js';
import { catalogueSources } from './catalogue-sources/named.js';
import type { PeerNode } from './peer-node.js';
import { Rendezvous } from './rendezvous.js';
import type { Report } from './report.js';

/** What a job's options say of its catalogue. */
export interface CatalogueWish {
  /** Sources of the catalogue: see `catalogueSources`. The defaults when absent. */
  readonly catalogue?: readonly string[] | undefined;
  /** Where Core keeps its data when nobody says otherwise: the source `datadir`. */
  readonly coreDatadir?: string;
  readonly stateDir: string;
  readonly timeoutSeconds: number;
}

export interface CatalogueNeeds {
  readonly network: Network;
  readonly floor: Uint8Array;
  /** Where catalogues from peers are kept between runs. */
  readonly folder: string;
  /** Where lies are remembered. */
  readonly statePath: string;
  readonly peerNode: PeerNode;
  /** Torrents (v1 infohash, hex) that nobody was found for though another catalogue names others. */
  readonly avoid: Set<string>;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** A job that works by a catalogue. */
export interface CatalogueJob<Result> {
  run(): Promise<Result>;
  close(): Promise<void>;
  /** It failed for its catalogue, and there are sources to ask for another one. */
  readonly hasOtherCatalogue: boolean;
}

/** Catalogues tried one after the other. */
const maxCatalogues = 5;
/** Patience for a segment about which sources disagree: perhaps nobody has what was made up. */
const disputedSeconds = 60;

/**
 * Runs a job until it is done, or fails for something else than its catalogue.
 * @throws ERR_INTERRUPTED when the signal fired, otherwise what the job throws
 */
export async function tryCatalogues<Result>(
  begin: (avoid: Set<string>) => CatalogueJob<Result>,
  signal: AbortSignal,
  report: Report,
): Promise<Result> {
  const avoid = new Set<string>();
  for (let tries = 1; ; tries++) {
    const job = begin(avoid);
    const outcome = await attempt(job, signal);
    if ('result' in outcome) return outcome.result;
    if (!job.hasOtherCatalogue || tries >= maxCatalogues) throw outcome.error;
    report.warn(
      `${outcome.error instanceof Error ? outcome.error.message : outcome.error} Another one is tried.`,
    );
  }
}

async function attempt<Result>(
  job: CatalogueJob<Result>,
  signal: AbortSignal,
): Promise<{ result: Result } | { error: unknown }> {
  try {
    return { result: await job.run() };
  } catch (error) {
    if (!signal.aborted) return { error };
    throw new BlockswarmError(
      'ERR_INTERRUPTED',
      'interrupted; run the same command to go on where this ended',
      { cause: error },
    );
  } finally {
    await job.close();
  }
}

export class CatalogueChoice {
  readonly #chosen: ChosenCatalogue;
  readonly #bad: BadCatalogues;
  readonly #avoid: Set<string>;
  readonly #timeoutSeconds: number;
  readonly #hasOthers: boolean;
  #gaveUp = false;

  private constructor(
    chosen: ChosenCatalogue,
    bad: BadCatalogues,
    avoid: Set<string>,
    timeoutSeconds: number,
    hasOthers: boolean,
  ) {
    this.#chosen = chosen;
    this.#bad = bad;
    this.#avoid = avoid;
    this.#timeoutSeconds = timeoutSeconds;
    this.#hasOthers = hasOthers;
  }

  /** Asks the sources. @throws BlockswarmError as `catalogueSources` and `searchCatalogue` */
  static async search(wish: CatalogueWish, needs: CatalogueNeeds): Promise<CatalogueChoice> {
    const { catalogue: names, stateDir, coreDatadir: datadir = null, timeoutSeconds } = wish;
    const { statePath, ...rest } = needs;
    const bad = await BadCatalogues.open(statePath);
    const sources = catalogueSources(names, { ...rest, stateDir, datadir });
    // A file alone, or a torrent that the user named alone, has no other to make way for.
    const hasOthers = sources.length > 1 || sources[0]?.name === 'rendezvous';
    const chosen = await searchCatalogue({ ...rest, bad, sources, timeoutSeconds });
    return new CatalogueChoice(chosen, bad, needs.avoid, timeoutSeconds, hasOthers);
  }

  get reader(): CatalogueReader {
    return this.#chosen.reader;
  }

  /** Who gave it, in words. */
  get from(): string {
    return this.#chosen.from;
  }

  /** Whether the job has failed for this catalogue, and another one may be found. */
  get hasOther(): boolean {
    return this.#gaveUp && this.#hasOthers;
  }

  /** Says which one it is. */
  tell(report: Report): void {
    const { records, chain } = this.reader;
    const height = chain.height();
    report.event(
      {
        event: 'catalogue',
        segments: records.length,
        height,
        tipHash: displayHash(chain.hashAt(height)),
        source: this.from,
      },
      `catalogue: ${records.length} segments, headers to height ${height}, work above the floor (${this.from})`,
    );
  }

  /** How long a segment is waited for without a new piece. */
  patienceSeconds(index: number): number {
    return this.#isDisputed(index) ? Math.min(this.#timeoutSeconds, disputedSeconds) : this.#timeoutSeconds;
  }

  /** Remembers a torrent whose content is not what it should be, when that is what an error says. */
  async refused(error: unknown, { infoHashV1 }: Pick<Metainfo, 'infoHashV1'>): Promise<void> {
    if (!(error instanceof BlockswarmError && error.code === 'ERR_TORRENT_BAD' && infoHashV1)) return;
    this.#gaveUp = true;
    await this.#bad.add(infoHashV1, error.message);
  }

  /**
   * The chain is not valid as a segment's torrent has it. Whether a source that disagrees about the segment is to be asked before
   * that is believed; the torrent is remembered as bad then.
   */
  async contradicted(
    index: number,
    { infoHashV1 }: Pick<Metainfo, 'infoHashV1'>,
    why: string,
  ): Promise<boolean> {
    if (!this.#isDisputed(index) || !this.#hasOthers || !infoHashV1) return false;
    this.#gaveUp = true;
    await this.#bad.add(infoHashV1, why);
    return true;
  }

  /** Nobody gives a segment's torrent: when sources disagree about it, that of another one may be had. */
  nobodyHas(index: number, { infoHashV1 }: Pick<Metainfo, 'infoHashV1'>): void {
    if (!this.#isDisputed(index) || !infoHashV1) return;
    const name = toHex(infoHashV1);
    this.#gaveUp = !this.#avoid.has(name);
    this.#avoid.add(name);
  }

  /** All of it was proven: whoever looks for a catalogue hears of this one, when it came from peers and is served. */
  recommend(peerNode: PeerNode, network: Network): void {
    const { fetched } = this.#chosen;
    if (!fetched) return;
    const { torrent, reader } = fetched;
    const { infoHashV1, infoHashV2, lengthBytes } = torrent;
    if (!infoHashV1 || !infoHashV2) return;
    const work = reader.chain.workAt(reader.chain.height());
    const claim = { infoHashV1, infoHashV2, lengthBytes, count: reader.records.length, work };
    Rendezvous.at(peerNode, network).tell([claim]);
  }

  #isDisputed(index: number): boolean {
    return this.#chosen.disputed.has(index);
  }
}
