/**
 * Seeds the torrents of a data directory, in place: segments, and the catalogues that name them. Follows the node that
 * writes it: what is sealed is hashed and served, what leaves the chain is withdrawn.
 */
import { randomBytes } from 'node:crypto';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { privacyOf } from '../connector/privacy.js';
import type { HybridTorrent } from '../metainfo/hybrid.js';
import { HashPace, ResumeDb } from '../native.js';
import { toHex } from '../units.js';
import type { CatalogueClaim } from '../wire/bs-catalogue.js';
import { CatalogueSeeds, newestTime } from './catalogue-seeds.js';
import { ChainAlarm } from './chain-alarm.js';
import { ChainFollower } from './chain-follower.js';
import { ChainRecord } from './chain-record.js';
import { FolderWatch } from './folder-watch.js';
import { HashRestraint } from './hash-restraint.js';
import { serveNamedSegments } from './named-segments.js';
import { type HintSource, hintSources, NodeHints, type NodeHintsChoice } from './node-hints.js';
import { OldUndo } from './old-undo.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { PeerNode } from './peer-node.js';
import { PrunedFiles } from './pruned-files.js';
import { ReorganisationRecord, shown } from './reorganisation-record.js';
import { DEFAULT_REPAIR_BYTES, Repairs } from './repairs.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { SegmentHasher } from './segment-hasher.js';
import { SegmentSeeds } from './segment-seeds.js';
import { Source, type SourceOptions } from './source.js';
import { StandingWarnings } from './standing-warnings.js';
import { StateFolder } from './state.js';
import { Waker } from './waker.js';

export interface SeedOptions extends SourceOptions, PeerNodeChoice, NodeHintsChoice {
  readonly stateDir: string;
  /** Undo data of an old node is rewritten to the state folder: see `OldUndo`. */
  readonly rewriteUndo?: boolean;
  /** Bytes a second that are read to be hashed; 0, the default: as fast as it goes. */
  readonly hashRate?: number;
  /** 0, the default: one a core. */
  readonly hashThreads?: number;
  /** Bytes of files that are kept when the node deletes them; default none. */
  readonly keep?: number;
  /** Bytes of damaged pieces that are fetched again, and kept; 0: none is. */
  readonly repair?: number;
  /** Sources of a catalogue, for which what it names is served before it is hashed: see `catalogueSources`. */
  readonly catalogue?: readonly string[];
  readonly minChainWork?: string;
}

/** A second look must not take the disk from those who fetch. */
const scrubBytesPerSecond = 32 * 2 ** 20;
/** Between two looks at what the node has deleted. */
const LOOK_MS = 1000;

/** In the state folder: what is known of the block files. */
const INDEX_FILE = 'index.redb';
/** After a catalogue could not be written. */
const AGAIN_MS = 60_000;
const clock = () => performance.now();

/** A running seeder. */
export class Seeder {
  readonly source: Source;
  readonly peerNode: PeerNode;
  readonly segments: SegmentSeeds;
  readonly catalogues: CatalogueSeeds;
  readonly #state: StateFolder;
  readonly #resumeDb: ResumeDb;
  readonly #report: Report;
  readonly #hasher: SegmentHasher;
  readonly #oldUndo: OldUndo;
  readonly #record: ChainRecord;
  readonly #alarm: ChainAlarm;
  readonly #follower: ChainFollower;
  readonly #watch: FolderWatch;
  readonly #hints: NodeHints;
  readonly #restraint: HashRestraint;
  readonly #pruned: PrunedFiles;
  readonly #stop = new AbortController();
  /** Resolves when all that can be served of what was sealed at the start is served; also when it is closed before. */
  readonly caughtUp: Promise<void>;
  readonly #jobs: Promise<void>[];
  readonly #waker = new Waker();
  #isCaughtUp = false;
  #tellCaughtUp: () => void = () => {};

  private constructor(parts: {
    source: Source;
    peerNode: PeerNode;
    state: StateFolder;
    resumeDb: ResumeDb;
    record: ChainRecord;
    reorganisations: ReorganisationRecord;
    hintSources: readonly HintSource[];
    rewriteUndo: boolean;
    pruned: PrunedFiles;
    options: SeedOptions;
    report: Report;
  }) {
    const { source, peerNode, state, resumeDb, record, rewriteUndo, pruned, options, report } = parts;
    this.source = source;
    this.peerNode = peerNode;
    this.#state = state;
    this.#resumeDb = resumeDb;
    this.#record = record;
    this.#report = report;
    this.caughtUp = new Promise((resolve) => {
      this.#tellCaughtUp = resolve;
    });
    const { hashRate: rate = 0, hashThreads: threads = 0, repair = DEFAULT_REPAIR_BYTES } = options;
    const isInitialBlockDownload = () => this.isInitialBlockDownload;
    this.#restraint = new HashRestraint({ rate, threads, isInitialBlockDownload, report });
    const { pace } = this.#restraint;
    const scrubPace = new HashPace(Math.min(rate || scrubBytesPerSecond, scrubBytesPerSecond), 1);
    const repairs = new Repairs(join(state.path, 'repaired'), repair);
    this.#pruned = pruned;
    const fileFailed = () => pruned.doubt();
    this.segments = new SegmentSeeds({ peerNode, source, repairs, scrubPace, report, fileFailed });
    this.catalogues = new CatalogueSeeds({ peerNode, source, folder: state.path, report });
    const undo = { datadir: source.datadir, statePath: state.path, isWanted: rewriteUndo, report };
    this.#oldUndo = new OldUndo(undo);
    this.#hasher = new SegmentHasher({
      ...{ source, resumeDb, report, clock, pace },
      failed: (index, kind, error) => {
        this.#oldUndo.failed(error);
        this.segments.scrubLater(index, kind);
      },
      made: async (index, kind, torrent) => {
        await this.segments.serve(index, kind, torrent);
        const { name, lengthBytes, infoHashV1, infoHashV2 } = torrent;
        const hashes = { infoHashV1: toHex(infoHashV1), infoHashV2: toHex(infoHashV2) };
        const event = { event: 'seeding', segment: index, kind, name, lengthBytes, ...hashes };
        report.event(event, this.#isCaughtUp ? `seeding ${name}, v1 ${hashes.infoHashV1}` : '');
      },
    });
    this.#alarm = new ChainAlarm({ network: source.network.name, record: parts.reorganisations, report });
    const warnings = new StandingWarnings((text) => report.warn(text), source.datadir.warnings());
    this.#follower = new ChainFollower({
      chain: source.datadir,
      interval: source.network.interval,
      known: record.known,
      sealingEnd: () => this.#alarm.sealingEnd,
      clock,
      events: {
        sealed: (index) => {
          this.#hasher.want(index);
          this.#waker.wake();
        },
        changed: (change) => {
          const { firstSegment } = change;
          const withdrawn = firstSegment === null ? 0 : this.#withdraw(firstSegment);
          this.#alarm.raise(change, withdrawn);
          void this.#alarm.writeDown();
        },
        filesChanged: () => {
          this.#pruned.doubt();
          this.#hasher.retry();
          this.#waker.wake();
        },
        tip: (tip) => {
          warnings.look(source.datadir.warnings());
          if (tip) report.event({ event: 'tip', ...shown(tip) }, '');
          // What was missing may have come.
          if (this.segments.states.partial > 0) this.#pruned.doubt();
          this.#waker.wake();
        },
        failed: (error) =>
          report.warn(`the block files cannot be looked at: ${error.message}; what is known stays served`),
        recovered: () => {
          this.#hasher.retry();
          this.#waker.wake();
          const text = 'the block files can be looked at again';
          report.event({ event: 'recovered' }, text);
        },
      },
    });
    this.#follower.begin();
    const heard = () => this.#follower.lookNow();
    this.#watch = new FolderWatch(source.blocksDir, heard);
    this.#hints = new NodeHints({ sources: parts.hintSources, heard, report });
    const { signal } = this.#stop;
    this.#jobs = [
      this.#follower.run(signal),
      this.#hints.run(signal),
      this.#makeTorrents(signal),
      this.segments.scrub(signal),
      this.#lookAtNode(signal),
      this.#serveNamed(options, signal),
    ];
  }

  /**
   * Scans, listens; resolves when peers may come: segments are served as they are hashed. Errors as `Source.open`,
   * `StateFolder.open` and `openPeerNode`.
   */
  static async start(options: SeedOptions, signal: AbortSignal, report: Report): Promise<Seeder> {
    const privacy = privacyOf(options, randomBytes);
    const hints = hintSources(options);
    // What is wrong with a folder that is missing is for the scan to say.
    await access(options.datadir).catch(() => Source.open(options, signal));
    const state = StateFolder.open(options.stateDir, options.datadir);
    try {
      const source = await Source.open(options, signal, join(state.path, INDEX_FILE));
      for (const warning of source.datadir.warnings()) report.warn(warning);
      // Before the hashing: a port in use is told at once.
      const folders = [state.path];
      const peerNode = await openPeerNode({ choice: options, privacy, folders, signal, report });
      try {
        const { name } = source.network;
        const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
        const record = await ChainRecord.open(state.path, name, report);
        const reorganisations = ReorganisationRecord.open(state.path, name);
        const sources = hints((url, how, signal) => peerNode.httpGet(url, how, signal));
        const { rewriteUndo = false } = options;
        const { datadir } = source;
        const keepBytes = options.keep ?? 0;
        const keeping = { datadir, folder: join(state.path, 'kept'), keepBytes, report, signal };
        // Before anything is hashed or served.
        const pruned = await PrunedFiles.open(keeping);
        return new Seeder({
          source,
          peerNode,
          state,
          resumeDb,
          record,
          reorganisations,
          hintSources: sources,
          rewriteUndo,
          pruned,
          options,
          report,
        });
      } catch (error) {
        await peerNode.close();
        throw error;
      }
    } catch (error) {
      state.close();
      throw error;
    }
  }

  /** Every torrent that is served: segments, then catalogues; the newest catalogue is the last. */
  get torrents(): readonly HybridTorrent[] {
    return [...this.segments.torrents, ...this.catalogues.torrents];
  }

  /** The newest catalogue; null while there is none, as when a segment has no undo data. */
  get catalogue(): HybridTorrent | null {
    return this.catalogues.torrents.at(-1) ?? null;
  }

  /** What is said of the catalogues; the newest is the first. */
  get claims(): readonly CatalogueClaim[] {
    return this.catalogues.claims;
  }

  /** Whether the node says that it is in its initial block download; null while it says nothing. */
  get isInitialBlockDownload(): boolean | null {
    return this.#hints.isInitialBlockDownload;
  }

  /** How many segments are sealed, whether they are hashed yet or not. */
  get sealed(): number {
    return this.#follower.sealedHashes.length;
  }

  /** Bytes on disk of files that the node has deleted: what we keep, and what is only open here. */
  get heldBytes(): PrunedFiles['heldBytes'] {
    return this.#pruned.heldBytes;
  }

  /** Where the state of this data directory is kept. */
  get statePath(): string {
    return this.#state.path;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    this.#watch.close();
    await Promise.all(this.#jobs);
    this.#tellCaughtUp();
    await this.#save();
    await this.peerNode.close();
    this.#pruned.close();
    await this.#resumeDb.close();
    await this.source.close();
    this.#state.close();
  }

  /** The one loop that makes torrents of what is sealed, and then the catalogue of them. */
  async #makeTorrents(signal: AbortSignal): Promise<void> {
    let said: string | null = null;
    while (!signal.aborted) {
      let againMs = Number.POSITIVE_INFINITY;
      try {
        await this.#hasher.drain(signal);
        for (const warning of this.#resumeDb.warnings()) this.#report.warn(warning);
        await this.#makeCatalogue(signal);
        await this.#save();
        said = null;
      } catch (error) {
        if (signal.aborted) return;
        againMs = AGAIN_MS;
        const { message } = error as Error;
        if (message !== said) this.#report.warn(`no new catalogue is made: ${message}`);
        said = message;
      }
      againMs = Math.min(againMs, (this.#hasher.dueMs ?? Number.POSITIVE_INFINITY) - clock());
      // Something may have been sealed meanwhile.
      if (againMs > 0) this.#catchUp();
      // It takes long: what can be served without is served by now.
      if (this.#isCaughtUp && (await this.#oldUndo.rewrite(signal).catch(() => false))) {
        this.#hasher.retry();
        continue;
      }
      await this.#waker.rest(againMs, signal);
    }
  }

  async #serveNamed(
    { stateDir, catalogue = [], minChainWork }: SeedOptions,
    signal: AbortSignal,
  ): Promise<void> {
    const { source, segments, peerNode, statePath } = this;
    const named = { source, segments, peerNode, statePath, stateDir, catalogue, minChainWork };
    const sealed = () => this.sealed;
    await serveNamedSegments({ ...named, sealed, report: this.#report }, signal).catch(() => {});
  }

  /** The loop that sees which files the node has deleted, and whether it has its hands full. */
  async #lookAtNode(signal: AbortSignal): Promise<void> {
    const { datadir } = this.source;
    while (!signal.aborted) {
      try {
        await this.#pruned.look(clock(), (isInDoubt) => this.segments.survey(isInDoubt), signal);
        const height = datadir.tip()?.height ?? -1;
        const tipSeconds = height < 0 ? 0 : newestTime(datadir.headers(height, height + 1));
        this.#restraint.look(height, tipSeconds, clock(), Date.now() / 1000);
      } catch (error) {
        if (!signal.aborted) this.#report.warn(`looking at what the node has deleted failed: ${error}`);
      }
      await delay(LOOK_MS, undefined, { signal }).catch(() => {});
    }
  }

  async #makeCatalogue(signal: AbortSignal): Promise<void> {
    const { whole } = this.segments;
    const had = this.catalogue;
    await this.catalogues.update(whole, signal);
    const { catalogue } = this;
    if (!catalogue || catalogue === had) return;
    const { lengthBytes } = catalogue;
    const hashes = { infoHashV1: toHex(catalogue.infoHashV1), infoHashV2: toHex(catalogue.infoHashV2) };
    const text = `seeding the catalogue of ${whole.length} segments, v1 ${hashes.infoHashV1}`;
    const event = { event: 'catalogue-seeding', segments: whole.length, lengthBytes, ...hashes };
    this.#report.event(event, this.#isCaughtUp ? text : '');
  }

  #catchUp(): void {
    if (this.#isCaughtUp) return;
    this.#isCaughtUp = true;
    const { sealed } = this;
    const named = this.segments.whole.length;
    if (sealed > named) {
      const which = named === 0 ? 'no catalogue is seeded' : `the catalogue names only ${named} segments`;
      this.#report.warn(`${which}: it needs the undo data (rev*.dat) of every segment`);
    }
    this.#tellCaughtUp();
  }

  #withdraw(first: number): number {
    this.#hasher.dropFrom(first);
    this.catalogues.withdrawFrom(first);
    return this.segments.withdrawFrom(first);
  }

  async #save(): Promise<void> {
    const { tip, sealedHashes } = this.#follower;
    // As long as nobody can know that sealing is paused, the next start is to find out anew.
    if (tip && (await this.#alarm.writeDown())) await this.#record.save({ tip, sealedHashes });
  }
}
