/** How many connections a session or a torrent may have: in all, still opening, and with one address. */
import { isLoopback } from '../connector.js';
import { subscriber } from './bans.js';

export interface LinkLimitsOptions {
  readonly links?: number;
  /** Dialled and not yet open. */
  readonly halfOpenLinks?: number;
  /** With one IPv4 address or IPv6 /64. Loopback is exempt: many peers may live there (tests, Tor). */
  readonly linksPerHost?: number;
}

export class LinkLimits {
  /** In all. */
  readonly maxLinks: number;
  readonly #halfOpenLinks: number;
  readonly #linksPerHost: number;
  readonly #hosts = new Map<string, number>();
  #count = 0;
  #halfOpen = 0;

  constructor(options: LinkLimitsOptions = {}) {
    this.maxLinks = options.links ?? 4000;
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
    return this.#count < this.maxLinks && this.#halfOpen < this.#halfOpenLinks;
  }

  get isFull(): boolean {
    return this.#count >= this.maxLinks;
  }

  /** Whether one more with this address is possible; `evenFull` when room is being made for it. */
  admits(host: string, evenFull = false): boolean {
    if (this.isFull && !evenFull) return false;
    return isLoopback(host) || (this.#hosts.get(subscriber(host)) ?? 0) < this.#linksPerHost;
  }

  /** A link was begun; `dialled` ones count as half open until `opened`. */
  began(host: string, dialled: boolean): void {
    this.#count++;
    if (dialled) this.#halfOpen++;
    const key = subscriber(host);
    this.#hosts.set(key, (this.#hosts.get(key) ?? 0) + 1);
  }

  opened(dialled: boolean): void {
    if (dialled) this.#halfOpen--;
  }

  ended(host: string, halfOpen: boolean): void {
    this.#count--;
    if (halfOpen) this.#halfOpen--;
    const key = subscriber(host);
    const left = (this.#hosts.get(key) ?? 1) - 1;
    if (left > 0) this.#hosts.set(key, left);
    else this.#hosts.delete(key);
  }
}
