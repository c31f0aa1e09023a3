/** How much of a store one network (/24, /64) may fill: a share, so that nobody pushes out what others keep there. */
import { globalPrefix } from '../connector/network.js';

export class PrefixQuota {
  readonly #most: number;
  readonly #counts = new Map<string, number>();

  constructor(most: number) {
    this.#most = most;
  }

  /** Counts one more of a host; `false` when its network has all it may. */
  take(host: string): boolean {
    const prefix = globalPrefix(host);
    if (prefix === null) return true;
    const count = this.#counts.get(prefix) ?? 0;
    if (count >= this.#most) return false;
    this.#counts.set(prefix, count + 1);
    return true;
  }

  give(host: string): void {
    const prefix = globalPrefix(host);
    if (prefix === null) return;
    const count = this.#counts.get(prefix) ?? 0;
    if (count > 1) this.#counts.set(prefix, count - 1);
    else this.#counts.delete(prefix);
  }
}
