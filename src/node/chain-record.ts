/**
 * What was sealed at the last start, in the state folder: how a reorganisation is noticed that happened while nobody
 * looked.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { displayHash, fromHex, parseHash, toHex } from '../units.js';
import type { KnownChain } from './chain-follower.js';
import type { Report } from './report.js';
import { writeWholeFile } from './whole-file.js';

const FILE = 'chain.json';
const MAX_BYTES = 16 * 2 ** 20;

export class ChainRecord {
  /** As an earlier run left it; null when there is none of this network. */
  readonly known: KnownChain | null;
  readonly #path: string;
  readonly #network: string;
  readonly #report: Report;
  #written: string;
  #writing: Promise<void> = Promise.resolve();
  #hasFailed = false;

  private constructor(
    path: string,
    network: string,
    found: { text: string; known: KnownChain } | null,
    report: Report,
  ) {
    this.#path = path;
    this.#network = network;
    this.known = found?.known ?? null;
    this.#written = found?.text ?? '';
    this.#report = report;
  }

  /** A damaged record counts as none. */
  static async open(folder: string, network: string, report: Report): Promise<ChainRecord> {
    const path = join(folder, FILE);
    const text = await readFile(path, 'utf8').catch(() => '');
    const known = parse(text, network);
    return new ChainRecord(path, network, known && { text, known }, report);
  }

  /** Writes it down, when it is news. Never rejects. */
  save({ tip, sealedHashes }: KnownChain): Promise<void> {
    const text = `${JSON.stringify({
      schema: 1,
      network: this.#network,
      tip: { height: tip.height, hash: displayHash(tip.hash), work: toHex(tip.work) },
      sealed: sealedHashes.map(displayHash),
    })}\n`;
    this.#writing = this.#writing.then(() => this.#write(text));
    return this.#writing;
  }

  async #write(text: string): Promise<void> {
    if (text === this.#written) return;
    try {
      await writeWholeFile(this.#path, Buffer.from(text), true);
      this.#written = text;
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed)
        this.#report.warn(`what is sealed cannot be written down: ${(error as Error).message}`);
      this.#hasFailed = true;
    }
  }
}

function parse(text: string, network: string): KnownChain | null {
  if (text.length > MAX_BYTES) return null;
  try {
    const record = JSON.parse(text) as {
      schema: unknown;
      network: unknown;
      tip: { height: unknown; hash: unknown; work: unknown };
      sealed: unknown[];
    };
    const { height } = record.tip;
    const [hash, work] = [parseHash(String(record.tip.hash)), fromHex(String(record.tip.work), 32)];
    const sealedHashes = record.sealed.map((text) => parseHash(String(text)));
    if (record.schema !== 1 || record.network !== network) return null;
    if (typeof height !== 'number' || !Number.isSafeInteger(height) || height < 0) return null;
    if (!hash || !work || !sealedHashes.every((hash) => hash !== null)) return null;
    return { tip: { height, hash, work }, sealedHashes };
  } catch {
    return null;
  }
}
