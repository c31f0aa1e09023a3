/**
 * Where the world sees us: learnt from what peers (`yourip`, BEP 10), DHT nodes (`ip`, BEP 42), trackers (`external ip`,
 * BEP 24) and the gateway say. One network has one voice, its latest, and what most voices say counts: whoever lies
 * from few networks moves nothing, and one alone is not believed.
 */
import { networkOf } from '../connector/network.js';
import { addressScope, DialPolicy, normalizeHost } from '../connector.js';
import { type AddressFamily, addressFamily, parseIp } from '../wire/compact-address.js';

export type AddressSource = 'peer' | 'dht' | 'tracker' | 'gateway';

/** Somebody says that we come from an address. */
export interface AddressVote {
  /** 4 or 16 bytes, or an IP literal. */
  readonly address: Uint8Array | string;
  /** The IP literal of who says so. */
  readonly from: string;
  readonly source: AddressSource;
}

export type AddressListener = (family: AddressFamily, host: string) => void;

/** Voices heard of late, of each family. */
const MAX_VOICES = 64;
/** Whoever is heard first may lie. */
const MIN_VOICES = 2;
const GATEWAY = 'gateway';

const worldPolicy = new DialPolicy();

export class ExternalAddress {
  readonly #voices = { ipv4: new Map<string, string>(), ipv6: new Map<string, string>() };
  readonly #hosts: Record<AddressFamily, string | null> = { ipv4: null, ipv6: null };
  readonly #listeners = new Set<AddressListener>();
  #version = 0;

  /** Our address as most see it; null until two networks agree, or the gateway says it. */
  current(family: AddressFamily): string | null {
    return this.#hosts[family];
  }

  /** What a single network claims while nothing is believed yet. */
  claimed(family: AddressFamily): string | null {
    return this.#hosts[family] === null ? mostNamed(this.#voices[family]) : null;
  }

  /** How many networks say so. */
  votes(family: AddressFamily): number {
    const host = this.#hosts[family];
    return [...this.#voices[family].values()].filter((named) => named === host).length;
  }

  /** Goes up with every change. */
  get version(): number {
    return this.#version;
  }

  /** Tells of every change until the function that it returns is called. */
  onChange(listener: AddressListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes a vote. Only the view from outside counts; of local addresses only the gateway knows that view. */
  vote({ address, from, source }: AddressVote): void {
    const host = typeof address === 'string' ? normalizeHost(address) : parseIp(address);
    const speaker = normalizeHost(from);
    if (host === null || speaker === null || !isOfTheWorld(host)) return;
    if (source !== 'gateway' && !isOfTheWorld(speaker)) return;
    const family = addressFamily({ host });
    const voices = this.#voices[family];
    const key = source === 'gateway' ? GATEWAY : networkOf(speaker);
    voices.delete(key);
    voices.set(key, host);
    const [oldest] = voices.keys();
    if (voices.size > MAX_VOICES && oldest !== undefined) voices.delete(oldest);
    const most = mostNamed(voices);
    // Without a majority what was believed so far is the best guess.
    if (most === null || most === this.#hosts[family] || !isAgreed(voices, most)) return;
    this.#hosts[family] = most;
    this.#version++;
    for (const listener of this.#listeners) listener(family, most);
  }
}

function isOfTheWorld(host: string): boolean {
  return addressScope(host) === 'global' && worldPolicy.mayDial({ host, port: 1 }, 'learnt');
}

/** Whether more than one stranger says so. */
function isAgreed(voices: ReadonlyMap<string, string>, host: string): boolean {
  if (voices.get(GATEWAY) === host) return true;
  return [...voices.values()].filter((named) => named === host).length >= MIN_VOICES;
}

/** What more than half of the voices name. */
function mostNamed(voices: ReadonlyMap<string, string>): string | null {
  const counts = new Map<string, number>();
  for (const host of voices.values()) counts.set(host, (counts.get(host) ?? 0) + 1);
  for (const [host, count] of counts) if (count * 2 > voices.size) return host;
  return null;
}
