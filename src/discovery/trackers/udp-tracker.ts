/**
 * Asks trackers over UDP (BEP 15, 41): a connection id first, which proves to the tracker that the address is ours, then
 * what is wanted. An answer that does not come is waited for 15 s, then twice as long each time.
 */
import { randomInt } from 'node:crypto';
import { formatPeerAddress, type PeerAddress } from '../../connector.js';
import { addressFamily } from '../../wire/compact-address.js';
import type { Announce, AnnounceResult, IpVersion, ScrapeCounts, TrackerNetwork } from './announce.js';
import type { TrackerUrl } from './tracker-url.js';
import {
  encodeAnnounce,
  encodeConnect,
  encodeScrape,
  readAnnounce,
  readConnect,
  readScrape,
  type UdpAnswer,
} from './udp-packets.js';

/** A datagram that answers a request of ours. */
export interface UdpDatagram {
  readonly host: string;
  readonly port: number;
  readonly payload: Uint8Array;
}

export interface UdpTrackerOptions {
  readonly network: TrackerNetwork;
  readonly clock: () => number;
  /** Told of every datagram that is sent again, or to get a connection id: they count as requests. */
  readonly charged: () => void;
  readonly firstTimeoutMs?: number;
}

export type UdpTrackerPlace = Pick<TrackerUrl, 'hostname' | 'port' | 'target'> & { readonly asked: boolean };

/** BEP 15 goes on for an hour; by then the next announcement is due. 15, 30 and 60 s. */
const TRIES = 3;
const FIRST_TIMEOUT_MS = 15_000;
/** BEP 15: the client's share of the two minutes. */
const CONNECTION_MS = 60_000;
const NAME_MS = 10 * 60_000;
/** Names and connections that are remembered. */
const MAX_KNOWN = 1000;

type Asked<T> = (
  connection: Uint8Array,
  transaction: number,
) => [Uint8Array, (bytes: Uint8Array) => UdpAnswer<T>];

/** Nobody answers; or nothing may be sent there. */
class UdpFailure extends Error {
  readonly of: 'host' | 'tracker' | 'torrent' | 'address';

  constructor(message: string, of: UdpFailure['of']) {
    super(message);
    this.of = of;
  }
}

export class UdpTracker {
  readonly #options: UdpTrackerOptions;
  /** By address and transaction id. */
  readonly #waiting = new Map<string, (payload: Uint8Array) => void>();
  readonly #connections = new Map<string, { readonly id: Uint8Array; readonly untilMs: number }>();
  readonly #connecting = new Map<string, Promise<Uint8Array | null>>();
  readonly #names = new Map<
    string,
    { readonly addresses: readonly PeerAddress[]; readonly untilMs: number }
  >();

  constructor(options: UdpTrackerOptions) {
    this.#options = options;
  }

  /** Takes the answers that came in. */
  deliver(datagrams: Iterable<UdpDatagram>): void {
    for (const { host, port, payload } of datagrams) {
      if (payload.length < 8) continue;
      const transaction = Buffer.from(payload.buffer, payload.byteOffset, 8).readUInt32BE(4);
      this.#waiting.get(`${formatPeerAddress({ host, port })} ${transaction}`)?.(payload);
    }
  }

  /** Announces one infohash over one family. Rejects only when aborted. */
  async announce(
    place: UdpTrackerPlace,
    announce: Announce,
    ipVersion: IpVersion,
    signal: AbortSignal,
  ): Promise<AnnounceResult> {
    const ask: Asked<Reply> = (connection, transaction) => [
      encodeAnnounce(connection, transaction, announce, place.target),
      (bytes) => readAnnounce(bytes, ipVersion),
    ];
    const tries = announce.event === 'stopped' ? 1 : TRIES;
    try {
      const { value, from } = await this.#ask(place, ipVersion, tries, ask, signal);
      return { failure: null, ...value, trackerId: null, externalAddress: null, warning: null, from };
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof UdpFailure)) throw error;
      return { failure: error.message, of: error.of, retryMs: null };
    }
  }

  /** Counts of at most `UDP_SCRAPE_HASHES` infohashes; `null` where they cannot be had. Rejects only when aborted. */
  async scrape(
    place: UdpTrackerPlace,
    names: readonly string[],
    ipVersion: IpVersion,
    signal: AbortSignal,
  ): Promise<Map<string, ScrapeCounts> | null> {
    const ask: Asked<Map<string, ScrapeCounts>> = (connection, transaction) => [
      encodeScrape(connection, transaction, names),
      (bytes) => readScrape(bytes, names),
    ];
    return this.#ask(place, ipVersion, TRIES, ask, signal).then(
      ({ value }) => value,
      (error: unknown) => {
        signal.throwIfAborted();
        if (!(error instanceof UdpFailure)) throw error;
        return null;
      },
    );
  }

  async #ask<T>(
    place: UdpTrackerPlace,
    ipVersion: IpVersion,
    tries: number,
    ask: Asked<T>,
    signal: AbortSignal,
  ): Promise<{ value: T; from: string }> {
    const to = await this.#address(place, ipVersion, signal);
    const key = formatPeerAddress(to);
    for (let attempt = 0; attempt < tries; attempt++) {
      const timeoutMs = (this.#options.firstTimeoutMs ?? FIRST_TIMEOUT_MS) * 2 ** attempt;
      const connection = await this.#connect(to, timeoutMs, signal);
      if (!connection) continue;
      if (attempt > 0) this.#options.charged();
      const transaction = randomInt(2 ** 32);
      const [request, read] = ask(connection, transaction);
      const answer = await this.#exchange(to, transaction, request, read, timeoutMs, signal);
      if (!answer) continue;
      if (answer.failure === null) return { value: answer.value, from: to.host };
      // Perhaps it has forgotten us, or we were too slow.
      this.#connections.delete(key);
      if (!/connection/i.test(answer.failure)) throw new UdpFailure(answer.failure, 'torrent');
    }
    throw new UdpFailure('no answer', 'host');
  }

  /** A connection id that is still good, or a new one; those who want one at the same time share it. */
  async #connect(to: PeerAddress, timeoutMs: number, signal: AbortSignal): Promise<Uint8Array | null> {
    const key = formatPeerAddress(to);
    const known = this.#connections.get(key);
    if (known && this.#options.clock() < known.untilMs) return known.id;
    const connecting = this.#connecting.get(key) ?? this.#connectNow(to, key, timeoutMs, signal);
    this.#connecting.set(key, connecting);
    const id = await connecting.catch(() => null);
    signal.throwIfAborted();
    return id;
  }

  async #connectNow(
    to: PeerAddress,
    key: string,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<Uint8Array | null> {
    try {
      this.#options.charged();
      const transaction = randomInt(2 ** 32);
      const request = encodeConnect(transaction);
      const answer = await this.#exchange(to, transaction, request, readConnect, timeoutMs, signal);
      if (answer?.failure !== null) return null;
      if (this.#connections.size >= MAX_KNOWN) this.#connections.clear();
      const untilMs = this.#options.clock() + CONNECTION_MS;
      this.#connections.set(key, { id: answer.value, untilMs });
      return answer.value;
    } finally {
      this.#connecting.delete(key);
    }
  }

  /** Sends a request and waits for the answer to it; `null` when none comes, or it is malformed. */
  #exchange<T>(
    to: PeerAddress,
    transaction: number,
    request: Uint8Array,
    read: (payload: Uint8Array) => UdpAnswer<T>,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<UdpAnswer<T>> {
    signal.throwIfAborted();
    const { askUdp } = this.#options.network;
    const key = `${formatPeerAddress(to)} ${transaction}`;
    return new Promise<UdpAnswer<T>>((resolve, reject) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', aborted);
        this.#waiting.delete(key);
      };
      const aborted = () => {
        done();
        reject(signal.reason);
      };
      const timer = setTimeout(() => {
        done();
        resolve(null);
      }, timeoutMs);
      signal.addEventListener('abort', aborted, { once: true });
      this.#waiting.set(key, (payload) => {
        done();
        resolve(read(payload));
      });
      // What cannot be sent is lost, as datagrams may be.
      askUdp?.(request, to);
    });
  }

  /** Where to send to: the first address of the family that may be asked. */
  async #address(place: UdpTrackerPlace, ipVersion: IpVersion, signal: AbortSignal): Promise<PeerAddress> {
    const { network } = this.#options;
    if (network.askUdp === null) throw new UdpFailure('UDP is not used', 'tracker');
    const addresses = await this.#resolve(place, signal);
    const family = ipVersion === 4 ? 'ipv4' : 'ipv6';
    const suited = addresses.filter((address) => addressFamily(address) === family);
    if (suited.length === 0) throw new UdpFailure('its name has no address', 'address');
    const to = suited.find((address) => network.mayAsk(address, place.asked));
    if (!to) throw new UdpFailure('forbidden-address', 'tracker');
    return to;
  }

  async #resolve({ hostname, port }: UdpTrackerPlace, signal: AbortSignal): Promise<readonly PeerAddress[]> {
    const { network, clock } = this.#options;
    const key = `${hostname} ${port}`;
    const known = this.#names.get(key);
    if (known && clock() < known.untilMs) return known.addresses;
    try {
      const addresses = await network.resolve(hostname, port, signal);
      if (this.#names.size >= MAX_KNOWN) this.#names.clear();
      this.#names.set(key, { addresses, untilMs: clock() + NAME_MS });
      return addresses;
    } catch {
      signal.throwIfAborted();
      throw new UdpFailure('its name cannot be resolved', 'host');
    }
  }
}

type Reply = Extract<ReturnType<typeof readAnnounce>, { failure: null }>['value'];
