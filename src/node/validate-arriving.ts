/**
 * Proves a chain of which nothing is here but a source of its catalogue: segments come from the swarm, are judged as soon as
 * they are whole, whichever comes first, and let go.
 *
 * One loop judges, a segment at a time and on all cores, while others arrive in a window of the scratch folder. A kill costs
 * what was not judged and not recorded: what is judged is kept by the native run, pieces by `ResumeDb`.
 */
import { readdir, rm } from 'node:fs/promises';
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
import { ArrivingSegment } from './arriving-segment.js';
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
/** No further segment is begun before peers would have less than this to send. */
const wantedAheadBytes = 256 * 2 ** 20;
/** After so long without a piece a segment keeps nobody from beginning others. */
const stalledMs = 30_000;
/** After so long without any, one that has nothing makes room for others, and is begun again behind them. */
const setAsideMs = 120_000;
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
  readonly client: CatalogueClient;
  readonly resumeDb: ResumeDb;
  readonly validation: ArrivingValidation;
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
  readonly #needsSpent: boolean;
  readonly #open = new Map<number, ArrivingSegment>();
  /** Segments without a verdict, in the order in which they are begun. */
  #needed: number[] = [];
  #opening: Promise<void> | null = null;
  /** When a piece, or a verdict, came last. */
  #newsMs = performance.now();
  #failure: ValidationFailure | null = null;
  #client: CatalogueClient | null = null;
  #resumeDb: ResumeDb | null = null;
  #validation: ArrivingValidation | null = null;

  constructor(options: ValidateArrivingOptions, avoid: Set<string>, signal: AbortSignal, report: Report) {
    this.#options = options;
    this.#network = networkParams(options.network);
    this.#report = report;
    this.#avoid = avoid;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#folder = join(options.scratch ?? options.stateDir, `validate-${this.#network.name}`);
    this.#needsSpent = options.levels.has('scripts') || options.levels.has('set');
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
    await this.#judgeAll({ client, resumeDb, validation }, plan);
    const verdict = await validation.finish(this.#signal);
    for (const warning of verdict.warnings) this.#report.warn(warning);
    await rm(this.#folder, { recursive: true, force: true });
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
    await this.#opening;
    // Nobody writes any more after that.
    await this.#client?.peerNode.close();
    for (const segment of this.#open.values()) await segment.save(false);
    await this.#validation?.close();
    await this.#resumeDb?.close();
    await this.#client?.close();
  }

  async #begin(plan: ValidationPlan, chain: HeaderChain): Promise<ArrivingValidation> {
    const validation = await ArrivingValidation.open(chain, plan, this.#signal);
    this.#validation = validation;
    this.#needed = [...validation.left];
    const { inputs, blocks } = validation.counts();
    if (blocks > 0)
      this.#report.event(
        { event: 'resumed', blocks, inputs, segments: this.#needed.length },
        `an earlier run has judged ${blocks} blocks; ${this.#needed.length} segments are left`,
      );
    // Of segments that were judged, but not let go of before a kill.
    for (const name of await readdir(this.#folder)) {
      const number = parseFileName(name)?.number;
      if (number === undefined || !this.#needed.includes(number))
        await rm(join(this.#folder, name), { force: true });
    }
    return validation;
  }

  /** Judges segments as they become whole, until there is a verdict on all of them. */
  async #judgeAll(parts: Parts, plan: ValidationPlan): Promise<void> {
    const { catalogue } = parts.client;
    this.#newsMs = performance.now();
    const all = this.#lengths(catalogue, plan, parts.validation.counts().endHeight);
    const ticker = setInterval(() => this.#showProgress(parts.validation, all, plan.firstHeight), progressMs);
    const saver = setInterval(() => void this.#save(parts.resumeDb), saveMs);
    try {
      while (this.#needed.length > 0) {
        this.#signal.throwIfAborted();
        for (const { failed } of this.#open.values()) {
          if (!failed) continue;
          await catalogue.refused(failed.error, failed.torrent);
          throw failed.error;
        }
        this.#openMore(parts);
        const whole = [...this.#open.values()].find(({ isWhole }) => isWhole);
        if (whole) await this.#judge(whole, parts);
        else await this.#wait(catalogue);
      }
    } finally {
      clearInterval(ticker);
      clearInterval(saver);
    }
  }

  /** Bytes of all segments that the plan is about, by number. */
  #lengths(catalogue: CatalogueChoice, { firstHeight }: ValidationPlan, endHeight: number) {
    const lengths = new Map<number, number>();
    for (const record of catalogue.reader.records) {
      const { index } = record;
      const heights = segmentHeights(index, this.#network.interval);
      if (heights.endHeight <= firstHeight || heights.firstHeight >= endHeight) continue;
      lengths.set(index, this.#lengthBytes(record));
    }
    return lengths;
  }

  async #judge(segment: ArrivingSegment, { client, validation }: Parts): Promise<void> {
    const { index } = segment;
    const before = validation.counts();
    const failure = await validation
      .judge(segment.paths, this.#signal)
      .catch((error: unknown) => this.#notASpentFile(error, segment, client.catalogue));
    const { blocks, inputs, endHeight: end } = validation.counts();
    const endHeight = Math.min(end, segmentHeights(index, this.#network.interval).endHeight);
    if (failure && failure.height !== this.#failure?.height) {
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
    this.#needed = this.#needed.filter(
      (each) =>
        each !== index && each * this.#network.interval < (failure?.height ?? Number.POSITIVE_INFINITY),
    );
    for (const other of [...this.#open.values()].filter((each) => !this.#needed.includes(each.index))) {
      this.#open.delete(other.index);
      await other.discard();
    }
    this.#newsMs = performance.now();
  }

  /** Records that are not what a spent file has are no verdict on the chain, and no peer's fault: its torrent says so. */
  async #notASpentFile(error: unknown, segment: ArrivingSegment, catalogue: CatalogueChoice): Promise<never> {
    const torrent = segment.spentTorrent;
    if (!torrent || !(error instanceof BlockswarmError) || !/^ERR_(SPENT_MISSING|UNDO_OLD)$/.test(error.code))
      throw error;
    const bad = new BlockswarmError(
      'ERR_TORRENT_BAD',
      `${torrent.name} is no spent file: ${error.message}. The catalogue that named this torrent is bad; the chain is not. ` +
        'Use another catalogue.',
      { cause: error },
    );
    await catalogue.refused(bad, torrent);
    await segment.discard();
    throw bad;
  }

  /** Rests until something comes. @throws ERR_NO_PEERS when nothing has for too long */
  async #wait(catalogue: CatalogueChoice): Promise<void> {
    await this.#waker.rest(lookMs, this.#signal);
    const waiting = [...this.#open.values()];
    for (const { lastPieceMs } of waiting) this.#newsMs = Math.max(this.#newsMs, lastPieceMs ?? 0);
    const [first] = waiting;
    if (!first || this.#opening) return;
    const patienceSeconds = Math.min(...waiting.map(({ index }) => catalogue.patienceSeconds(index)));
    if (performance.now() - this.#newsMs < patienceSeconds * 1000) return;
    for (const { index, wanted } of waiting) catalogue.nobodyHas(index, wanted);
    const { name, infoHashV1 } = first.wanted;
    throw new BlockswarmError(
      'ERR_NO_PEERS',
      `no new piece for ${patienceSeconds} s; ${this.#needed.length} segments are missing, among them ${name} ` +
        `(infohash ${infoHashV1 && toHex(infoHashV1)}). Name a peer that has it (--peer HOST:PORT), or run the same ` +
        'command later: it resumes.',
    );
  }

  /** Begins the next downloads, as the window and the peers have room. Never rejects. */
  #openMore(parts: Parts): void {
    this.#opening ??= this.#openEach(parts)
      .catch((error: unknown) => this.#stop.abort(error))
      .finally(() => {
        this.#opening = null;
      });
  }

  async #openEach(parts: Parts): Promise<void> {
    const { client, resumeDb } = parts;
    const { catalogue, peerNode } = client;
    const { records, chain } = catalogue.reader;
    for (;;) {
      this.#signal.throwIfAborted();
      const record = await this.#next(records);
      if (!record) return;
      const segment = await ArrivingSegment.open({
        network: this.#network,
        chain,
        record,
        withSpent: this.#needsSpent,
        scratch: this.#folder,
        resumeDb,
        peerNode,
        signal: this.#signal,
        changed: () => {
          this.#waker.wake();
          this.#openMore(parts);
        },
      });
      // A block below it may have failed meanwhile.
      if (this.#needed.includes(record.index)) this.#open.set(record.index, segment);
      else await segment.discard();
      // An earlier run may have had all of it.
      this.#waker.wake();
    }
  }

  /** The segment to begin now; none while the window is full, or while those in it have enough to ask for. */
  async #next(records: readonly CatalogueRecord[]): Promise<CatalogueRecord | undefined> {
    const index = this.#needed.find((each) => !this.#open.has(each));
    const record = index === undefined ? undefined : records[index];
    if (!record || this.#open.size === 0) return record;
    const open = [...this.#open.values()];
    const idle = (ms: number) => open.filter(({ idleSinceMs }) => performance.now() - idleSinceMs > ms);
    const stalled = new Set(idle(stalledMs));
    const busy = open.filter((each) => !stalled.has(each));
    const wantedBytes = busy.reduce((sum, { lengthBytes, hadBytes }) => sum + lengthBytes - hadBytes, 0);
    if (wantedBytes >= wantedAheadBytes) return undefined;
    const usedBytes = open.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
    if (usedBytes + this.#lengthBytes(record) <= this.#options.scratchBytes) return record;
    const useless = idle(setAsideMs).find(({ hadBytes }) => hadBytes === 0);
    if (!useless) return undefined;
    this.#open.delete(useless.index);
    this.#needed = [...this.#needed.filter((each) => each !== useless.index), useless.index];
    await useless.discard();
    return record;
  }

  #lengthBytes({ blocks, spent }: CatalogueRecord): number {
    return blocks.lengthBytes + (this.#needsSpent ? spent.lengthBytes : 0);
  }

  /** Records what the downloads have on disk. Never rejects. */
  async #save(resumeDb: ResumeDb): Promise<void> {
    for (const segment of this.#open.values()) await segment.save(true);
    for (const warning of resumeDb.warnings()) this.#report.warn(warning);
  }

  #showProgress(
    validation: ArrivingValidation,
    lengths: ReadonlyMap<number, number>,
    firstHeight: number,
  ): void {
    const needed = new Set(this.#needed);
    let [doneBytes, totalBytes, connections] = [0, 0, 0];
    for (const [index, lengthBytes] of lengths) {
      const segment = this.#open.get(index);
      totalBytes += lengthBytes;
      doneBytes += needed.has(index) ? (segment?.hadBytes ?? 0) : lengthBytes;
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
