/**
 * Bootstraps a node: catalogue, headers and work, torrents, and Core's engine behind them. Leaves a data
 * directory that Bitcoin Core opens.
 *
 * One loop owns the order: segment after segment is handed to the engine while later ones, inside a window,
 * still download. What must survive a kill lies on disk at any moment: verified pieces in the scratch folder,
 * taken blocks in the engine's files. `NewDatadir` finds on the next start what the engine has not indexed.
 */
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { basename, join } from 'node:path';
import { claimDatadir, datadirPaths, releaseDatadir, scratchDir } from '../bridge/datadir.js';
import { EngineProcess } from '../bridge/engine/parent.js';
import type { CatalogueReader } from '../chain/catalogue.js';
import { checkChainWork } from '../chain/catalogue.js';
import { windowEnd } from '../chain/window.js';
import { BlockswarmError } from '../errors.js';
import { type Network, networkParams } from '../native.js';
import { displayHash, formatBytes, toHex } from '../units.js';
import { chainWorkFloor, readCatalogueFile } from './catalogue.js';
import { fetchCatalogue, isInfoHash } from './catalogue-fetch.js';
import { NewDatadir } from './new-datadir.js';
import { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { resolveAll } from './seed.js';
import { SegmentDownload } from './segment-download.js';
import { StateFolder } from './state.js';

export interface BootstrapOptions {
  readonly datadir: string;
  readonly network: string;
  /** A file, or the infohash (40 or 64 hex digits) of a catalogue torrent. */
  readonly catalogue: string;
  readonly minChainWork?: string | undefined;
  readonly scratch?: string | undefined;
  readonly listen: string;
  readonly peer: readonly string[];
  readonly dht: boolean;
  readonly dhtBootstrap: readonly string[];
  readonly stateDir: string;
  /** Gives up after this long without a new piece. */
  readonly timeoutSeconds: number;
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
  /** Core may have skipped the scripts up to this block, whose hash is built into it; else null. */
  readonly assumedValidBelow: { readonly height: number; readonly hash: string } | null;
  readonly chainWorkFloorLowered: boolean;
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  readonly seconds: number;
  readonly peers: number;
}

/** Pieces that wait on disk for the engine: the window never opens a segment beyond it, but always one. */
const scratchBytes = 16 * 2 ** 30;
/** Records handed to the engine in one request: the answer brings the progress and the chance to stop. */
const feedBytes = 32 * 2 ** 20;
/**
 * The engine flushes what it knows only when its cache is full, or when it is closed: this much is at most fed
 * again after a kill. Measured on the sample, closing and opening again costs about as much as 0.3 MiB of feeding.
 */
const checkpointBytes = 2 * 2 ** 30;

/**
 * Runs the whole job. Interrupted (`signal`) or failed, it leaves what the next run resumes from.
 * @throws BlockswarmError with any code that `exitCode` maps; ERR_INTERRUPTED when the signal fired
 */
export async function bootstrap(
  options: BootstrapOptions,
  signal: AbortSignal,
  report: Report,
): Promise<BootstrapResult> {
  const job = new Bootstrap(options, signal, report);
  try {
    return await job.run();
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new BlockswarmError(
      'ERR_INTERRUPTED',
      'interrupted; run the same command to go on where this ended',
      {
        cause: error,
      },
    );
  } finally {
    await job.close();
  }
}

class Bootstrap {
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
  #sinceCheckpointBytes = 0;
  #height = 0;

  constructor(options: BootstrapOptions, signal: AbortSignal, report: Report) {
    this.#options = options;
    this.#report = report;
    this.#network = networkParams(options.network);
    this.#floor = chainWorkFloor(this.#network, options.minChainWork, report);
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
    this.#signal.addEventListener('abort', () => this.#wake?.());
  }

  async run(): Promise<BootstrapResult> {
    const { datadir, stateDir, enginePath } = this.#options;
    const signal = this.#signal;
    const { netDir, blocksDir } = datadirPaths(datadir, this.#network.name);
    await claimDatadir(datadir, this.#network.name);
    const state = StateFolder.open(stateDir, datadir);
    this.#closers.push(() => state.close());
    // The state folder's name is unique to this data directory: many may share one scratch disk.
    const scratch = this.#options.scratch
      ? join(this.#options.scratch, basename(state.path))
      : scratchDir(datadir);
    await mkdir(scratch, { recursive: true });

    const peers = await resolveAll(this.#options.peer, signal);
    const dht = this.#options.dht ? await resolveAll(this.#options.dhtBootstrap, signal) : null;
    const peerNode = new PeerNode({ listen: this.#options.listen, peers, dht });
    this.#closers.push(() => peerNode.close());

    const catalogue = await this.#catalogue(peerNode, scratch);
    checkChainWork(catalogue.chain, this.#floor);
    const { records, chain } = catalogue;
    this.#report.event(
      {
        event: 'catalogue',
        segments: records.length,
        height: chain.height(),
        tipHash: displayHash(chain.hashAt(chain.height())),
      },
      `catalogue: ${records.length} segments, headers to height ${chain.height()}, work above the floor`,
    );

    const engine = await EngineProcess.start({
      datadirNet: netDir,
      network: this.#network.name,
      childPath: enginePath,
      workerThreads: availableParallelism(),
      signal,
    });
    this.#closers.push(() => engine.close());
    const fresh = new NewDatadir(this.#network, blocksDir, scratch, engine, peerNode);
    const tip = await fresh.recover(catalogue, signal);
    this.#height = tip.height;
    if (tip.height > 0)
      this.#report.event({ event: 'resumed', height: tip.height }, `resumed at height ${tip.height}`);

    const lengths = records.map(({ blocks }) => blocks.lengthBytes);
    const totalBytes = lengths.reduce((sum, bytes) => sum + bytes, 0);
    const progress = () => {
      const now = this.#doneBytes(lengths, fresh.taken);
      const links = [...this.#downloads.values()].reduce(
        (sum, { swarm }) => sum + (swarm?.status().links ?? 0),
        0,
      );
      const detail = `height ${this.#height} of ${chain.height()}  peers ${links}`;
      this.#report.progress({ stage: 'fetching', done: now, total: totalBytes, unit: 'bytes', detail });
    };
    const ticker = setInterval(progress, 200);
    this.#closers.push(() => clearInterval(ticker));

    for (let index = fresh.taken; index < records.length; index++) {
      await this.#openWindow(catalogue, lengths, index, peerNode, scratch);
      const download = this.#downloads.get(index);
      if (!download) throw new BlockswarmError('ERR_NATIVE', `segment ${index} was not opened`);
      await this.#feed(download, engine);
      await fresh.take(download, signal);
      this.#downloads.delete(index);
      this.#sinceCheckpointBytes += download.torrent.lengthBytes;
      if (this.#sinceCheckpointBytes >= checkpointBytes) {
        await engine.checkpoint({ signal });
        this.#sinceCheckpointBytes = 0;
      }
      const { endHeight } = fresh.heights(index);
      this.#report.event(
        { event: 'segment', index, endHeight, downloadedBytes: download.torrent.lengthBytes },
        `segment ${index} validated: heights to ${endHeight - 1} (${formatBytes(download.torrent.lengthBytes)})`,
      );
    }
    clearInterval(ticker);
    const end = await engine.checkpoint({ signal });
    const wanted = chain.hashAt(chain.height());
    if (
      end.height < chain.height() ||
      (end.height === chain.height() && Buffer.compare(end.hash, wanted) !== 0)
    ) {
      throw new BlockswarmError(
        'ERR_ENGINE',
        `the engine ended at height ${end.height} (${displayHash(end.hash)}), not at ${chain.height()} (${displayHash(wanted)})`,
      );
    }
    const { downloadedBytes, uploadedBytes } = peerNode.stats();
    await engine.close();
    await rm(scratch, { recursive: true, force: true });
    await releaseDatadir(datadir);
    return this.#result(end, { downloadedBytes, uploadedBytes, peers: peerNode.provenPeers });
  }

  /** Closes everything in the reverse order of opening. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const close of this.#closers.splice(0).reverse()) {
      // One part that cannot be closed well (a dead engine) must not keep the others open.
      await (async () => close())().catch(() => {});
    }
  }

  async #catalogue(peerNode: PeerNode, scratch: string): Promise<CatalogueReader> {
    const { catalogue } = this.#options;
    if (!isInfoHash(catalogue)) return readCatalogueFile(catalogue, this.#network, this.#signal);
    return fetchCatalogue({
      infoHash: catalogue,
      network: this.#network,
      folder: scratch,
      peerNode,
      signal: this.#signal,
      report: this.#report,
      timeoutSeconds: this.#options.timeoutSeconds,
    });
  }

  /** Opens the downloads of the window that begins at `next`. */
  async #openWindow(
    { chain, records }: CatalogueReader,
    lengths: readonly number[],
    next: number,
    peerNode: PeerNode,
    scratch: string,
  ): Promise<void> {
    for (let index = next; index < windowEnd(lengths, next, scratchBytes); index++) {
      const record = records[index];
      if (!record || this.#downloads.has(index)) continue;
      const download = await SegmentDownload.open({
        network: this.#network,
        chain,
        index,
        torrent: record.blocks,
        scratchPath: join(scratch, record.blocks.name),
        peerNode,
        signal: this.#signal,
        changed: () => this.#wake?.(),
      });
      this.#downloads.set(index, download);
    }
  }

  /** Hands a segment's blocks to the engine as they become proven; returns when it has them all. */
  async #feed(download: SegmentDownload, engine: EngineProcess): Promise<void> {
    const { torrent, scratchPath } = download;
    for (let fedBytes = 0; fedBytes < torrent.lengthBytes; ) {
      const readyBytes = await this.#proven(download, fedBytes);
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
  async #proven(download: SegmentDownload, beyondBytes: number): Promise<number> {
    const patienceMs = this.#options.timeoutSeconds * 1000;
    for (;;) {
      this.#signal.throwIfAborted();
      for (const { failure } of this.#downloads.values()) if (failure) throw failure;
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
      throw new BlockswarmError(
        'ERR_NO_PEERS',
        `no new piece for ${this.#options.timeoutSeconds} s; next is ${name} (infohash ${infoHashV1 && toHex(infoHashV1)}). ` +
          'Name a peer that has it (--peer HOST:PORT), or run the same command later: it resumes.',
      );
    }
  }

  #doneBytes(lengths: readonly number[], taken: number): number {
    let bytes = lengths.slice(0, taken).reduce((sum, length) => sum + length, 0);
    for (const download of this.#downloads.values()) bytes += download.hadBytes;
    return bytes;
  }

  #result(
    tip: { readonly height: number; readonly hash: Uint8Array; readonly assumedValidHeight: number | null },
    traffic: { readonly downloadedBytes: number; readonly uploadedBytes: number; readonly peers: number },
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
      assumedValidBelow:
        skipped === null || !assumed ? null : { height: skipped, hash: displayHash(assumed) },
      chainWorkFloorLowered: Buffer.compare(this.#floor, this.#network.minChainWork) < 0,
      ...traffic,
      seconds: (performance.now() - this.#startedMs) / 1000,
    };
  }
}
