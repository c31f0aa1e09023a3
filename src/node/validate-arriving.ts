/**
 * Proves a chain of which nothing is here but a source of its catalogue: segments come from the swarm, are judged as soon as
 * they are whole, whichever comes first, and let go.
 *
 * One loop judges, a segment at a time and on all cores, while others arrive in a window of the scratch folder. A kill costs
 * what was not judged and not recorded: what is judged is kept by the native run, pieces by `ResumeDb`.
 */
import { readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CatalogueRecord } from '../chain/catalogue.js';
import { segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import { parseFileName } from '../metainfo/segment.js';
import {
  ArrivingValidation,
  type HeaderChain,
  type Network,
  networkParams,
  ResumeDb,
  type ValidationFailure,
  type ValidationPlan,
} from '../native.js';
import { formatBytes, toHex } from '../units.js';
import type { ArrivingSegment } from './arriving-segment.js';
import { ArrivingWindow } from './arriving-window.js';
import type { CatalogueChoice, CatalogueJob } from './catalogue-choice.js';
import { tryCatalogues } from './catalogue-choice.js';
import { CatalogueClient, type CatalogueClientOptions } from './catalogue-client.js';
import { type ProofOptions, planOf, provenOf, type Validated } from './proof.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { Waker } from './waker.js';

export interface ValidateArrivingOptions extends CatalogueClientOptions, ProofOptions {
  /** Below it segments wait to be judged, in a folder of their own; the state folder when absent. */
  readonly scratch?: string | undefined;
  /** Bytes that may wait there; one segment always may. */
  readonly scratchBytes: number;
}

const progressMs = 200;
/** Between two records of what is on disk, as in a bootstrap. */
const saveMs = 30_000;
const lookMs = 1000;

/**
 * What is wrong with the chain is a result. Interrupted (`signal`) or failed, it leaves what the next run resumes from.
 * @throws BlockswarmError ERR_USAGE, ERR_STATE_LOCKED, ERR_SEGMENT_RANGE, ERR_HINTS, ERR_SNAPSHOT, ERR_NO_PEERS,
 *   ERR_TORRENT_BAD, ERR_DISK_FULL, ERR_IO, ERR_INTERRUPTED, and as `CatalogueClient.open`
 */
export function validateArriving(
  options: ValidateArrivingOptions,
  signal: AbortSignal,
  report: Report,
): Promise<Validated> {
  return tryCatalogues((avoid) => new ArrivingChain(options, avoid, signal, report), signal, report);
}

/** What the loop works with. */
interface Parts {
  readonly catalogue: CatalogueChoice;
  readonly resumeDb: ResumeDb;
  readonly validation: ArrivingValidation;
  readonly window: ArrivingWindow;
}

class ArrivingChain implements CatalogueJob<Validated> {
  readonly #options: ValidateArrivingOptions;
  readonly #network: Network;
  readonly #report: Report;
  readonly #avoid: Set<string>;
  readonly #startedMs = performance.now();
  /** Fires with the caller's signal, or when a part fails. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #waker = new Waker();
  /** Of this network and this place for scratch: the state folder goes by it, so that one run at a time has them. */
  readonly #folder: string;
  /** When a piece, or a verdict, came last. */
  #newsMs = performance.now();
  #failure: ValidationFailure | null = null;
  #client: CatalogueClient | null = null;
  #resumeDb: ResumeDb | null = null;
  #validation: ArrivingValidation | null = null;
  #window: ArrivingWindow | null = null;

  constructor(options: ValidateArrivingOptions, avoid: Set<string>, signal: AbortSignal, report: Report) {
    this.#options = options;
    this.#network = networkParams(options.network);
    this.#report = report;
    this.#avoid = avoid;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#folder = join(options.scratch ?? options.stateDir, `validate-${this.#network.name}`);
  }

  get hasOtherCatalogue(): boolean {
    return this.#client?.catalogue.hasOther ?? false;
  }

  async run(): Promise<Validated> {
    const client = await CatalogueClient.open(
      this.#options,
      this.#folder,
      this.#signal,
      this.#report,
      this.#avoid,
    );
    this.#client = client;
    const { catalogue, state } = client;
    catalogue.tell(this.#report);
    const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
    this.#resumeDb = resumeDb;
    const plan = planOf(this.#options, join(state.path, 'run.redb'));
    const validation = await this.#begin(plan, catalogue.reader.chain);
    const { levels, scratchBytes } = this.#options;
    const window = new ArrivingWindow({
      network: this.#network,
      reader: catalogue.reader,
      peerNode: client.peerNode,
      resumeDb,
      folder: this.#folder,
      withSpent: levels.has('scripts') || levels.has('set'),
      scratchBytes,
      wanted: validation.left,
      changed: () => this.#waker.wake(),
      failed: (error) => this.#stop.abort(error),
      signal: this.#signal,
    });
    this.#window = window;
    await this.#judgeAll({ catalogue, resumeDb, validation, window }, plan);
    const verdict = await validation.finish(this.#signal);
    for (const warning of verdict.warnings) this.#report.warn(warning);
    await this.#tidy([]);
    // Stays when somebody else has put something there.
    await rmdir(this.#folder).catch(() => {});
    return {
      ...verdict,
      network: this.#network.name,
      path: catalogue.from,
      seconds: (performance.now() - this.#startedMs) / 1000,
      proven: provenOf(verdict, this.#options.levels),
      // Coins can be compared only over a chain that is here.
      culprits: [],
      differingSegments: null,
    };
  }

  /** Closes everything in the reverse order of opening. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#window?.settled();
    // Nobody writes any more after that.
    await this.#client?.peerNode.close();
    await this.#window?.save(false);
    await this.#validation?.close();
    await this.#resumeDb?.close();
    await this.#client?.close();
  }

  async #begin(plan: ValidationPlan, chain: HeaderChain): Promise<ArrivingValidation> {
    const validation = await ArrivingValidation.open(chain, plan, this.#signal);
    this.#validation = validation;
    const { left } = validation;
    const { inputs, blocks } = validation.counts();
    if (blocks > 0)
      this.#report.event(
        { event: 'resumed', blocks, inputs, segments: left.length },
        `an earlier run has judged ${blocks} blocks; ${left.length} segments are left`,
      );
    // Of segments that were judged, but not let go of before a kill.
    await this.#tidy(left);
    return validation;
  }

  /** Deletes the scratch files of segments but some. The folder lies in one of the user's: what else is in it stays. */
  async #tidy(kept: readonly number[]): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      const file = parseFileName(name);
      if (file?.network === this.#network.name && !kept.includes(file.number))
        await rm(join(this.#folder, name), { force: true });
    }
  }

  /** Judges segments as they become whole, until there is a verdict on all of them. */
  async #judgeAll(parts: Parts, plan: ValidationPlan): Promise<void> {
    const { catalogue, window } = parts;
    this.#newsMs = performance.now();
    const all = this.#records(catalogue, plan, parts.validation.counts().endHeight);
    const ticker = setInterval(() => this.#showProgress(parts, all, plan), progressMs);
    const saver = setInterval(() => void this.#save(parts), saveMs);
    try {
      while (window.wanted.length > 0) {
        this.#signal.throwIfAborted();
        for (const { failed } of window.open) {
          if (!failed) continue;
          await catalogue.refused(failed.error, failed.torrent);
          throw failed.error;
        }
        window.fill();
        const whole = window.open.find(({ isWhole }) => isWhole);
        if (whole) await this.#judge(whole, parts);
        else await this.#wait(parts);
      }
    } finally {
      clearInterval(ticker);
      clearInterval(saver);
    }
  }

  /** The segments that the plan is about. */
  #records(
    catalogue: CatalogueChoice,
    { firstHeight }: ValidationPlan,
    endHeight: number,
  ): CatalogueRecord[] {
    return catalogue.reader.records.filter(({ index }) => {
      const heights = segmentHeights(index, this.#network.interval);
      return heights.endHeight > firstHeight && heights.firstHeight < endHeight;
    });
  }

  async #judge(segment: ArrivingSegment, parts: Parts): Promise<void> {
    const { validation, window } = parts;
    const { index } = segment;
    const before = validation.counts();
    const failure = await validation
      .judge(segment.paths, this.#signal)
      .catch((error: unknown) => this.#notASpentFile(error, segment, parts));
    const { blocks, inputs, endHeight: end } = validation.counts();
    const endHeight = Math.min(end, segmentHeights(index, this.#network.interval).endHeight);
    if (failure && failure.height !== this.#failure?.height) {
      await this.#blameCatalogue(failure, segment, parts);
      this.#report.warn(
        `block ${failure.height} is not valid: ${failure.reason}. What lies above it is not fetched any more.`,
      );
    } else if (!failure) {
      const counts = { blocks: blocks - before.blocks, inputs: inputs - before.inputs };
      this.#report.event(
        { event: 'segment', index, endHeight, ...counts, lengthBytes: segment.lengthBytes },
        `segment ${index} is valid: heights to ${endHeight - 1}, ${counts.inputs} inputs (${formatBytes(segment.lengthBytes)})`,
      );
    }
    this.#failure = failure;
    const limit = failure?.height ?? Number.POSITIVE_INFINITY;
    await window.drop((each) => each === index || each * this.#network.interval >= limit);
    this.#newsMs = performance.now();
  }

  /** What a block spends is believed of nobody: where sources disagree about it, another one may have it right. */
  async #blameCatalogue(
    { height, reason, blame }: ValidationFailure,
    { index, spentTorrent: torrent }: ArrivingSegment,
    { catalogue, window }: Parts,
  ): Promise<void> {
    const isHere = Math.floor(height / this.#network.interval) === index;
    if (!torrent || !isHere || (blame !== 'block' && blame !== 'spent-record')) return;
    const why = `block ${height} is not valid as ${torrent.name} (${torrent.infoHashV1 && toHex(torrent.infoHashV1)}) has it: ${reason}`;
    if (!(await catalogue.contradicted(index, torrent, why))) return;
    await window.drop((each) => each === index);
    throw new BlockswarmError('ERR_TORRENT_BAD', `${why}; sources of the catalogue disagree about it.`);
  }

  /** Records that are not what a spent file has are no verdict on the chain, and no peer's fault: its torrent says so. */
  async #notASpentFile(
    error: unknown,
    { index, spentTorrent: torrent }: ArrivingSegment,
    { catalogue, window }: Parts,
  ): Promise<never> {
    if (!torrent || !(error instanceof BlockswarmError) || !/^ERR_(SPENT_MISSING|UNDO_OLD)$/.test(error.code))
      throw error;
    const bad = new BlockswarmError(
      'ERR_TORRENT_BAD',
      `${torrent.name} is no spent file: ${error.message}. The catalogue that named this torrent is bad; the chain is not. ` +
        'Use another catalogue.',
      { cause: error },
    );
    await catalogue.refused(bad, torrent);
    await window.drop((each) => each === index);
    throw bad;
  }

  /** Rests until something comes. @throws ERR_NO_PEERS when nothing has for too long */
  async #wait({ catalogue, window }: Parts): Promise<void> {
    await this.#waker.rest(lookMs, this.#signal);
    const waiting = window.open;
    for (const { lastPieceMs } of waiting) this.#newsMs = Math.max(this.#newsMs, lastPieceMs ?? 0);
    const [first] = waiting;
    if (!first || window.isOpening) return;
    const patienceSeconds = Math.min(...waiting.map(({ index }) => catalogue.patienceSeconds(index)));
    if (performance.now() - this.#newsMs < patienceSeconds * 1000) return;
    for (const { index, wanted } of waiting) catalogue.nobodyHas(index, wanted);
    const { name, infoHashV1 } = first.wanted;
    throw new BlockswarmError(
      'ERR_NO_PEERS',
      `no new piece for ${patienceSeconds} s; missing are ${window.wanted.length} of the segments, among them ${name} ` +
        `(infohash ${infoHashV1 && toHex(infoHashV1)}). Name a peer that has it (--peer HOST:PORT), or run the same ` +
        'command later: it resumes.',
    );
  }

  /** Records what the downloads have on disk. Never rejects. */
  async #save({ window, resumeDb }: Parts): Promise<void> {
    await window.save(true);
    for (const warning of resumeDb.warnings()) this.#report.warn(warning);
  }

  #showProgress(
    { validation, window }: Parts,
    records: readonly CatalogueRecord[],
    { firstHeight }: ValidationPlan,
  ): void {
    const wanted = new Set(window.wanted);
    let [doneBytes, totalBytes, connections] = [0, 0, 0];
    for (const record of records) {
      const segment = window.segment(record.index);
      const lengthBytes = window.lengthBytes(record);
      totalBytes += lengthBytes;
      doneBytes += wanted.has(record.index) ? (segment?.hadBytes ?? 0) : lengthBytes;
      connections += segment?.links ?? 0;
    }
    const { blocks, inputs, endHeight } = validation.counts();
    const fetched = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)} fetched`;
    this.#report.progress({
      stage: 'validating',
      done: blocks,
      total: endHeight - firstHeight,
      unit: 'heights',
      detail: `${inputs} inputs  ${fetched}  connections ${connections}`,
    });
  }
}
