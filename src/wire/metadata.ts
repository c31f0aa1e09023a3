/**
 * Metadata exchange, `ut_metadata` of BEP 9: peers hand each other the info dictionary in pieces of 16 KiB.
 *
 * Bytes in, values out, no timers: whoever drives a `MetadataFetch` also times its peers out with `drop`.
 */

import { createHash } from 'node:crypto';
import { decodePrefix, type Encodable, encode, isDict } from '../bencode.js';
import { MAX_METADATA_BYTES } from './extension-handshake.js';

/** Name of the extension in the handshake. */
export const UT_METADATA = 'ut_metadata';
/** All pieces but the last have this length. */
export const METADATA_PIECE_BYTES = 16 * 1024;

const TYPES = ['request', 'data', 'reject'] as const;
const MAX_DICT_BYTES = 1024;
/** Longest message: a piece behind its dictionary. */
export const MAX_METADATA_MESSAGE_BYTES = METADATA_PIECE_BYTES + MAX_DICT_BYTES;

export type MetadataMessage =
  | { readonly type: 'request'; readonly piece: number }
  | { readonly type: 'reject'; readonly piece: number }
  | {
      readonly type: 'data';
      readonly piece: number;
      readonly totalBytes: number;
      readonly payload: Uint8Array;
    }
  /** A type that BEP 9 does not define: to be ignored. */
  | { readonly type: 'unknown' };

/** How many pieces metadata of a length has. */
export function metadataPieceCount(totalBytes: number): number {
  return Math.ceil(totalBytes / METADATA_PIECE_BYTES);
}

export function encodeMetadataMessage(message: Exclude<MetadataMessage, { type: 'unknown' }>): Uint8Array {
  const dict = new Map<string, Encodable>([
    ['msg_type', TYPES.indexOf(message.type)],
    ['piece', message.piece],
  ]);
  if (message.type !== 'data') return encode(dict);
  dict.set('total_size', message.totalBytes);
  return Buffer.concat([encode(dict), message.payload]);
}

/** Reads a message, or gives `null` when it is malformed: the peer can be closed for it. */
export function parseMetadataMessage(bytes: Uint8Array): MetadataMessage | null {
  let prefix: ReturnType<typeof decodePrefix>;
  try {
    prefix = decodePrefix(bytes, { maxBytes: MAX_DICT_BYTES, maxDepth: 3, maxTokens: 64 });
  } catch {
    return null;
  }
  const { value: dict, endOffset } = prefix;
  if (!isDict(dict)) return null;
  const code = dict.get('msg_type');
  const piece = dict.get('piece');
  if (typeof code !== 'number') return null;
  const type = TYPES[code];
  if (type === undefined) return { type: 'unknown' };
  if (typeof piece !== 'number' || piece < 0 || piece >= metadataPieceCount(MAX_METADATA_BYTES)) return null;
  if (type !== 'data') return endOffset === bytes.length ? { type, piece } : null;
  const totalBytes = dict.get('total_size');
  const payload = bytes.subarray(endOffset);
  if (typeof totalBytes !== 'number' || totalBytes < 1 || totalBytes > MAX_METADATA_BYTES) return null;
  if (payload.length !== metadataPieceBytes(totalBytes, piece)) return null;
  return { type, piece, totalBytes, payload };
}

function metadataPieceBytes(totalBytes: number, piece: number): number {
  return Math.max(0, Math.min(METADATA_PIECE_BYTES, totalBytes - piece * METADATA_PIECE_BYTES));
}

/**
 * Answers requests for one torrent's metadata. Each peer gets the whole of it at most `roundsPerPeer` times; what
 * it asks beyond is rejected, so that small requests cannot buy a stream of large answers.
 */
export class MetadataServer {
  private readonly infoBytes: Uint8Array;
  private readonly allowance: number;
  private readonly served = new Map<number, number>();

  constructor(infoBytes: Uint8Array, options: { roundsPerPeer?: number } = {}) {
    this.infoBytes = infoBytes;
    this.allowance = metadataPieceCount(infoBytes.length) * (options.roundsPerPeer ?? 2);
  }

  /** The message to send back to a peer (any number that stays its own) that asked for a piece. */
  answer(peer: number, piece: number): Uint8Array {
    const served = this.served.get(peer) ?? 0;
    const totalBytes = this.infoBytes.length;
    if (piece < 0 || piece >= metadataPieceCount(totalBytes) || served >= this.allowance) {
      return encodeMetadataMessage({ type: 'reject', piece });
    }
    this.served.set(peer, served + 1);
    const first = piece * METADATA_PIECE_BYTES;
    const payload = this.infoBytes.subarray(first, first + METADATA_PIECE_BYTES);
    return encodeMetadataMessage({ type: 'data', piece, totalBytes, payload });
  }

  /** Forgets a peer that is gone. */
  forget(peer: number): void {
    this.served.delete(peer);
  }
}

/** What came of a peer's message. */
export type MetadataOutcome =
  /** Ask this peer for these pieces next; may be empty while others are on their way. */
  | { readonly outcome: 'ask'; readonly pieces: readonly number[] }
  /** The metadata is whole and has the infohash. All other assemblies are dropped. */
  | { readonly outcome: 'done'; readonly infoBytes: Uint8Array }
  /** The peer sent metadata that does not have the infohash, or broke the rules: it alone is to blame. */
  | { readonly outcome: 'bad'; readonly reason: string }
  /** The peer will not give it; try another. */
  | { readonly outcome: 'refused' }
  /** Nothing that was waited for; no blame: it may have crossed a `drop`. */
  | { readonly outcome: 'ignored' };

interface Assembly {
  readonly bytes: Uint8Array;
  /** Pieces not yet asked for begin here. */
  nextPiece: number;
  readonly asked: Set<number>;
  missing: number;
}

export interface MetadataFetchOptions {
  infoHashV1?: Uint8Array | null;
  infoHashV2?: Uint8Array | null;
  /** Peers that are asked at the same time; each costs at most 4 MiB of memory. */
  assemblies?: number;
  /** Pieces asked of one peer at a time. */
  requestsPerPeer?: number;
}

/**
 * Fetches metadata known by its infohash. Every peer's pieces go into an assembly of that peer's own: metadata is
 * small, the few bytes fetched twice buy exact blame, and one liar can neither spoil nor delay what others send.
 */
export class MetadataFetch {
  private readonly assemblies = new Map<number, Assembly>();
  private readonly infoHashV1: Uint8Array | null;
  private readonly infoHashV2: Uint8Array | null;
  private readonly maxAssemblies: number;
  private readonly requestsPerPeer: number;
  private done = false;

  constructor(options: MetadataFetchOptions) {
    this.infoHashV1 = options.infoHashV1 ?? null;
    this.infoHashV2 = options.infoHashV2 ?? null;
    this.maxAssemblies = options.assemblies ?? 3;
    this.requestsPerPeer = options.requestsPerPeer ?? 4;
    if (this.infoHashV1 === null && this.infoHashV2 === null)
      throw new TypeError('"options" has no infohash');
  }

  /**
   * Begins with a peer that says (`metadata_size`) how long the metadata is. Gives the pieces to ask it for: none
   * when it is asked already, enough others are, or the metadata is in hand.
   */
  begin(peer: number, totalBytes: number): readonly number[] {
    if (!Number.isInteger(totalBytes) || totalBytes < 1 || totalBytes > MAX_METADATA_BYTES) return [];
    if (this.done || this.assemblies.has(peer) || this.assemblies.size >= this.maxAssemblies) return [];
    const assembly: Assembly = {
      bytes: new Uint8Array(totalBytes),
      nextPiece: 0,
      asked: new Set(),
      missing: metadataPieceCount(totalBytes),
    };
    this.assemblies.set(peer, assembly);
    return this.ask(assembly);
  }

  /** Takes a peer's `data` or `reject`. */
  receive(peer: number, message: MetadataMessage): MetadataOutcome {
    const assembly = this.assemblies.get(peer);
    if (assembly === undefined || message.type === 'request' || message.type === 'unknown') {
      return { outcome: 'ignored' };
    }
    if (!assembly.asked.has(message.piece)) {
      this.drop(peer);
      return { outcome: 'bad', reason: 'a metadata piece that was not asked for' };
    }
    if (message.type === 'reject') {
      this.drop(peer);
      return { outcome: 'refused' };
    }
    if (message.totalBytes !== assembly.bytes.length) {
      this.drop(peer);
      return { outcome: 'bad', reason: 'two different metadata sizes' };
    }
    assembly.asked.delete(message.piece);
    assembly.bytes.set(message.payload, message.piece * METADATA_PIECE_BYTES);
    assembly.missing -= 1;
    if (assembly.missing > 0) return { outcome: 'ask', pieces: this.ask(assembly) };
    this.drop(peer);
    if (!this.matches(assembly.bytes)) return { outcome: 'bad', reason: 'metadata without the infohash' };
    this.done = true;
    this.assemblies.clear();
    return { outcome: 'done', infoBytes: assembly.bytes };
  }

  /** Forgets a peer that is gone or too slow; another can take its place. */
  drop(peer: number): void {
    this.assemblies.delete(peer);
  }

  /** Whether one more peer would be asked. */
  wantsPeer(): boolean {
    return !this.done && this.assemblies.size < this.maxAssemblies;
  }

  private ask(assembly: Assembly): number[] {
    const count = metadataPieceCount(assembly.bytes.length);
    const pieces: number[] = [];
    while (assembly.nextPiece < count && assembly.asked.size < this.requestsPerPeer) {
      assembly.asked.add(assembly.nextPiece);
      pieces.push(assembly.nextPiece);
      assembly.nextPiece += 1;
    }
    return pieces;
  }

  /** Where both infohashes are known both must fit, or a hybrid could be two different torrents. */
  private matches(bytes: Uint8Array): boolean {
    const hash = (algorithm: string) => createHash(algorithm).update(bytes).digest();
    return (
      (this.infoHashV1 === null || hash('sha1').equals(this.infoHashV1)) &&
      (this.infoHashV2 === null || hash('sha256').equals(this.infoHashV2))
    );
  }
}
