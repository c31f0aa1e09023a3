/** Tells that something in a folder has changed, where the file system says so; where it does not, nothing is heard. */
import { type FSWatcher, watch } from 'node:fs';

export class FolderWatch {
  readonly #watcher: FSWatcher | null = null;

  constructor(folder: string, changed: () => void) {
    try {
      this.#watcher = watch(folder, { persistent: false }, () => changed());
      // The folder is gone, or the system has no more watches.
      this.#watcher.on('error', () => this.#watcher?.close());
    } catch {
      // As above.
    }
  }

  close(): void {
    this.#watcher?.close();
  }
}
