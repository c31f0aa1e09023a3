/**
 * The keys of our destination in I2P, in a file that nobody but its owner may read: with it we are met under the same name
 * each time, and can be told to be the same. They come from the router, which makes them with the first session.
 */
import { open } from 'node:fs/promises';
import { BlockswarmError } from '../errors.js';
import type { Report } from './report.js';

/** In I2P's base64: 679 bytes of the usual kind, and no kind has thousands. */
const KEYS = /^[A-Za-z0-9~-]{884,4096}={0,2}$/;
const MAX_FILE_BYTES = 8192;

export class I2pKeys {
  readonly #path: string;
  /** As the file has them; null when there is none yet. */
  readonly keys: string | null;
  #isKept: boolean;

  private constructor(path: string, keys: string | null) {
    this.#path = path;
    this.keys = keys;
    this.#isKept = keys !== null;
  }

  /** @throws BlockswarmError ERR_CONFIG when others may read the file or it has no keys, ERR_IO */
  static async open(path: string): Promise<I2pKeys> {
    const file = await open(path, 'r').catch((cause) => {
      if (cause.code === 'ENOENT') return null;
      throw new BlockswarmError('ERR_IO', `cannot read the keys ${path}: ${cause.message}`, { cause });
    });
    if (!file) return new I2pKeys(path, null);
    try {
      const { mode, size } = await file.stat();
      if ((mode & 0o077) !== 0) {
        const bits = (mode & 0o777).toString(8);
        throw new BlockswarmError(
          'ERR_CONFIG',
          `others may read the keys ${path} (mode ${bits}): chmod 600 ${path}`,
        );
      }
      const text = size <= MAX_FILE_BYTES ? (await file.readFile('utf8')).trim() : '';
      if (!KEYS.test(text))
        throw new BlockswarmError(
          'ERR_CONFIG',
          `${path} holds no keys of I2P: name a file that is not there, and it is made`,
        );
      return new I2pKeys(path, text);
    } finally {
      await file.close();
    }
  }

  /** Writes down those that the router made, once. Never rejects: without them the next name is another one. */
  async keep(keys: string, report: Report | null): Promise<void> {
    if (this.#isKept) return;
    this.#isKept = true;
    try {
      const file = await open(this.#path, 'wx', 0o600);
      try {
        await file.writeFile(`${keys}\n`);
        await file.sync();
      } finally {
        await file.close();
      }
    } catch (error) {
      report?.warn(`the keys of I2P are not kept: ${(error as Error).message}`);
    }
  }
}
