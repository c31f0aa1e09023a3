/**
 * Bootstraps a node: catalogue, headers and work, torrents, and Core's engine behind them. Leaves a data
 * directory that Bitcoin Core opens.
 *
 * One loop owns the order: segment after segment is handed to the engine while later ones, inside a window,
 * still download: rarest first, the segment that the engine waits for in a window that moves with its first missing
 * piece. What must survive a kill lies on disk at any moment: verified pieces in the scratch folder,
 * taken blocks in the engine's files. `NewDatadir` finds on the next start what the engine has not indexed.
 */
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { claimDatadir, datadirPaths, releaseDatadir, scratchDir } from '../bridge/datadir.js';
import { EngineProcess, type EngineTip } from '../bridge/engine/parent.js';
import type { CatalogueReader } from '../chain/catalogue.js';
import { windowEnd } from '../chain/window.js';
import { BlockswarmError } from '../errors.js';
import { PIECE_LENGTH_BYTES } from '../metainfo/hybrid.js';
import { type HeaderChain, type Network, networkParams, ResumeDb } from '../native.js';
import { displayHash, formatBytes, sameBytes, toHex } from '../units.js';
import { ArrivingScripts, type ArrivingScriptsOptions, type ScriptsVerdict } from './arriving-scripts.js';
import { chainWorkFloor } from './catalogue.js';
import { CatalogueChoice, type CatalogueJob, type CatalogueWish, tryCatalogues } from './catalogue-choice.js';
import { NewDatadir } from './new-datadir.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { SegmentDownload } from './segment-download.js';
import { StateFolder } from './state.js';

export interface BootstrapOptions extends PeerNodeChoice, CatalogueWish {
  readonly datadir: string;
  readonly network: string;
  readonly minChainWork?: string | undefined;
  readonly scratch?: string | undefined;
  /** Pieces that may wait on disk for the engine; one segment is always open. */
  readonly scratchBytes: number;
  /**
   * The engine keeps what it learns in memory until its cache is full or it is closed. After this many bytes of
   * blocks it is closed and opened again: so much is at most fed again, from disk, after a kill.
   */
  readonly checkpointBytes: number;
  /** Every script is judged here as well, while segments arrive: their spent files are fetched for that. */
  readonly proveScripts?: boolean;
  /** Called when all is done and reported, while peers are still served; they are until it resolves. */
  readonly finished?: (result: BootstrapResult) => Promise<void>;
  /** The program of the engine's child process. */
  readonly enginePath: string;
}

/** A range of heights, half-open, and what proved it. */
export interface ProvenRange {
  readonly firstHeight: number;
  readonly endHeight: number;
  readonly by: string;
}

export interface BootstrapResult {
  readonly network: string;
  readonly datadir: string;
  readonly height: number;
  readonly tipHash: string;
  readonly levels: Readonly<Record<'bytes' | 'chain' | 'scripts' | 'set', readonly ProvenRange[]>>;
  /** What was found here of the segments, beside Core's engine and in earlier runs too; null when it was not asked for. */
  readonly ownScripts: ScriptsVerdict | null;
  /** Core may have skipped the scripts up to this block, whose hash is built into it; else null. */
  readonly assumedValidBelow: { readonly height: number; readonly hash: string } | null;
  readonly chainWorkFloorLowered: boolean;
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  readonly seconds: number;
  readonly peers: number;
}

/** Records handed to the engine in one request: the answer brings the progress and the chance to stop. */
const feedBytes = 32 * 2 ** 20;
const progressMs = 200;
/** Between two records of what is on disk: so much is at most hashed again after a kill. Each one syncs the scratch. */
const saveMs = 30_000;
/**
 * The engine waits for the first segment that is not whole, so later ones are not begun before peers would have
 * less than this to send: some hundred MiB keep many fast peers busy.
 */
const wantedAheadBytes = 256 * 2 ** 20;
/** As much of the segment that the engine waits for is fetched at a time, so that it comes nearly in order. */
const leadPieces = wantedAheadBytes / PIECE_LENGTH_BYTES;

/** Patience for a spent file when the blocks are there: the engine waits. */
const spentPatienceSeconds = 300;

/**
 * Runs the whole job. Interrupted (`signal`) or failed, it leaves what the next run resumes from.
 * @throws BlockswarmError with any code that `exitCode` maps; ERR_INTERRUPTED when the signal fired
 */
export async function bootstrap(
  options: BootstrapOptions,
  signal: AbortSignal,
  report: Report,
): Promise<BootstrapResult> {
  return tryCatalogues((avoid) => new Bootstrap(options, avoid, signal, report), signal, report);
}

/** What the loop over the segments works with. */
interface Parts {
  readonly catalogue: CatalogueReader;
  readonly engine: EngineProcess;
  readonly fresh: NewDatadir;
  readonly peerNode: PeerNode;
  readonly scratch: string;
  readonly resumeDb: ResumeDb;
}

class Bootstrap implements CatalogueJob<BootstrapResult> {
  readonly #options: BootstrapOptions;
  readonly #network: Network;
  readonly #report: Report;
  readonly #startedMs = performance.now();
  readonly #floor: Uint8Array;
  /** Fires with the caller's signal, or when a part fails. */
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #downloads = new Map<number, SegmentDownload>();
  readonly #closers: (() => Promise<void> | void)[] = [];
  #wake: (() => void) | null = null;
  #opening: Promise<void> | null = null;
  #height = 0;
  /** Torrents (v1 infohash, hex) that nobody was found for though another catalogue names others. */
  readonly #avoid: Set<string>;
  /** Null when nobody asked for it. */
  #scripts: ArrivingScripts | null = null;
  #catalogue: CatalogueChoice | null = null;

  constructor(options: BootstrapOptions, avoid: Set<string>, signal: AbortSignal, report: Report) {
    this.#options = options;
    this.#avoid = avoid;
    this.#report = report;
    this.#network = networkParams(options.network);
    this.#floor = chainWorkFloor(this.#network, options.minChainWork, report);
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#signal.addEventListener('abort', () => this.#wake?.());
  }

  get hasOtherCatalogue(): boolean {
    return this.#catalogue?.hasOther ?? false;
  }

  async run(): Promise<BootstrapResult> {
    const { datadir, finished } = this.#options;
    const { statePath, scratch, netDir, blocksDir, resumeDb } = await this.#claim();
    const peerNode = await this.#listen(statePath);
    const [network, floor, avoid] = [this.#network, this.#floor, this.#avoid];
    const [report, signal] = [this.#report, this.#signal];
    const needs = { network, floor, folder: scratch, statePath, peerNode, avoid, report, signal };
    this.#catalogue = await CatalogueChoice.search(this.#options, needs);
    this.#catalogue.tell(report);
    const catalogue = this.#catalogue.reader;
    const engine = await this.#startEngine(netDir);
    const fresh = new NewDatadir({
      network: this.#network,
      blocksDir,
      scratch,
      engine,
      peerNode,
      resumeDb,
    });
    const { height } = await fresh.recover(catalogue, this.#signal);
    const opened = height > 0 ? `resumed at height ${height}` : "Core's engine is open";
    this.#report.event({ event: 'engine', height }, opened);
    this.#height = height;
    if (this.#options.proveScripts) {
      const recordPath = join(statePath, 'scripts.redb');
      await this.#judgeScripts({ chain: catalogue.chain, scratch, recordPath, resumeDb, peerNode });
    }
    await this.#takeSegments({ catalogue, engine, fresh, peerNode, scratch, resumeDb });
    const end = await this.#flushed(engine, catalogue.chain);
    await engine.close();
    // Scratch inside of the data directory goes with the marker, which must be the last.
    if (this.#options.scratch) await rm(scratch, { recursive: true, force: true });
    await releaseDatadir(datadir);
    const { downloadedBytes, uploadedBytes } = peerNode.stats();
    const ownScripts = (await this.#scripts?.verdict()) ?? null;
    const traffic = { downloadedBytes, uploadedBytes, peers: peerNode.provenPeers };
    const result = this.#result(end, traffic, ownScripts);
    this.#catalogue.recommend(peerNode, network);
    await finished?.(result);
    return result;
  }

  /** Closes everything in the reverse order of opening. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const close of this.#closers.splice(0).reverse()) {
      // One part that cannot be closed well (a dead engine) must not keep the others open.
      await (async () => close())().catch(() => {});
    }
  }

  /** Takes the directory to make and its state folder, and finds the place for scratch. */
  async #claim(): Promise<{
    statePath: string;
    scratch: string;
    netDir: string;
    blocksDir: string;
    resumeDb: ResumeDb;
  }> {
    const { datadir, stateDir } = this.#options;
    const paths = datadirPaths(datadir, this.#network.name);
    await claimDatadir(datadir, this.#network.name);
    const state = StateFolder.open(stateDir, datadir);
    this.#closers.push(() => state.close());
    // The state folder's name is unique to this data directory: many may share one scratch disk.
    const { scratch: elsewhere } = this.#options;
    const scratch = elsewhere ? join(elsewhere, basename(state.path)) : scratchDir(datadir);
    await mkdir(scratch, { recursive: true });
    const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
    // When nobody writes any more.
    this.#closers.push(async () => {
      await this.#save(resumeDb, false);
      await resumeDb.close();
    });
    return { ...paths, statePath: state.path, scratch, resumeDb };
  }

  /** Records what the downloads have on disk. Never rejects. */
  async #save(resumeDb: ResumeDb, open: boolean): Promise<void> {
    for (const download of this.#downloads.values()) await download.save(open);
    await this.#scripts?.save(open);
    for (const warning of resumeDb.warnings()) this.#report.warn(warning);
  }

  async #listen(statePath: string): Promise<PeerNode> {
    const [signal, report] = [this.#signal, this.#report];
    const peerNode = await openPeerNode({ choice: this.#options, folders: [statePath], signal, report });
    this.#closers.push(() => peerNode.close());
    return peerNode;
  }

  async #startEngine(datadirNet: string): Promise<EngineProcess> {
    const engine = await EngineProcess.start({
      datadirNet,
      network: this.#network.name,
      childPath: this.#options.enginePath,
      workerThreads: availableParallelism(),
      signal: this.#signal,
    });
    // A dead engine ends the job at once, also while it waits for pieces.
    void engine.exited.then(() => this.#wake?.());
    this.#closers.push(() => engine.close());
    return engine;
  }

  async #judgeScripts(
    parts: Pick<ArrivingScriptsOptions, 'chain' | 'scratch' | 'recordPath' | 'resumeDb' | 'peerNode'>,
  ): Promise<void> {
    const patienceMs = Math.min(this.#options.timeoutSeconds, spentPatienceSeconds) * 1000;
    const [network, report] = [this.#network, this.#report];
    const scripts = await ArrivingScripts.open({ ...parts, network, patienceMs, report }, this.#signal);
    this.#scripts = scripts;
    const running = scripts.run(this.#signal);
    this.#closers.push(async () => {
      await running;
      await scripts.close();
    });
  }

  /** Segment after segment: opens the window behind it, feeds it, and lets the engine's files replace its scratch. */
  async #takeSegments(parts: Parts): Promise<void> {
    const { catalogue, engine, fresh, resumeDb } = parts;
    const { checkpointBytes } = this.#options;
    const lengths = catalogue.records.map(({ blocks }) => blocks.lengthBytes);
    const isProving = this.#scripts !== null;
    const scratchLengths = catalogue.records.map(
      ({ blocks, spent }) => blocks.lengthBytes + (isProving ? spent.lengthBytes : 0),
    );
    const ticker = setInterval(() => this.#showProgress(lengths, fresh.taken, catalogue.chain), progressMs);
    const saver = setInterval(() => void this.#save(resumeDb, true), saveMs);
    let sinceCheckpointBytes = 0;
    try {
      for (let index = fresh.taken; index < lengths.length; index++) {
        const download = await this.#nextDownload(parts, scratchLengths);
        await this.#feed(download, engine);
        // While its blocks are still in scratch.
        await this.#scripts?.settled(index, this.#signal);
        await fresh.take(download, this.#signal);
        this.#downloads.delete(index);
        const { lengthBytes } = download.torrent;
        sinceCheckpointBytes += lengthBytes;
        if (sinceCheckpointBytes >= checkpointBytes) {
          await engine.checkpoint({ signal: this.#signal });
          sinceCheckpointBytes = 0;
        }
        const { endHeight } = fresh.heights(index);
        this.#report.event(
          { event: 'segment', index, endHeight, lengthBytes },
          `segment ${index} validated: heights to ${endHeight - 1} (${formatBytes(lengthBytes)})`,
        );
      }
    } finally {
      clearInterval(ticker);
      clearInterval(saver);
    }
  }

  /** What the engine knows, on disk; it must have come to the end of the chain. */
  async #flushed(engine: EngineProcess, chain: HeaderChain): Promise<EngineTip> {
    const end = await engine.checkpoint({ signal: this.#signal });
    const height = chain.height();
    const wanted = chain.hashAt(height);
    // A directory that Core has taken further meanwhile is fine: it was found to be on this chain.
    if (end.height > height || (end.height === height && sameBytes(end.hash, wanted))) return end;
    throw new BlockswarmError(
      'ERR_ENGINE',
      `the engine ended at height ${end.height} (${displayHash(end.hash)}), not at ${height} (${displayHash(wanted)})`,
    );
  }

  #showProgress(lengths: readonly number[], taken: number, chain: HeaderChain): void {
    const total = lengths.reduce((sum, bytes) => sum + bytes, 0);
    let done = lengths.slice(0, taken).reduce((sum, bytes) => sum + bytes, 0);
    let links = 0;
    for (const { hadBytes, swarm } of this.#downloads.values()) {
      done += hadBytes;
      links += swarm?.status().links ?? 0;
    }
    const detail = `height ${this.#height} of ${chain.height()}  peers ${links}`;
    this.#report.progress({ stage: 'fetching', done, total, unit: 'bytes', detail });
  }

  /** The download that the engine takes next. */
  async #nextDownload(parts: Parts, lengths: readonly number[]): Promise<SegmentDownload> {
    for (;;) {
      const opening = this.#openDownloads(parts, lengths);
      const next = this.#downloads.get(parts.fresh.taken);
      if (next) {
        next.lead(leadPieces);
        return next;
      }
      await opening;
      this.#signal.throwIfAborted();
    }
  }

  /** Begins the next downloads of the window while those under way want little more. Never rejects. */
  #openDownloads(parts: Parts, lengths: readonly number[]): Promise<void> {
    this.#opening ??= this.#openEach(parts, lengths)
      .catch((error: unknown) => this.#stop.abort(error))
      .finally(() => {
        this.#opening = null;
      });
    return this.#opening;
  }

  async #openEach(parts: Parts, lengths: readonly number[]): Promise<void> {
    const { catalogue, fresh, peerNode, scratch, resumeDb } = parts;
    const { scratchBytes } = this.#options;
    for (let index = fresh.taken; index < windowEnd(lengths, fresh.taken, scratchBytes); index++) {
      this.#signal.throwIfAborted();
      const record = catalogue.records[index];
      if (!record || this.#downloads.has(index)) continue;
      const { blocks: torrent, spent } = record;
      if (index > fresh.taken && this.#wantedBytes() >= wantedAheadBytes) return;
      const download = await SegmentDownload.open({
        network: this.#network,
        chain: catalogue.chain,
        index,
        torrent,
        scratchPath: join(scratch, torrent.name),
        resumeDb,
        peerNode,
        signal: this.#signal,
        changed: () => {
          this.#wake?.();
          this.#scripts?.changed();
          void this.#openDownloads(parts, lengths);
        },
      });
      await this.#scripts?.begin(download, spent, this.#signal);
      this.#downloads.set(index, download);
    }
  }

  #wantedBytes(): number {
    let bytes = 0;
    for (const { torrent, hadBytes } of this.#downloads.values()) bytes += torrent.lengthBytes - hadBytes;
    return bytes;
  }

  /** Hands a segment's blocks to the engine as they become proven; returns when it has them all. */
  async #feed(download: SegmentDownload, engine: EngineProcess): Promise<void> {
    const { torrent, scratchPath } = download;
    for (let fedBytes = 0; fedBytes < torrent.lengthBytes; ) {
      const readyBytes = await this.#proven(download, fedBytes, engine);
      const lengthBytes = Math.min(feedBytes, readyBytes - fedBytes);
      const fed = await engine.feed(
        { path: scratchPath, offsetBytes: fedBytes, lengthBytes },
        { signal: this.#signal },
      );
      this.#signal.throwIfAborted();
      this.#height = fed.tip.height;
      if (fed.rejected) {
        const { reason, hash, offsetBytes } = fed.rejected;
        throw new BlockswarmError(
          'ERR_BLOCK_INVALID',
          `Core refuses block ${hash ? displayHash(hash) : `at offset ${offsetBytes} of ${torrent.name}`}: ${reason}. ` +
            'The header chain of this catalogue leads to an invalid block: use another catalogue.',
        );
      }
      if (fed.bytes === 0)
        throw new BlockswarmError('ERR_ENGINE', `the engine took nothing of ${torrent.name} at ${fedBytes}`);
      fedBytes += fed.bytes;
    }
  }

  /** Waits until more than `beyondBytes` from the start of a segment are proven. */
  async #proven(download: SegmentDownload, beyondBytes: number, engine: EngineProcess): Promise<number> {
    const { timeoutSeconds } = this.#options;
    const patienceSeconds = this.#catalogue?.patienceSeconds(download.index) ?? timeoutSeconds;
    const patienceMs = patienceSeconds * 1000;
    for (;;) {
      this.#signal.throwIfAborted();
      if (engine.failure) throw engine.failure;
      for (const { failure, torrent } of this.#downloads.values()) {
        if (!failure) continue;
        await this.#catalogue?.refused(failure, torrent);
        throw failure;
      }
      if (download.provenBytes > beyondBytes) return download.provenBytes;
      const woken = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), patienceMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve(true);
        };
      });
      this.#wake = null;
      if (woken) continue;
      const { name, infoHashV1 } = download.torrent;
      this.#catalogue?.nobodyHas(download.index, download.torrent);
      throw new BlockswarmError(
        'ERR_NO_PEERS',
        `no new piece for ${patienceSeconds} s; next is ${name} (infohash ${infoHashV1 && toHex(infoHashV1)}). ` +
          'Name a peer that has it (--peer HOST:PORT), or run the same command later: it resumes.',
      );
    }
  }

  #result(
    tip: EngineTip,
    traffic: { readonly downloadedBytes: number; readonly uploadedBytes: number; readonly peers: number },
    ownScripts: ScriptsVerdict | null,
  ): BootstrapResult {
    const endHeight = tip.height + 1;
    const skipped = tip.assumedValidHeight;
    const assumed = this.#network.assumeValid;
    const scriptsFrom = skipped === null ? 0 : Math.min(endHeight, skipped + 1);
    const range = (firstHeight: number, by: string) =>
      firstHeight < endHeight ? [{ firstHeight, endHeight, by }] : [];
    return {
      network: this.#network.name,
      datadir: this.#options.datadir,
      height: tip.height,
      tipHash: displayHash(tip.hash),
      levels: {
        bytes: range(0, 'piece hashes'),
        chain: range(0, 'headers, proof of work, block commitments'),
        scripts: range(scriptsFrom, "Core's engine, in order"),
        set: range(0, "Core's engine, in order"),
      },
      ownScripts,
      assumedValidBelow:
        skipped === null || !assumed ? null : { height: skipped, hash: displayHash(assumed) },
      chainWorkFloorLowered: Buffer.compare(this.#floor, this.#network.minChainWork) < 0,
      ...traffic,
      seconds: (performance.now() - this.#startedMs) / 1000,
    };
  }
}
