/** How many connections a session may have, over all its torrents: in all, still opening, and with one host. */
import { isLoopback } from '../connector.js';

export interface LinkLimitsOptions {
  readonly links?: number;
  /** Dialled and not yet open. */
  readonly halfOpenLinks?: number;
  /** With one address, over all torrents. Loopback is exempt: many peers may live there (tests, Tor). */
  readonly linksPerHost?: number;
}

export class LinkLimits {
  readonly #links: number;
  readonly #halfOpenLinks: number;
  readonly #linksPerHost: number;
  readonly #hosts = new Map<string, number>();
  #count = 0;
  #halfOpen = 0;

  constructor(options: LinkLimitsOptions = {}) {
    this.#links = options.links ?? 4000;
    this.#halfOpenLinks = options.halfOpenLinks ?? 100;
    this.#linksPerHost = options.linksPerHost ?? 64;
  }

  get count(): number {
    return this.#count;
  }

  get halfOpen(): number {
    return this.#halfOpen;
  }

  /** Whether dialling anybody is possible now. */
  get mayDialNow(): boolean {
    return this.#count < this.#links && this.#halfOpen < this.#halfOpenLinks;
  }

  admits(host: string): boolean {
    if (this.#count >= this.#links) return false;
    return isLoopback(host) || (this.#hosts.get(host) ?? 0) < this.#linksPerHost;
  }

  /** A link was begun; `dialled` ones count as half open until `opened`. */
  began(host: string, dialled: boolean): void {
    this.#count++;
    if (dialled) this.#halfOpen++;
    this.#hosts.set(host, (this.#hosts.get(host) ?? 0) + 1);
  }

  opened(dialled: boolean): void {
    if (dialled) this.#halfOpen--;
  }

  ended(host: string, halfOpen: boolean): void {
    this.#count--;
    if (halfOpen) this.#halfOpen--;
    const left = (this.#hosts.get(host) ?? 1) - 1;
    if (left > 0) this.#hosts.set(host, left);
    else this.#hosts.delete(host);
  }
}
