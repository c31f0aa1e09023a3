/** Addresses where nobody answers, over all torrents: one that is dead for one is not dialled by the next thousand. */
import { formatPeerAddress, type PeerAddress } from '../connector.js';

/** Those that failed longest ago are forgotten first. */
const MAX_ADDRESSES = 16_384;

const FIRST_MS = 3000;
const MAX_MS = 10 * 60_000;

/** Endings that say something about the address, and nothing about the torrent. */
const DEAD: ReadonlySet<string> = new Set(['refused', 'dial-timeout', 'handshake-timeout']);

export class DialBackoff {
  readonly #dead = new Map<string, { failures: number; untilMs: number }>();

  get size(): number {
    return this.#dead.size;
  }

  mayDial(address: PeerAddress, nowMs: number): boolean {
    if (this.#dead.size === 0) return true;
    return (this.#dead.get(formatPeerAddress(address))?.untilMs ?? 0) <= nowMs;
  }

  answered(address: PeerAddress): void {
    if (this.#dead.size > 0) this.#dead.delete(formatPeerAddress(address));
  }

  /** A connection there never opened. */
  failed(address: PeerAddress, reason: string, nowMs: number): void {
    if (!DEAD.has(reason)) return;
    const key = formatPeerAddress(address);
    const failures = (this.#dead.get(key)?.failures ?? 0) + 1;
    this.#dead.delete(key);
    // A little less than what one torrent's book waits: of many torrents one tries again, not all.
    const waitMs = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(failures - 1, 16)) / 2;
    this.#dead.set(key, { failures, untilMs: nowMs + waitMs });
    if (this.#dead.size <= MAX_ADDRESSES) return;
    const [oldest] = this.#dead.keys();
    if (oldest !== undefined) this.#dead.delete(oldest);
  }
}
