/** Seeds a folder of segment files, and the catalogue that they make when both kinds of all segments are there. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { privacyOf } from '../connector/privacy.js';
import type { HybridTorrent } from '../metainfo/hybrid.js';
import { HashPace, ResumeDb } from '../native.js';
import { CatalogueSeeds } from './catalogue-seeds.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { PeerNode } from './peer-node.js';
import { DEFAULT_REPAIR_BYTES, Repairs } from './repairs.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { SegmentFolder } from './segment-folder.js';
import { SegmentHasher } from './segment-hasher.js';
import { SegmentSeeds } from './segment-seeds.js';
import { StateFolder } from './state.js';

export interface FolderSeedOptions extends PeerNodeChoice {
  readonly segments: string;
  readonly network: string;
  readonly stateDir: string;
}

/** A second look must not take the disk from those who fetch. */
const scrubBytesPerSecond = 32 * 2 ** 20;

export class FolderSeeder {
  readonly peerNode: PeerNode;
  readonly folder: SegmentFolder;
  /** Resolves when all that can be served is served; also when it is closed before. */
  readonly caughtUp: Promise<void>;
  readonly #segments: SegmentSeeds;
  readonly #catalogues: CatalogueSeeds;
  readonly #state: StateFolder;
  readonly #resumeDb: ResumeDb;
  readonly #stop = new AbortController();
  readonly #scrubbing: Promise<void>;

  private constructor(parts: {
    folder: SegmentFolder;
    peerNode: PeerNode;
    state: StateFolder;
    resumeDb: ResumeDb;
    report: Report;
  }) {
    const { folder, peerNode, state, resumeDb, report } = parts;
    this.folder = folder;
    this.peerNode = peerNode;
    this.#state = state;
    this.#resumeDb = resumeDb;
    const repairs = new Repairs(join(state.path, 'repaired'), DEFAULT_REPAIR_BYTES);
    const scrubPace = new HashPace(scrubBytesPerSecond, 1);
    const fileFailed = () => void this.#segments.survey().catch(() => {});
    this.#segments = new SegmentSeeds({ peerNode, source: folder, repairs, scrubPace, report, fileFailed });
    this.#catalogues = new CatalogueSeeds({ peerNode, source: folder, folder: state.path, report });
    this.caughtUp = this.#serve(report);
    this.#scrubbing = this.#segments.scrub(this.#stop.signal);
  }

  /**
   * Looks at the heads of all blocks, listens; resolves when peers may come: files are served as they are checked.
   * @throws BlockswarmError as `SegmentFolder.open`, `StateFolder.open` and `openPeerNode`
   */
  static async start(options: FolderSeedOptions, signal: AbortSignal, report: Report): Promise<FolderSeeder> {
    const privacy = privacyOf(options, randomBytes);
    const folder = await SegmentFolder.open(options.segments, options.network, signal, report);
    const state = StateFolder.open(options.stateDir, options.segments);
    try {
      const folders = [state.path];
      const peerNode = await openPeerNode({ choice: options, privacy, folders, signal, report });
      try {
        const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
        return new FolderSeeder({ folder, peerNode, state, resumeDb, report });
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
    return [...this.#segments.torrents, ...this.#catalogues.torrents];
  }

  /** The newest catalogue; null while there is none. */
  get catalogue(): HybridTorrent | null {
    return this.#catalogues.torrents.at(-1) ?? null;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.all([this.caughtUp, this.#scrubbing]);
    await this.peerNode.close();
    await this.#resumeDb.close();
    this.#state.close();
  }

  async #serve(report: Report): Promise<void> {
    const { signal } = this.#stop;
    const { folder } = this;
    try {
      const hasher = new SegmentHasher({
        ...{ source: folder, resumeDb: this.#resumeDb, report },
        clock: () => performance.now(),
        pace: new HashPace(0, 0),
        failed: (index, kind) => this.#segments.scrubLater(index, kind),
        made: (index, kind, torrent) => this.#segments.serve(index, kind, torrent),
      });
      for (let index = 0; index < folder.count; index++) hasher.want(index);
      await hasher.drain(signal);
      for (const warning of this.#resumeDb.warnings()) report.warn(warning);
      const { whole } = this.#segments;
      if (whole.length === folder.count) await this.#catalogues.update(whole, signal);
      else report.warn('no catalogue is made: it needs the blocks file and the spent file of every segment');
    } catch (error) {
      if (!signal.aborted) report.warn(`seeding goes on, but: ${(error as Error).message}`);
    }
  }
}
