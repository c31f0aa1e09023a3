/** What a running job tells whoever started it. The command line shows it; a server would log it. */

/** How far a job is. */
export interface Progress {
  /** What is being done: `hashing`, `fetching`, … */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
  readonly unit: 'bytes' | 'segments';
  /** A few words more, such as the height reached. */
  readonly detail?: string;
}

export interface Report {
  progress(progress: Progress): void;
  /** Something a person should know, but that stops nothing. */
  warn(text: string): void;
  /** One event of the job, for `--json-lines`, and the same in words. */
  event(event: { readonly event: string; readonly [key: string]: unknown }, text: string): void;
}
