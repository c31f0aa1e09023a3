/** What a running job tells whoever started it. The command line shows it; a server would log it. */

/** How far a job is. */
export interface Progress {
  /** What is being done: `hashing`, `fetching`, … */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  readonly unit: 'bytes' | 'segments' | 'heights';
  /** A few words more, such as the height reached. */
  readonly detail?: string;
  /** What peers have to do with it. */
  readonly transfer?: Transfer;
}

/** What goes on between us and peers. Rates are of the last seconds. */
export interface Transfer {
  /** The torrent's name, or what is done with many. */
  readonly title: string;
  readonly downloadBytesPerSecond: number;
  readonly uploadBytesPerSecond: number;
  readonly uploadedBytes: number;
  /** Connected. */
  readonly peers: number;
  /** Of those, the ones that have everything. */
  readonly seeds: number;
  readonly knownPeers: number;
  /** Trackers that are asked, and how many of them work. */
  readonly trackers?: { readonly working: number; readonly asked: number };
  readonly hadPieces: number;
  readonly pieceCount: number;
  /** Torrents held, and how many of them are open. */
  readonly torrents: number;
  readonly openTorrents: number;
}

export interface Report {
  progress(progress: Progress): void;
  /** Something a person should know, but that stops nothing. */
  warn(text: string): void;
  /** One event of the job, for `--json-lines`, and the same in words. */
  event(event: { readonly event: string; readonly [key: string]: unknown }, text: string): void;
}
