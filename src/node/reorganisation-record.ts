/**
 * The last reorganisation that took back sealed segments, and whether sealing is paused for it: a small file in the state
 * folder, so that a person can look into it later, and `seal resume` reaches a running seed.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { displayHash, parseHash } from '../units.js';
import type { ChainChange, ChainTip } from './chain-follower.js';
import { writeWholeFile } from './whole-file.js';

const FILE = 'reorganisation.json';
const MAX_CHARACTERS = 64 * 1024;

/** What is kept, and shown. Hashes are as people write them. */
export interface Reorganisation {
  readonly network: string;
  /** Segments from this one on were taken back. */
  readonly firstSegment: number;
  /** Blocks of the old chain above the last common one; at most so many when the old chain is not known well. */
  readonly depth: number;
  readonly forkHeight: number;
  readonly before: { readonly height: number; readonly hash: string };
  readonly tip: { readonly height: number; readonly hash: string };
  /** Unix time. */
  readonly sinceSeconds: number;
  /** Segments from `firstSegment` on are not sealed until a person says so. */
  readonly isPaused: boolean;
}

export class ReorganisationRecord {
  readonly #path: string;
  readonly #network: string;
  #last: Reorganisation | null;
  /** Whether it is written down. */
  #isKept = true;

  private constructor(path: string, network: string, last: Reorganisation | null) {
    this.#path = path;
    this.#network = network;
    this.#last = last;
  }

  /** A file that is damaged pauses from the first segment on. @throws the system's error when it cannot be read */
  static open(folder: string, network: string): ReorganisationRecord {
    const path = join(folder, FILE);
    return new ReorganisationRecord(path, network, read(path, network));
  }

  /** The one that sealing is paused for; looks at the file, which `seal resume` changes under a running seed. */
  get paused(): Reorganisation | null {
    if (this.#last?.isPaused && this.#isKept) {
      try {
        this.#last = read(this.#path, this.#network);
      } catch {
        // Nobody said that sealing may go on.
      }
    }
    return this.#last?.isPaused ? this.#last : null;
  }

  /** To be written down by `write`. What was paused before stays so. */
  begin(next: Reorganisation): void {
    const { paused } = this;
    const firstSegment = Math.min(next.firstSegment, paused?.firstSegment ?? next.firstSegment);
    this.#last = { ...next, firstSegment, isPaused: next.isPaused || paused !== null };
    this.#isKept = false;
  }

  /** Lets sealing go on, to be written down by `write`; returns what it was paused for. */
  resume(): Reorganisation | null {
    const { paused } = this;
    if (!paused) return null;
    this.#last = { ...paused, isPaused: false };
    this.#isKept = false;
    return paused;
  }

  /** Writes down what is not yet. @throws BlockswarmError ERR_DISK_FULL, ERR_IO; in this run it holds all the same */
  async write(): Promise<void> {
    if (this.#isKept) return;
    const last = this.#last;
    const text = `${JSON.stringify({ schema: 1, ...last })}\n`;
    await writeWholeFile(this.#path, Buffer.from(text), true);
    if (this.#last === last) this.#isKept = true;
  }
}

/** What is to be kept of a change; null when it is no reorganisation, or took nothing back. */
export function reorganisation(
  { kind, before, tip, forkHeight, firstSegment }: ChainChange,
  more: Pick<Reorganisation, 'network' | 'sinceSeconds' | 'isPaused'>,
): Reorganisation | null {
  if (kind !== 'reorganised' || firstSegment === null || tip === null) return null;
  const depth = before.height - forkHeight;
  return { ...more, firstSegment, depth, forkHeight, before: shown(before), tip: shown(tip) };
}

export function shown({ height, hash }: ChainTip): { height: number; hash: string } {
  return { height, hash: displayHash(hash) };
}

function read(path: string, network: string): Reorganisation | null {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return parse(text) ?? { ...unknown, network };
}

const nowhere = { height: -1, hash: '0'.repeat(64) };
const unknown = {
  ...{ firstSegment: 0, depth: 0, forkHeight: -1, before: nowhere, tip: nowhere },
  ...{ sinceSeconds: 0, isPaused: true },
};

function parse(text: string): Reorganisation | null {
  if (text.length > MAX_CHARACTERS) return null;
  try {
    const { schema, ...record } = JSON.parse(text) as Reorganisation & { schema: unknown };
    const { network, firstSegment, depth, forkHeight, before, tip, sinceSeconds, isPaused } = record;
    const numbers = [firstSegment, depth, forkHeight, before.height, tip.height, sinceSeconds];
    const isSound =
      schema === 1 &&
      typeof network === 'string' &&
      typeof isPaused === 'boolean' &&
      numbers.every(Number.isSafeInteger) &&
      [before.hash, tip.hash].every((hash) => parseHash(hash) !== null);
    return isSound ? record : null;
  } catch {
    return null;
  }
}
