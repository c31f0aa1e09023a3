/** What the DHT node is to begin with next time, its ids and nodes: a small file in each state folder of the process. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Dht } from '../discovery/dht.js';
import {
  type DhtState,
  encodeDhtState,
  MAX_DHT_STATE_BYTES,
  NO_DHT_STATE,
  parseDhtState,
} from '../discovery/dht-state.js';
import type { Report } from './report.js';
import { writeWholeFile } from './whole-file.js';

export const DHT_FILE = 'dht.dat';
const SAVE_MS = 10 * 60_000;

export class DhtRecord {
  /** What an earlier run left. */
  readonly state: DhtState;
  readonly #paths: readonly string[];
  readonly #report: Report;
  #savedMs = performance.now();
  #saving: Promise<void> = Promise.resolve();
  #hasFailed = false;

  private constructor(paths: readonly string[], state: DhtState, report: Report) {
    this.#paths = paths;
    this.state = state;
    this.#report = report;
  }

  /** A damaged record counts as none: all that it saves is time. */
  static async open(folders: Iterable<string>, report: Report): Promise<DhtRecord> {
    const paths = [...folders].map((folder) => join(folder, DHT_FILE));
    const states = await Promise.all(paths.map(read));
    return new DhtRecord(paths, states.find((state) => state !== null) ?? NO_DHT_STATE, report);
  }

  /** Writes it down every ten minutes. */
  tick(dht: Pick<Dht, 'state'>, nowMs: number): void {
    if (nowMs - this.#savedMs < SAVE_MS) return;
    this.#savedMs = nowMs;
    void this.save(dht.state());
  }

  /** Never rejects. Without nodes what was there stays: the network may have been down. */
  save(state: DhtState): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write(state));
    return this.#saving;
  }

  async #write(state: DhtState): Promise<void> {
    if (state.ipv4.nodes.length + state.ipv6.nodes.length === 0) return;
    try {
      const bytes = encodeDhtState(state);
      for (const path of this.#paths) await writeWholeFile(path, bytes, true);
    } catch (error) {
      if (!this.#hasFailed) this.#report.warn(`the nodes of the DHT: ${(error as Error).message}`);
      this.#hasFailed = true;
    }
  }
}

/** Null when there is none of ours. */
async function read(path: string): Promise<DhtState | null> {
  try {
    const file = await open(path);
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(MAX_DHT_STATE_BYTES + 1) });
      return parseDhtState(buffer.subarray(0, bytesRead));
    } finally {
      await file.close();
    }
  } catch {
    return null;
  }
}
