/** The info dictionary (BEP 9): served when it is known, fetched when only its infohash is. */
import type { ExtensionHandshake } from '../wire/extension-handshake.js';
import {
  encodeMetadataMessage,
  MAX_METADATA_MESSAGE_BYTES,
  MetadataFetch,
  type MetadataMessage,
  MetadataServer,
  parseMetadataMessage,
  UT_METADATA,
} from '../wire/metadata.js';
import { BAD_MESSAGE, type Extension, type Offence, type Partner } from './extensions.js';

/** A peer that does not answer for so long makes room for another one. */
const ANSWER_MS = 20_000;

/** A peer that refused, or was silent, is asked again after so long. */
const ASK_AGAIN_MS = 60_000;

export interface MetadataExchangeOptions {
  readonly infoHashV1: Uint8Array | null;
  readonly infoHashV2: Uint8Array | null;
  readonly infoBytes: Uint8Array | null;
  /** The info dictionary came, complete and with the right hash; once. */
  found(infoBytes: Uint8Array): void;
}

/** What is asked of a peer. */
interface Asking {
  readonly partner: Partner;
  /** When an answer was last heard or first waited for; null while nothing is asked. */
  waitingSinceMs: number | null;
  askAgainMs: number;
}

export class MetadataExchange implements Extension {
  readonly name = UT_METADATA;
  readonly maxBytes = MAX_METADATA_MESSAGE_BYTES;
  readonly #options: MetadataExchangeOptions;
  readonly #fetch: MetadataFetch;
  /** By link; empty once the dictionary is known. */
  readonly #asked = new Map<number, Asking>();
  #infoBytes: Uint8Array | null;
  #server: MetadataServer | null = null;

  constructor(options: MetadataExchangeOptions) {
    const { infoHashV1, infoHashV2, infoBytes } = options;
    this.#options = options;
    this.#fetch = new MetadataFetch({ infoHashV1, infoHashV2 });
    this.#infoBytes = infoBytes;
    if (infoBytes) this.#server = new MetadataServer(infoBytes);
  }

  handshake(): Partial<ExtensionHandshake> {
    return { metadataBytes: this.#infoBytes?.length ?? null };
  }

  onHandshake(partner: Partner, nowMs: number): void {
    if (this.#infoBytes) return;
    if (!this.#asked.has(partner.link))
      this.#asked.set(partner.link, { partner, waitingSinceMs: null, askAgainMs: nowMs });
    this.#askOthers(nowMs);
  }

  onMessage(partner: Partner, payload: Uint8Array, nowMs: number): Offence | null {
    const message = parseMetadataMessage(payload);
    if (!message) return BAD_MESSAGE;
    if (message.type !== 'request') return this.#onAnswer(partner, message, nowMs);
    const answer =
      this.#server?.answer(partner.link, message.piece) ??
      encodeMetadataMessage({ type: 'reject', piece: message.piece });
    partner.send(UT_METADATA, answer);
    return null;
  }

  /** Gives up on silent peers and asks others. */
  tick(_: Iterable<Partner>, nowMs: number): void {
    for (const asking of this.#asked.values()) {
      if (asking.waitingSinceMs === null || nowMs - asking.waitingSinceMs < ANSWER_MS) continue;
      this.#fetch.drop(asking.partner.link);
      rest(asking, nowMs);
    }
    this.#askOthers(nowMs);
  }

  ended(partner: Partner, nowMs: number): void {
    this.#asked.delete(partner.link);
    this.#server?.forget(partner.link);
    this.#fetch.drop(partner.link);
    this.#askOthers(nowMs);
  }

  #onAnswer(partner: Partner, message: MetadataMessage, nowMs: number): Offence | null {
    const asking = this.#asked.get(partner.link);
    if (!asking) return null;
    const result = this.#fetch.receive(partner.link, message);
    switch (result.outcome) {
      case 'ask':
        asking.waitingSinceMs = nowMs;
        request(partner, result.pieces);
        return null;
      case 'done':
        this.#infoBytes = result.infoBytes;
        this.#server = new MetadataServer(result.infoBytes);
        this.#asked.clear();
        this.#options.found(result.infoBytes);
        return null;
      case 'refused':
        rest(asking, nowMs);
        this.#askOthers(nowMs);
        return null;
      case 'bad':
        rest(asking, nowMs);
        return { reason: 'bad-metadata', ban: true };
      case 'ignored':
        return null;
    }
  }

  #askOthers(nowMs: number): void {
    for (const asking of this.#asked.values()) {
      if (!this.#fetch.wantsPeer()) return;
      const { partner } = asking;
      if (!partner.speaks(UT_METADATA) || partner.metadataBytes === null) continue;
      if (asking.waitingSinceMs !== null || nowMs < asking.askAgainMs) continue;
      const pieces = this.#fetch.begin(partner.link, partner.metadataBytes);
      if (pieces.length === 0) continue;
      asking.waitingSinceMs = nowMs;
      request(partner, pieces);
    }
  }
}

function request(partner: Partner, pieces: readonly number[]): void {
  for (const piece of pieces) partner.send(UT_METADATA, encodeMetadataMessage({ type: 'request', piece }));
}

function rest(asking: Asking, nowMs: number): void {
  asking.waitingSinceMs = null;
  asking.askAgainMs = nowMs + ASK_AGAIN_MS;
}
