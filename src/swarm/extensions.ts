/**
 * What is said to peers beyond pieces: the extension handshake (BEP 10), and who speaks which extension under which id.
 * What an extension does is its own module; here its messages are bounded and handed to it.
 */
import { isIPv4 } from 'node:net';
import type { PeerAddress } from '../connector.js';
import {
  type ExtensionHandshake,
  encodeExtensionHandshake,
  parseExtensionHandshake,
} from '../wire/extension-handshake.js';
import type { ExtensionMessage, LinkHost } from './link-host.js';
import type { Peer } from './peer.js';

/** Messages under ids that we never gave out, before a peer is closed: more than a slip. */
const MAX_UNKNOWN_MESSAGES = 100;

/** A peer asks for nothing by handshaking again and again. */
const MAX_HANDSHAKES = 16;

/** What we say about ourselves. */
export interface ExtensionInfo {
  /** Name and version; empty: none is told. */
  readonly client: string;
  /** Nobody is told where we see them, nor believed where they see us: that is the proxy. */
  readonly anonymous: boolean;
  /** Where we listen; null when we do not. */
  readonly listenPort: () => number | null;
  /** Requests that the byte mover queues for a peer. */
  readonly requestQueue: number;
  readonly prefersEncryption?: boolean;
}

/** Why a link is to be closed. */
export interface Offence {
  readonly reason: string;
  /** Its address is not to be met again. */
  readonly ban?: boolean;
}

export const BAD_MESSAGE: Offence = { reason: 'bad-message' };
export const FLOOD: Offence = { reason: 'flood' };

/** One extension, for all peers of a torrent. */
export interface Extension {
  /** Its name in the handshake's `m`. */
  readonly name: string;
  /** Longest message; a longer one is not read. */
  readonly maxBytes: number;
  /** What it adds to our handshake. */
  handshake?(): Partial<ExtensionHandshake>;
  /** The peer's handshake was read: its first, or one more. */
  onHandshake?(partner: Partner, nowMs: number): void;
  onMessage(partner: Partner, payload: Uint8Array, nowMs: number): Offence | null;
  /** Once a second or so. */
  tick?(partners: Iterable<Partner>, nowMs: number): void;
  /** The peer is gone. */
  ended?(partner: Partner, nowMs: number): void;
}

/** A peer that sent an extension handshake. */
export class Partner {
  readonly peer: Peer;
  /** `metadata_size` (BEP 9). */
  metadataBytes: number | null = null;
  handshakes = 0;
  readonly #host: LinkHost;
  readonly #ids = new Map<string, number>();

  constructor(host: LinkHost, peer: Peer) {
    this.#host = host;
    this.peer = peer;
  }

  get link(): number {
    return this.peer.link;
  }

  speaks(name: string): boolean {
    return this.#ids.has(name);
  }

  /** Sends under the id that the peer wants; false when it does not speak the extension, or the link is gone. */
  send(name: string, payload: Uint8Array): boolean {
    const id = this.#ids.get(name);
    return id !== undefined && this.#host.sendExtension(this.link, id, payload);
  }

  /** Nothing is sent by this extension any more. */
  forget(name: string): void {
    this.#ids.delete(name);
  }

  /** Takes over what a handshake mentions; only of extensions that we speak. */
  update(handshake: ExtensionHandshake, extensions: Iterable<Extension>): void {
    const { peer } = this;
    this.handshakes++;
    for (const { name } of extensions) {
      const id = handshake.extensions.get(name);
      if (id === 0) this.#ids.delete(name);
      else if (id !== undefined) this.#ids.set(name, id);
    }
    this.metadataBytes = handshake.metadataBytes ?? this.metadataBytes;
    peer.uploadOnly = handshake.uploadOnly ?? peer.uploadOnly;
    peer.prefersEncryption = handshake.prefersEncryption ?? peer.prefersEncryption;
    if (handshake.requestQueue !== null || this.handshakes === 1) {
      peer.requestQueue = handshake.requestQueue ?? peer.requestQueue;
      this.#host.setRequestLimit(this.link, peer.requestQueue);
    }
  }
}

export interface ExtensionsOptions {
  readonly host: LinkHost;
  readonly info: ExtensionInfo;
  readonly extensions: readonly Extension[];
  /** A peer told where it sees us: 4 or 16 bytes of IP address. */
  seenAs?(peer: Peer, yourIp: Uint8Array): void;
  /** A peer told the port where it listens. */
  listensAt(peer: Peer, port: number, nowMs: number): void;
}

export class Extensions {
  readonly #options: ExtensionsOptions;
  /** By the id under which we want its messages, from 1. */
  readonly #byId: ReadonlyMap<number, Extension>;
  readonly #partners = new Map<number, Partner>();
  readonly #unknownMessages = new Map<number, number>();
  readonly #withdrawn = new Set<string>();

  constructor(options: ExtensionsOptions) {
    this.#options = options;
    this.#byId = new Map(options.extensions.map((extension, at) => [at + 1, extension]));
  }

  /** Peers whose extension handshake was read. */
  get partners(): Iterable<Partner> {
    return this.#partners.values();
  }

  partner(link: number): Partner | undefined {
    return this.#partners.get(link);
  }

  /** The dictionary for a new connection. */
  handshake(options: { remote: PeerAddress; uploadOnly: boolean }): Uint8Array {
    const { client, anonymous, listenPort, requestQueue, prefersEncryption = null } = this.#options.info;
    const parts = [...this.#byId.values()].map((extension) => extension.handshake?.() ?? {});
    const spoken = [...this.#byId].filter(([, { name }]) => !this.#withdrawn.has(name));
    return encodeExtensionHandshake({
      extensions: new Map(spoken.map(([id, { name }]) => [name, id])),
      client,
      listenPort: listenPort(),
      requestQueue,
      prefersEncryption,
      uploadOnly: options.uploadOnly || null,
      yourIp: anonymous ? null : ipv4Bytes(options.remote.host),
      ...Object.assign({}, ...parts),
    });
  }

  /** Speaks these extensions no more, with nobody. */
  withdraw(names: readonly string[]): void {
    for (const name of names) this.#withdrawn.add(name);
    // Id 0 turns an extension off (BEP 10); what is not mentioned stays as it is, says the BEP, but not every client:
    // all are mentioned.
    const ids = [...this.#byId].map(([id, { name }]): [string, number] => [
      name,
      this.#withdrawn.has(name) ? 0 : id,
    ]);
    const payload = encodeExtensionHandshake({ extensions: new Map(ids) });
    for (const partner of this.partners) {
      for (const name of names) partner.forget(name);
      this.#options.host.sendExtension(partner.link, 0, payload);
    }
  }

  /** Reads what a peer said; returns why it is to be closed, or null. */
  onMessages(peer: Peer, messages: readonly ExtensionMessage[], nowMs: number): Offence | null {
    for (const { id, payload } of messages) {
      const offence = id === 0 ? this.#onHandshake(peer, payload, nowMs) : this.#on(peer, id, payload, nowMs);
      if (offence) return offence;
      if (peer.isClosing) return null;
    }
    return null;
  }

  tick(nowMs: number): void {
    for (const extension of this.#spoken()) extension.tick?.(this.partners, nowMs);
  }

  /** The peer is gone. */
  ended(peer: Peer, nowMs: number): void {
    this.#unknownMessages.delete(peer.link);
    const partner = this.#partners.get(peer.link);
    if (!partner) return;
    this.#partners.delete(peer.link);
    for (const extension of this.#byId.values()) extension.ended?.(partner, nowMs);
  }

  #onHandshake(peer: Peer, payload: Uint8Array, nowMs: number): Offence | null {
    const handshake = parseExtensionHandshake(payload);
    if (!handshake) return BAD_MESSAGE;
    const partner = this.#partners.get(peer.link) ?? new Partner(this.#options.host, peer);
    this.#partners.set(peer.link, partner);
    partner.update(handshake, this.#spoken());
    if (partner.handshakes > MAX_HANDSHAKES) return FLOOD;
    if (handshake.yourIp !== null && !this.#options.info.anonymous)
      this.#options.seenAs?.(peer, handshake.yourIp);
    if (handshake.listenPort !== null) this.#options.listensAt(peer, handshake.listenPort, nowMs);
    for (const extension of this.#spoken()) extension.onHandshake?.(partner, nowMs);
    return null;
  }

  #spoken(): Extension[] {
    return [...this.#byId.values()].filter(({ name }) => !this.#withdrawn.has(name));
  }

  #on(peer: Peer, id: number, payload: Uint8Array, nowMs: number): Offence | null {
    const extension = this.#byId.get(id);
    if (!extension) {
      const count = (this.#unknownMessages.get(peer.link) ?? 0) + 1;
      this.#unknownMessages.set(peer.link, count);
      return count > MAX_UNKNOWN_MESSAGES ? FLOOD : null;
    }
    if (this.#withdrawn.has(extension.name)) return null;
    if (payload.length > extension.maxBytes) return BAD_MESSAGE;
    const partner = this.#partners.get(peer.link);
    // Before its handshake there is no id under which it could be answered.
    return partner ? extension.onMessage(partner, payload, nowMs) : null;
  }
}

/** `yourip` is sent for IPv4 only: what others do with it is find out their own outside address. */
function ipv4Bytes(host: string): Uint8Array | null {
  return isIPv4(host) ? Uint8Array.from(host.split('.'), Number) : null;
}
