/** Addresses that are neither dialled nor let in for a while, shared by all swarms of a session. */
import { isIPv6 } from 'node:net';
import { formatPeerAddress, isLoopback, type PeerAddress } from '../connector.js';

/** Oldest bans go first: a peer with many addresses must not fill memory. */
const MAX_BANS = 16_384;

const DAY_MS = 24 * 60 * 60 * 1000;

/**
 * Whom an address stands for: an IPv4 host, or an IPv6 /64, which is what one subscriber gets. On loopback every
 * port is somebody else (other local nodes, and all that comes in through a Tor onion service).
 */
export function identity(address: PeerAddress): string {
  return isLoopback(address.host) ? formatPeerAddress(address) : subscriber(address.host);
}

/** The same whatever the port: an IPv4 host, or an IPv6 /64. */
export function subscriber(host: string): string {
  return isIPv6(host) ? `${prefix64(host)}::/64` : host;
}

export class BanList {
  readonly #untilMs = new Map<string, number>();
  readonly #durationMs: number;

  constructor(options: { durationMs?: number } = {}) {
    this.#durationMs = options.durationMs ?? DAY_MS;
  }

  get size(): number {
    return this.#untilMs.size;
  }

  ban(address: PeerAddress, nowMs: number): void {
    const key = identity(address);
    this.#untilMs.delete(key);
    this.#untilMs.set(key, nowMs + this.#durationMs);
    if (this.#untilMs.size <= MAX_BANS) return;
    const [oldest] = this.#untilMs.keys();
    if (oldest !== undefined) this.#untilMs.delete(oldest);
  }

  has(address: PeerAddress, nowMs: number): boolean {
    const key = identity(address);
    const untilMs = this.#untilMs.get(key);
    if (untilMs === undefined) return false;
    if (nowMs < untilMs) return true;
    this.#untilMs.delete(key);
    return false;
  }
}

/** The first four groups of a compressed IPv6 literal. */
function prefix64(host: string): string {
  const [left = '', right] = host.split('::');
  const groups = left === '' ? [] : left.split(':');
  if (right !== undefined) {
    const tail = right === '' ? 0 : right.split(':').length;
    while (groups.length + tail < 8) groups.push('0');
    groups.push(...(right === '' ? [] : right.split(':')));
  }
  return groups.slice(0, 4).join(':');
}
