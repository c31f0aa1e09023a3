/**
 * Our port at the gateway: asked for by PCP, NAT-PMP and UPnP-IGD, whichever works first, looked after until the end, and
 * taken back then. One loop for each transport; what a gateway says moves no timer below `MIN_RENEW_MS`, whatever
 * lifetimes or epochs it names: a mapping that it forgot by a restart is there again with the next renewal.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { ExternalAddress } from './external-address.js';

export type MappingMethod = 'pcp' | 'nat-pmp' | 'upnp-igd';
export type MappedTransport = 'tcp' | 'udp';

/** As the byte mover takes it. */
export interface PortRequest {
  method: MappingMethod;
  gateway: string;
  searchHost?: string;
  searchPort?: number;
  transport: MappedTransport;
  internalPort: number;
  externalPort: number;
  /** 0 takes the mapping back. */
  lifetimeSeconds: number;
}

export interface PortAnswer {
  readonly error?: string | undefined;
  readonly externalHost?: string | undefined;
  readonly externalPort: number;
  readonly lifetimeSeconds: number;
}

/** A port that the world reaches us by. */
export interface MappedPort {
  readonly transport: MappedTransport;
  readonly method: MappingMethod;
  readonly gateway: string;
  /** The gateway's address as it says; may be nonsense, or private. */
  readonly externalHost: string | null;
  readonly externalPort: number;
}

export interface PortMappingOptions {
  /** Ends by itself, within seconds. */
  readonly mapPort: (request: PortRequest) => Promise<PortAnswer>;
  /** The IPv4 gateway as of now; null when there is none. */
  readonly gateway: () => Promise<string | null>;
  readonly port: number;
  readonly transports: readonly MappedTransport[];
  readonly externalAddress: Pick<ExternalAddress, 'vote'>;
  /** A port was mapped, or is mapped otherwise than before. */
  readonly changed?: (mapped: MappedPort) => void;
  /** Where UPnP devices are searched for, instead of the multicast group. */
  readonly search?: { readonly host: string; readonly port: number };
  /** Waits; rejects when the signal fires. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
}

const METHODS: readonly MappingMethod[] = ['pcp', 'nat-pmp', 'upnp-igd'];
/** What the RFCs recommend. */
const LIFETIME_SECONDS = 7200;
/** Renewed after half of its lifetime, but within these: a gateway that restarted has forgotten it. */
const MIN_RENEW_MS = 60_000;
const MAX_RENEW_MS = 20 * 60_000;
/** While no method works: doubled each time. */
const RETRY_FIRST_MS = 60_000;
const RETRY_MAX_MS = 60 * 60_000;
/** For taking mappings back at the end: the gateway is near. */
const CLOSE_MS = 1000;

export class PortMapping {
  readonly #options: PortMappingOptions;
  readonly #wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly #stop = new AbortController();
  readonly #mapped = new Map<MappedTransport, MappedPort>();
  readonly #loops: Promise<void>[];

  /** Begins at once. */
  constructor(options: PortMappingOptions) {
    this.#options = options;
    this.#wait = options.wait ?? ((ms, signal) => delay(ms, undefined, { signal, ref: false }));
    this.#loops = options.transports.map((transport) => this.#keep(transport).catch(() => {}));
  }

  /** What is mapped now. */
  mapped(transport: MappedTransport): MappedPort | null {
    return this.#mapped.get(transport) ?? null;
  }

  /** Takes the mappings back, as far as that is done in a second. Idempotent. */
  async close(): Promise<void> {
    this.#stop.abort();
    const mapped = [...this.#mapped.values()];
    this.#mapped.clear();
    // A request that is under way may still be granted: its loop takes that back.
    const removed = Promise.allSettled([...mapped.map((each) => this.#ask(each, 0)), ...this.#loops]);
    const bound = new AbortController();
    await Promise.race([removed, delay(CLOSE_MS, undefined, { signal: bound.signal }).catch(() => {})]);
    bound.abort();
  }

  /** Ends when the signal fires. */
  async #keep(transport: MappedTransport): Promise<void> {
    const { signal } = this.#stop;
    let retryMs = RETRY_FIRST_MS;
    while (!signal.aborted) {
      const lifetimeSeconds = await this.#map(transport);
      if (lifetimeSeconds > 0) {
        retryMs = RETRY_FIRST_MS;
        await this.#wait(Math.min(MAX_RENEW_MS, Math.max(MIN_RENEW_MS, lifetimeSeconds * 500)), signal);
      } else {
        this.#mapped.delete(transport);
        await this.#wait(retryMs, signal);
        retryMs = Math.min(RETRY_MAX_MS, retryMs * 2);
      }
    }
  }

  /** Renews, or tries one method after the other; returns the lifetime in seconds, 0 when there is none. */
  async #map(transport: MappedTransport): Promise<number> {
    const gateway = await this.#options.gateway().catch(() => null);
    if (gateway === null) return 0;
    const old = this.#mapped.get(transport);
    const first = old?.gateway === gateway ? old.method : null;
    const methods = [...METHODS].sort((a, b) => Number(b === first) - Number(a === first));
    for (const method of methods) {
      if (this.#stop.signal.aborted) return 0;
      const externalPort = old?.externalPort ?? this.#options.port;
      const wanted = { transport, method, gateway, externalPort };
      const answer = await this.#ask(wanted, LIFETIME_SECONDS);
      if (answer.error !== undefined || answer.lifetimeSeconds < 1 || answer.externalPort < 1) continue;
      const mapped = {
        ...wanted,
        externalHost: answer.externalHost ?? null,
        externalPort: answer.externalPort,
      };
      if (this.#stop.signal.aborted) {
        // It came after the end.
        await this.#ask(mapped, 0);
        return 0;
      }
      this.#mapped.set(transport, mapped);
      if (mapped.externalHost !== null) {
        const { externalHost: address } = mapped;
        this.#options.externalAddress.vote({ address, from: gateway, source: 'gateway' });
      }
      if (!isSame(old, mapped)) this.#options.changed?.(mapped);
      return answer.lifetimeSeconds;
    }
    return 0;
  }

  #ask(
    { transport, method, gateway, externalPort }: Omit<MappedPort, 'externalHost'>,
    lifetimeSeconds: number,
  ): Promise<PortAnswer> {
    const { mapPort, port: internalPort, search } = this.#options;
    const where = search ? { searchHost: search.host, searchPort: search.port } : {};
    return mapPort({ method, gateway, transport, internalPort, externalPort, lifetimeSeconds, ...where });
  }
}

function isSame(a: MappedPort | undefined, b: MappedPort): boolean {
  return a?.externalPort === b.externalPort && a.externalHost === b.externalHost && a.method === b.method;
}
