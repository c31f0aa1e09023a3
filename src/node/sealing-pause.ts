/**
 * Why nothing more is sealed: a reorganisation took back what was. A small record in the state folder, which outlives the
 * process until a person takes it away.
 */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { displayHash, parseHash } from '../units.js';
import type { ChainChange, ChainTip } from './chain-follower.js';
import { writeWholeFile } from './whole-file.js';

const FILE = 'sealing-paused.json';
const MAX_BYTES = 64 * 1024;

/** What is kept, and shown. Hashes are as people write them. */
export interface PauseRecord {
  readonly network: string;
  /** Segments from this one on are not sealed. */
  readonly firstSegment: number;
  /** Blocks of the old chain above the last common one. */
  readonly depth: number;
  readonly forkHeight: number;
  readonly before: { readonly height: number; readonly hash: string };
  readonly tip: { readonly height: number; readonly hash: string };
  /** Unix time. */
  readonly sinceSeconds: number;
}

export class SealingPause {
  readonly #path: string;
  #record: PauseRecord | null;
  /** Whether it is written down. */
  #isKept = true;

  private constructor(path: string, record: PauseRecord | null) {
    this.#path = path;
    this.#record = record;
  }

  /** A record that is damaged pauses all the same: from the first segment on. */
  static async open(folder: string, network: string): Promise<SealingPause> {
    const path = join(folder, FILE);
    return new SealingPause(path, await read(path, network));
  }

  /** The record in force. */
  get record(): PauseRecord | null {
    // `seal resume` takes it away under a running seed.
    if (this.#record && this.#isKept && !existsSync(this.#path)) this.#record = null;
    return this.#record;
  }

  /** Pauses sealing from a segment on; to be written down by `write`. */
  begin(record: PauseRecord): void {
    const firstSegment = Math.min(record.firstSegment, this.record?.firstSegment ?? record.firstSegment);
    this.#record = { ...record, firstSegment };
    this.#isKept = false;
  }

  /** Writes down what is not yet. @throws BlockswarmError ERR_DISK_FULL, ERR_IO: paused all the same, for this run */
  async write(): Promise<void> {
    if (this.#isKept) return;
    const text = `${JSON.stringify({ schema: 1, ...this.#record })}\n`;
    await writeWholeFile(this.#path, Buffer.from(text), true);
    this.#isKept = true;
  }

  /** Takes the record away; returns it, or null when there was none. */
  static async end(folder: string, network: string): Promise<PauseRecord | null> {
    const path = join(folder, FILE);
    const record = await read(path, network);
    await rm(path, { force: true });
    return record;
  }
}

/** The record of a reorganisation that took back sealed segments. */
export function pauseRecord(network: string, change: ChainChange, nowMs: number): PauseRecord | null {
  const { before, tip, forkHeight, firstSegment } = change;
  if (firstSegment === null || tip === null) return null;
  return {
    network,
    firstSegment,
    depth: before.height - forkHeight,
    forkHeight,
    before: shown(before),
    tip: shown(tip),
    sinceSeconds: Math.floor(nowMs / 1000),
  };
}

export function shown({ height, hash }: ChainTip): { height: number; hash: string } {
  return { height, hash: displayHash(hash) };
}

async function read(path: string, network: string): Promise<PauseRecord | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
  return parse(text) ?? { ...unknown, network };
}

const nowhere = { height: -1, hash: '0'.repeat(64) };
const unknown = { firstSegment: 0, depth: 0, forkHeight: -1, before: nowhere, tip: nowhere, sinceSeconds: 0 };

function parse(text: string): PauseRecord | null {
  if (text.length > MAX_BYTES) return null;
  try {
    const { schema, ...record } = JSON.parse(text) as PauseRecord & { schema: unknown };
    const { network, firstSegment, depth, forkHeight, before, tip, sinceSeconds } = record;
    const numbers = [firstSegment, depth, forkHeight, before.height, tip.height, sinceSeconds];
    const isSound =
      schema === 1 &&
      typeof network === 'string' &&
      numbers.every(Number.isSafeInteger) &&
      [before.hash, tip.hash].every((hash) => parseHash(hash) !== null);
    return isSound ? record : null;
  } catch {
    return null;
  }
}
