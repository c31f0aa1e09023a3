/**
 * Where others see us (`yourip`, BEP 10), and so which peers we and they prefer (BEP 40). One network has one voice, and
 * what most voices say counts: whoever lies moves nothing but the order in which we dial.
 */
import { addressScope, type PeerAddress } from '../connector.js';
import { addressFamily, parseIp } from '../wire/compact-address.js';
import { networkOf } from './network-of.js';
import { peerPriority } from './peer-priority.js';

/** Voices heard of late. */
const MAX_VOICES = 64;

export class OwnAddress {
  readonly #listenPort: () => number | null;
  /** By network of the speaker, the oldest first. */
  readonly #voices = new Map<string, string>();
  #hosts: Record<'ipv4' | 'ipv6', string | null> = { ipv4: null, ipv6: null };
  #version = 0;

  constructor(listenPort: () => number | null) {
    this.#listenPort = listenPort;
  }

  /** Changes whenever priorities do. */
  get version(): number {
    return this.#version;
  }

  /** A peer says that we come from here: 4 or 16 bytes. Only the view from outside counts. */
  heard(from: string, yourIp: Uint8Array): void {
    const host = parseIp(yourIp);
    if (host === null || addressScope(host) !== 'global' || addressScope(from) !== 'global') return;
    const key = networkOf(from);
    this.#voices.delete(key);
    this.#voices.set(key, host);
    const [oldest] = this.#voices.keys();
    if (this.#voices.size > MAX_VOICES && oldest !== undefined) this.#voices.delete(oldest);
    const family = addressFamily({ host });
    const most = this.#mostNamed(family);
    if (most === this.#hosts[family]) return;
    this.#hosts[family] = most;
    this.#version++;
  }

  /** The priority of a peer (BEP 40); 0 for all while our own address is not known. */
  priority(peer: PeerAddress): number {
    const host = this.#hosts[addressFamily(peer)];
    return host === null ? 0 : peerPriority({ host, port: this.#listenPort() ?? 0 }, peer);
  }

  /** What more than half of the voices of a family name. */
  #mostNamed(family: 'ipv4' | 'ipv6'): string | null {
    const counts = new Map<string, number>();
    let voices = 0;
    for (const host of this.#voices.values()) {
      if (addressFamily({ host }) !== family) continue;
      voices++;
      counts.set(host, (counts.get(host) ?? 0) + 1);
    }
    for (const [host, count] of counts) if (count * 2 > voices) return host;
    return null;
  }
}
