/**
 * The state folder: one folder and one lock for each data directory or download folder, keyed by real
 * path (DESIGN §3). A second process on the same one is refused.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import { type FileLock, lockFile } from '../native.js';

export class StateFolder {
  readonly path: string;
  readonly #lock: FileLock;

  private constructor(path: string, lock: FileLock) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Takes the folder that belongs to `subject` (a folder that exists), or a part of it with a lock of its own.
   * @throws BlockswarmError ERR_STATE_LOCKED when another process has it, ERR_IO when it cannot be made
   */
  static open(stateDir: string, subject: string, part = ''): StateFolder {
    const real = realpathSync(subject);
    const path = join(StateFolder.pathOf(stateDir, real), part);
    try {
      mkdirSync(path, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new BlockswarmError('ERR_IO', `cannot make the state folder ${path}`, { cause });
    }
    const lock = lockFile(join(path, 'lock'));
    writeFileSync(join(path, 'subject'), `${real}\n`);
    return new StateFolder(path, lock);
  }

  /** Where the folder of `subject` (a folder that exists) is, whether there is one or not. Takes nothing. */
  static pathOf(stateDir: string, subject: string): string {
    const real = realpathSync(subject);
    // The name is for people who look into the folder; the digest tells equal names apart.
    const digest = createHash('sha256').update(real).digest('hex').slice(0, 12);
    return join(stateDir, `${basename(real).replace(/[^\w.-]/g, '_') || 'root'}-${digest}`);
  }

  /** Gives the folder back. */
  close(): void {
    this.#lock.release();
  }
}
