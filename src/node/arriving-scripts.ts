/**
 * Judges the scripts of segments while they arrive, in any order and on all cores, beside Core's engine, which takes them
 * in order: a second verdict on the same bytes. What blocks spend comes from the segments' spent files, as these claim it.
 *
 * One loop judges, a segment at a time. Whatever it finds is a result: the engine decides what the directory becomes.
 */
import { join } from 'node:path';
import { segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { ArrivingValidation, type HeaderChain, type Network, type ResumeDb } from '../native.js';
import { displayHash } from '../units.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import type { SegmentDownload } from './segment-download.js';
import type { HeightRange } from './source.js';
import { SpentDownload } from './spent-download.js';
import { Waker } from './waker.js';

export interface ArrivingScriptsOptions {
  readonly network: Network;
  readonly chain: HeaderChain;
  readonly scratch: string;
  /** What was judged is kept there: a later run does not do it again, and tells it too. */
  readonly recordPath: string;
  readonly resumeDb: ResumeDb;
  readonly peerNode: PeerNode;
  /** A segment goes without a verdict after so long without a new piece of its spent file. */
  readonly patienceMs: number;
  readonly report: Report;
}

/** Why blocks are not valid. */
export interface ScriptsFailure {
  readonly height: number;
  /** Core's reject reason where Core has one. */
  readonly reason: string;
  readonly txid: string | null;
  readonly input: number | null;
  /** What is wrong: see `ValidationFailure`. */
  readonly blame: string;
}

/** What was found of the segments, in this run and in earlier ones. */
export interface ScriptsVerdict {
  readonly inputs: number;
  /** Heights whose every script is valid if what they spend is as claimed. In order, joined where they touch. */
  readonly valid: readonly HeightRange[];
  /** At the lowest height. */
  readonly failure: ScriptsFailure | null;
}

interface Job {
  readonly blocks: SegmentDownload;
  readonly spent: SpentDownload;
  readonly settled: Promise<void>;
  readonly settle: () => void;
  newsMs: number;
}

export class ArrivingScripts {
  readonly #options: ArrivingScriptsOptions;
  readonly #validation: ArrivingValidation;
  readonly #jobs = new Map<number, Job>();
  readonly #waker = new Waker();
  /** Segments without a verdict. */
  readonly #left: Set<number>;
  #failure: ScriptsFailure | null = null;

  private constructor(options: ArrivingScriptsOptions, validation: ArrivingValidation) {
    this.#options = options;
    this.#validation = validation;
    this.#left = new Set(validation.left);
  }

  static async open(options: ArrivingScriptsOptions, signal: AbortSignal): Promise<ArrivingScripts> {
    const { chain, recordPath } = options;
    const sets = { hints: null, snapshot: null, startSnapshot: null };
    const plan = { firstHeight: 0, endHeight: null, scripts: true, ...sets, threads: 0, recordPath };
    return new ArrivingScripts(options, await ArrivingValidation.open(chain, plan, signal));
  }

  async verdict(): Promise<ScriptsVerdict> {
    const { inputs, valid } = await this.#validation.verdict();
    return { inputs, valid, failure: this.#failure };
  }

  /** Begins to fetch what the blocks of a segment spend. */
  async begin(blocks: SegmentDownload, torrent: Metainfo, signal: AbortSignal): Promise<void> {
    const { network, scratch, resumeDb, peerNode } = this.#options;
    const { firstHeight } = segmentHeights(blocks.index, network.interval);
    if (!this.#left.has(blocks.index) || (this.#failure && this.#failure.height <= firstHeight)) return;
    const scratchPath = join(scratch, torrent.name);
    const changed = () => {
      const job = this.#jobs.get(blocks.index);
      if (job) job.newsMs = performance.now();
      this.changed();
    };
    const spent = await SpentDownload.open({ torrent, scratchPath, resumeDb, peerNode, signal, changed });
    let settle = () => {};
    const settled = new Promise<void>((resolve) => (settle = resolve));
    this.#jobs.set(blocks.index, { blocks, spent, settled, settle, newsMs: performance.now() });
    this.changed();
  }

  /** Something came. */
  changed(): void {
    this.#waker.wake();
  }

  /** Resolves when a segment has its verdict, or will have none: its blocks are needed no more. @throws `signal.reason` */
  async settled(index: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const job = this.#jobs.get(index);
    if (!job) return;
    // Its patience begins when the blocks are there.
    job.newsMs = Math.max(job.newsMs, performance.now());
    this.changed();
    await job.settled;
    signal.throwIfAborted();
  }

  /** Keeps what was judged; a judgement under way ends. */
  close(): Promise<void> {
    return this.#validation.close();
  }

  /** Judges until the signal fires. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const job = [...this.#jobs.values()].find(({ blocks, spent }) => blocks.isWhole && spent.isWhole);
      const idle = this.#givenUp();
      if (job) await this.#judge(job, signal);
      else if (idle) await this.#leave(idle, idle.spent.failure?.message ?? 'nobody gives it');
      else await this.#waker.rest(1000, signal);
    }
    for (const { settle } of this.#jobs.values()) settle();
  }

  /** Records what the downloads have on disk. Never rejects. */
  async save(open: boolean): Promise<void> {
    for (const { spent } of this.#jobs.values()) await spent.save(open);
  }

  /** A segment that waits for nothing but a spent file that does not come. */
  #givenUp(): Job | undefined {
    const { patienceMs } = this.#options;
    const now = performance.now();
    return [...this.#jobs.values()].find(
      ({ blocks, spent, newsMs }) =>
        blocks.isWhole && !spent.isWhole && (spent.failure !== null || now - newsMs > patienceMs),
    );
  }

  async #judge(job: Job, signal: AbortSignal): Promise<void> {
    const { network, report } = this.#options;
    const { index, scratchPath: blocks, torrent } = job.blocks;
    const { endHeight } = segmentHeights(index, network.interval);
    try {
      const before = this.#validation.counts().inputs;
      const spent = job.spent.scratchPath;
      const failure = await this.#validation.judge({ segment: index, blocks, spent }, signal);
      if (failure && failure.height !== this.#failure?.height) {
        const { height, reason, txid, input, blame } = failure;
        this.#failure = { height, reason, txid: txid && displayHash(txid), input, blame };
        report.warn(`block ${height} is not valid as ${torrent.name} and its spent file have it: ${reason}`);
      } else if (!failure) {
        const inputs = this.#validation.counts().inputs - before;
        const event = { event: 'scripts', segment: index, endHeight, inputs };
        report.event(event, `scripts of segment ${index} are valid: ${inputs} inputs`);
      }
      this.#left.delete(index);
      await this.#end(job);
    } catch (error) {
      if (!signal.aborted)
        await this.#leave(job, error instanceof BlockswarmError ? error.message : String(error));
    }
  }

  async #leave(job: Job, why: string): Promise<void> {
    this.#options.report.warn(
      `the scripts of segment ${job.blocks.index} are judged by Core's engine alone: ${job.spent.torrent.name}: ${why}`,
    );
    await this.#end(job);
  }

  async #end(job: Job): Promise<void> {
    this.#jobs.delete(job.blocks.index);
    await job.spent.discard().catch(() => {});
    job.settle();
  }
}
