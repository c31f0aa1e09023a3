/**
 * What is said to peers beyond pieces: the extension handshake (BEP 10, with BEP 21 `upload_only`) and the info
 * dictionary (BEP 9), served when it is known and fetched when only its infohash is. Other extensions (PEX,
 * rendezvous) get their ids in `OUR_IDS` and their branch in `onMessages`.
 */
import { isIPv4 } from 'node:net';
import type { PeerAddress } from '../connector.js';
import { encodeExtensionHandshake, parseExtensionHandshake } from '../wire/extension-handshake.js';
import {
  encodeMetadataMessage,
  MetadataFetch,
  type MetadataMessage,
  MetadataServer,
  parseMetadataMessage,
  UT_METADATA,
} from '../wire/metadata.js';
import type { ExtensionMessage, LinkHost } from './link-host.js';
import type { Peer } from './peer.js';

/** The ids under which we want extension messages. */
const OUR_IDS = new Map([[UT_METADATA, 1]]);

/** A peer that does not answer for so long makes room for another one. */
const ANSWER_MS = 20_000;

/** A peer that refused, or was silent, is asked again after so long. */
const ASK_AGAIN_MS = 60_000;

/** What we say about ourselves. */
export interface ExtensionInfo {
  /** Name and version. */
  readonly client: string;
  /** Where we listen; null when we do not. */
  readonly listenPort: () => number | null;
  /** Requests that the byte mover queues for a peer. */
  readonly requestQueue: number;
}

export interface MetadataExchangeOptions {
  readonly host: LinkHost;
  readonly infoHashV1: Uint8Array | null;
  readonly infoHashV2: Uint8Array | null;
  readonly infoBytes: Uint8Array | null;
  readonly info: ExtensionInfo;
}

export interface ExtensionOutcome {
  /** The info dictionary, complete and with the right hash; once. */
  readonly infoBytes: Uint8Array | null;
  readonly listenPort: number | null;
  /** Why the link is to be closed. */
  readonly close: string | null;
  /** The peer sent an info dictionary that is not the one. */
  readonly lied: boolean;
}

/** What a peer's handshake said. */
interface Partner {
  /** Its id for `ut_metadata`; 0 when it does not talk about metadata. */
  id: number;
  totalBytes: number | null;
  /** When an answer was last heard or first waited for; null while nothing is asked. */
  waitingSinceMs: number | null;
  askAgainMs: number;
}

export class MetadataExchange {
  readonly #options: MetadataExchangeOptions;
  readonly #fetch: MetadataFetch;
  readonly #partners = new Map<number, Partner>();
  #infoBytes: Uint8Array | null;
  #server: MetadataServer | null = null;

  constructor(options: MetadataExchangeOptions) {
    const { infoHashV1, infoHashV2, infoBytes } = options;
    this.#options = options;
    this.#fetch = new MetadataFetch({ infoHashV1, infoHashV2 });
    this.#infoBytes = infoBytes;
    if (infoBytes) this.#server = new MetadataServer(infoBytes);
  }

  /** The dictionary for a new connection. */
  handshake(options: { remote: PeerAddress; uploadOnly: boolean }): Uint8Array {
    const { client, listenPort, requestQueue } = this.#options.info;
    return encodeExtensionHandshake({
      extensions: OUR_IDS,
      client,
      listenPort: listenPort(),
      requestQueue,
      metadataBytes: this.#infoBytes?.length ?? null,
      uploadOnly: options.uploadOnly,
      yourIp: ipv4Bytes(options.remote.host),
    });
  }

  /** Reads what a peer said. Takes its request queue and upload-only mark over into the peer. */
  onMessages(peer: Peer, messages: readonly ExtensionMessage[], nowMs: number): ExtensionOutcome {
    let outcome: ExtensionOutcome = { infoBytes: null, listenPort: null, close: null, lied: false };
    for (const { id, payload } of messages) {
      if (id === 0) {
        const listenPort = this.#onHandshake(peer, payload, nowMs);
        outcome =
          listenPort === undefined ? { ...outcome, close: 'bad-message' } : { ...outcome, listenPort };
      } else if (id === OUR_IDS.get(UT_METADATA)) {
        outcome = { ...outcome, ...this.#onMetadata(peer, payload, nowMs) };
      }
      if (outcome.close !== null) break;
    }
    return outcome;
  }

  /** Gives up on silent peers and asks others. */
  tick(peers: Iterable<Peer>, nowMs: number): void {
    if (this.#infoBytes) return;
    for (const peer of peers) {
      const partner = this.#partners.get(peer.link);
      if (partner?.waitingSinceMs == null || nowMs - partner.waitingSinceMs < ANSWER_MS) continue;
      this.#fetch.drop(peer.link);
      rest(partner, nowMs);
    }
    this.#askOthers(nowMs);
  }

  /** The peer is gone. */
  ended(peer: Peer, nowMs: number): void {
    this.#partners.delete(peer.link);
    this.#server?.forget(peer.link);
    this.#fetch.drop(peer.link);
    this.#askOthers(nowMs);
  }

  /** Returns the listening port (null: not said), undefined when the dictionary is malformed. */
  #onHandshake(peer: Peer, payload: Uint8Array, nowMs: number): number | null | undefined {
    const handshake = parseExtensionHandshake(payload);
    if (!handshake) return undefined;
    peer.requestQueue = handshake.requestQueue ?? peer.requestQueue;
    this.#options.host.setRequestLimit(peer.link, peer.requestQueue);
    peer.uploadOnly = handshake.uploadOnly;
    const old = this.#partners.get(peer.link);
    // A second handshake changes only what it mentions.
    this.#partners.set(peer.link, {
      id: handshake.extensions.get(UT_METADATA) ?? old?.id ?? 0,
      totalBytes: handshake.metadataBytes ?? old?.totalBytes ?? null,
      waitingSinceMs: old?.waitingSinceMs ?? null,
      askAgainMs: old?.askAgainMs ?? nowMs,
    });
    this.#askOthers(nowMs);
    return handshake.listenPort;
  }

  #onMetadata(peer: Peer, payload: Uint8Array, nowMs: number): Partial<ExtensionOutcome> {
    const message = parseMetadataMessage(payload);
    if (!message) return { close: 'bad-message' };
    const partner = this.#partners.get(peer.link);
    if (!partner) return {};
    if (message.type === 'request') {
      const answer =
        this.#server?.answer(peer.link, message.piece) ??
        encodeMetadataMessage({ type: 'reject', piece: message.piece });
      if (partner.id !== 0) this.#options.host.sendExtension(peer.link, partner.id, answer);
      return {};
    }
    return this.#onAnswer(peer, partner, message, nowMs);
  }

  #onAnswer(
    peer: Peer,
    partner: Partner,
    message: MetadataMessage,
    nowMs: number,
  ): Partial<ExtensionOutcome> {
    const result = this.#fetch.receive(peer.link, message);
    switch (result.outcome) {
      case 'ask':
        partner.waitingSinceMs = nowMs;
        this.#request(peer.link, partner, result.pieces);
        return {};
      case 'done':
        this.#infoBytes = result.infoBytes;
        this.#server = new MetadataServer(result.infoBytes);
        for (const each of this.#partners.values()) each.waitingSinceMs = null;
        return { infoBytes: result.infoBytes };
      case 'refused':
        rest(partner, nowMs);
        this.#askOthers(nowMs);
        return {};
      case 'bad':
        rest(partner, nowMs);
        return { close: 'bad-metadata', lied: true };
      case 'ignored':
        return {};
    }
  }

  #askOthers(nowMs: number): void {
    if (this.#infoBytes) return;
    for (const [link, partner] of this.#partners) {
      if (!this.#fetch.wantsPeer()) return;
      if (partner.id === 0 || partner.totalBytes === null) continue;
      if (partner.waitingSinceMs !== null || nowMs < partner.askAgainMs) continue;
      const pieces = this.#fetch.begin(link, partner.totalBytes);
      if (pieces.length === 0) continue;
      partner.waitingSinceMs = nowMs;
      this.#request(link, partner, pieces);
    }
  }

  #request(link: number, partner: Partner, pieces: readonly number[]): void {
    for (const piece of pieces) {
      this.#options.host.sendExtension(link, partner.id, encodeMetadataMessage({ type: 'request', piece }));
    }
  }
}

function rest(partner: Partner, nowMs: number): void {
  partner.waitingSinceMs = null;
  partner.askAgainMs = nowMs + ASK_AGAIN_MS;
}

/** `yourip` is sent for IPv4 only: what others do with it is find out their own outside address. */
function ipv4Bytes(host: string): Uint8Array | null {
  return isIPv4(host) ? Uint8Array.from(host.split('.'), Number) : null;
}
