/**
 * Catalogues and torrents that turned out to be lies, by v1 infohash, in the state folder: one a line, with why. A
 * catalogue that names such a torrent is refused wherever it comes from.
 */
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CatalogueRecord } from '../chain/catalogue.js';
import { BlockswarmError } from '../errors.js';
import { toHex } from '../units.js';

/** More are remembered for this run only: a liar makes up new ones at no cost. */
const maxKept = 10_000;

export class BadCatalogues {
  readonly #path: string;
  readonly #reasons: Map<string, string>;

  private constructor(path: string, reasons: Map<string, string>) {
    this.#path = path;
    this.#reasons = reasons;
  }

  /** Reads what earlier runs found out; a folder without it is fine. */
  static async open(stateFolder: string): Promise<BadCatalogues> {
    const path = join(stateFolder, 'bad-catalogues.txt');
    const text = await readFile(path, 'utf8').catch(() => '');
    const reasons = new Map<string, string>();
    for (const line of text.split('\n').slice(0, maxKept)) {
      const [, infoHash, reason = ''] = /^([0-9a-f]{40}) (.*)$/.exec(line) ?? [];
      if (infoHash) reasons.set(infoHash, reason);
    }
    return new BadCatalogues(path, reasons);
  }

  /** Why the torrent is known to be bad; null when nothing is known against it. */
  reason(infoHashV1: Uint8Array | null): string | null {
    return infoHashV1 ? (this.#reasons.get(toHex(infoHashV1)) ?? null) : null;
  }

  /** Remembers it, over runs when it can be written. */
  async add(infoHashV1: Uint8Array, reason: string): Promise<void> {
    const name = toHex(infoHashV1);
    if (this.#reasons.has(name)) return;
    const line = reason.replace(/\s+/g, ' ').slice(0, 300);
    this.#reasons.set(name, line);
    if (this.#reasons.size <= maxKept) await appendFile(this.#path, `${name} ${line}\n`).catch(() => {});
  }

  /** @throws BlockswarmError ERR_CATALOGUE when one of the records names a bad torrent */
  check(records: readonly CatalogueRecord[]): void {
    for (const { index, blocks, spent } of records) {
      const reason = this.reason(blocks.infoHashV1) ?? this.reason(spent.infoHashV1);
      if (reason === null) continue;
      throw new BlockswarmError(
        'ERR_CATALOGUE',
        `its torrent of segment ${index} is known to be bad: ${reason}`,
      );
    }
  }
}
