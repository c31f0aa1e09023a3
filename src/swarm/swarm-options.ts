/** What the owner of a swarm gives it, is told by it, and may ask of it. */
import type { WebSeedPaths } from '../metainfo/web-seed-paths.js';
import type { Extension } from './extensions.js';
import type { PieceStore, TorrentFault } from './link-host.js';
import type { PickOrder, PickWindow } from './picker.js';
import type { PipelineOptions } from './pipeline.js';
import type { WebSeedSource, WebSeedStatus } from './web-seeds.js';

/**
 * `metadata`: no store yet. `fetching`: wanted pieces are missing. `seeding`: none is. `paused`: its files failed;
 * nothing is fetched, nobody served or met.
 */
export type SwarmState = 'metadata' | 'fetching' | 'seeding' | 'paused' | 'closed';

/** A torrent's bytes and how they are cut. */
export interface SwarmContent {
  readonly store: PieceStore;
  /** As peers count: padding included. */
  readonly lengthBytes: number;
  readonly pieceLengthBytes: number;
  /** v2: pieces before the last that end with their file, and their bytes. */
  readonly shortPieces?: ReadonlyMap<number, number>;
  /** Where web seeds have the files; without it none is asked. */
  readonly webSeedPaths?: () => WebSeedPaths;
}

/** Pieces `[first, end)` with a priority of 0 (not wanted) to 7, default 1. */
export interface WantedRange {
  readonly first: number;
  readonly end: number;
  readonly priority?: number;
}

export interface SwarmOptions {
  /** 20 bytes; at least one of the two is given. */
  readonly infoHashV1: Uint8Array | null;
  /** 32 bytes. */
  readonly infoHashV2: Uint8Array | null;
  /** The info dictionary, bencoded; else it is fetched from peers. */
  readonly infoBytes?: Uint8Array;
  /** Absent until the info dictionary is known: see `attach`. */
  readonly content?: SwarmContent;
  /**
   * The info dictionary says that peers come from its trackers only (BEP 27): none are taken from the DHT, peer exchange
   * and the local network.
   */
  readonly private?: boolean;
  /**
   * We are the only one who has everything: peers are shown pieces one by one (BEP 16), until others have everything as
   * well. Without effect when something is missing at the start.
   */
  readonly superSeeding?: boolean;
  /**
   * The files are somebody else's: what fails of them is withdrawn, and so is a piece that cannot be written; everything else
   * goes on. Without it the swarm pauses.
   */
  readonly toleratesFaults?: boolean;
  /** What to fetch; everything when absent. */
  readonly wanted?: readonly WantedRange[];
  readonly order?: PickOrder;
  /** Fetches only pieces near the first missing one: see `Swarm.setWindow`. */
  readonly window?: PickWindow;
  /**
   * The infohash is that of no torrent: who is met under it speaks this extension, and there is nothing to fetch. The swarm
   * stays in the state `metadata`.
   */
  readonly meeting?: SwarmMeeting;
  readonly maxLinks?: number;
  readonly pipeline?: PipelineOptions;
  /** Asked while pieces are missing, when `content` says where their files are. */
  readonly webSeeds?: readonly WebSeedSource[];
  /** How long two that both have everything stay connected. */
  readonly seedGraceMs?: number;
  readonly events?: SwarmEvents;
}

/** What a swarm without a torrent is for. */
export interface SwarmMeeting {
  readonly extension: Extension;
  /** Whether we look for people; else we only let ourselves be found. */
  readonly isLooking: () => boolean;
}

/** Told to the owner, from within `Session.apply` and `tick`. A callback may call the swarm, also `close`. */
export interface SwarmEvents {
  /** The info dictionary came and its hash is right: parse it, open a store, call `attach`. */
  metadata?(infoBytes: Uint8Array): void;
  /** The piece is verified and on disk. */
  piece?(piece: number): void;
  /** Every wanted piece is there now; again after more was wanted or a pause ended. Not told when `add` finds nothing missing. */
  complete?(): void;
  /** A piece could not be written: the swarm pauses, and tries again after 30 s unless it is closed or tolerates faults. */
  ioError?(message: string, piece: number): void;
  /**
   * The torrent's files failed: the swarm pauses until its owner has rechecked the store and calls `resume`. One that
   * tolerates faults takes over behind this call what the store has.
   */
  fault?(fault: TorrentFault): void;
}

export interface SwarmStatus {
  readonly state: SwarmState;
  /** Why it is paused, else `null`. */
  readonly pauseReason: string | null;
  readonly links: number;
  readonly webSeeds: readonly WebSeedStatus[];
  readonly knownPeers: number;
  readonly pieceCount: number;
  readonly hadPieces: number;
  readonly wantedLeft: number;
  /** Of the whole torrent what we do not have; null while its length is not known. */
  readonly leftBytes: number | null;
  readonly downloadRate: number;
  readonly uploadRate: number;
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
}
