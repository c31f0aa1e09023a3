/**
 * Keeps every peer that lets us download supplied with stripes: deep enough that it never idles, shallow enough
 * that a slow one holds little. Takes stripes back from peers that choke, reject, fall silent or leave; blocks
 * that came stay in native memory, so nothing is lost.
 */
import { BLOCK_BYTES, STRIPE_BLOCKS } from './geometry.js';
import type { LinkHost } from './link-host.js';
import type { Stripe } from './open-piece.js';
import type { Peer } from './peer.js';
import type { Picker } from './picker.js';

export interface PipelineOptions {
  /** A peer that owes us blocks and sends none for so long is snubbed. */
  readonly requestTimeoutMs?: number;
  /** The same for a peer that never sent any. */
  readonly firstRequestTimeoutMs?: number;
  /** How much is queued at a peer, in time at its measured rate. */
  readonly queueMs?: number;
  readonly maxQueuedBlocks?: number;
}

/** A peer that was snubbed so often in a row is let go. */
const MAX_SNUBS = 3;

/** A peer that rejects more requests while it does not choke us is let go (libtorrent's `max_rejects`). */
const MAX_REJECTS = 50;

const SNUB_REST_MS = 60_000;
const REJECT_REST_MS = 2000;

/** Hashing and writing a piece takes longer only when something is broken. */
const VERDICT_MS = 120_000;

export class Pipeline {
  readonly #host: LinkHost;
  readonly #picker: Picker;
  readonly #peers: ReadonlyMap<number, Peer>;
  readonly #requestTimeoutMs: number;
  readonly #firstRequestTimeoutMs: number;
  readonly #queueMs: number;
  readonly #maxQueuedBlocks: number;
  /** Pieces all in hand, and since when. */
  readonly #judgedSinceMs = new Map<number, number>();
  /** Links that could not be asked for more: no memory for another piece. Until a verdict or the next tick. */
  readonly #starved = new Set<number>();

  constructor(
    host: LinkHost,
    picker: Picker,
    peers: ReadonlyMap<number, Peer>,
    options: PipelineOptions = {},
  ) {
    this.#host = host;
    this.#picker = picker;
    this.#peers = peers;
    this.#requestTimeoutMs = options.requestTimeoutMs ?? 60_000;
    this.#firstRequestTimeoutMs = options.firstRequestTimeoutMs ?? 20_000;
    this.#queueMs = options.queueMs ?? 3000;
    this.#maxQueuedBlocks = options.maxQueuedBlocks ?? 1024;
  }

  /** Tops up a peer that runs low. */
  feed(peer: Peer, nowMs: number): void {
    if (!peer.isOpen || peer.isClosing || peer.peerChoking || !peer.interested) return;
    if (this.#starved.has(peer.link)) return;
    if (nowMs < peer.restUntilMs) return;
    const depth = this.#depth(peer);
    if (peer.stripes.length > 0 && peer.queuedBlocks > depth / 2) return;
    while (peer.stripes.length === 0 || peer.queuedBlocks + STRIPE_BLOCKS <= depth) {
      // The estimate of what is queued may be low for a moment; what it owes is not.
      if (peer.owedBlocks >= 2 * depth) return;
      const stripe =
        this.#picker.take(peer) ?? (peer.stripes.length === 0 ? this.#picker.takeAgain(peer) : null);
      if (!stripe) return;
      if (!this.#host.fetch(peer.link, stripe.piece, stripe.firstBlock, stripe.endBlock)) {
        this.#picker.release(peer.link, stripe);
        this.#starved.add(peer.link);
        return;
      }
      peer.asked(stripe, nowMs);
    }
  }

  /** Ranges in hand: whoever else was asked for them is told to stop. */
  finished(peer: Peer, ranges: readonly number[], nowMs: number): void {
    for (const [piece, firstBlock, endBlock] of triples(ranges)) {
      // A part of a stripe: the rest was rejected, which frees the stripe; what is in hand is skipped then.
      if (!peer.owes({ piece, firstBlock, endBlock })) continue;
      const others = this.#picker.finish(peer.link, piece, firstBlock);
      if (peer.settled(piece, firstBlock)) peer.rejects = 0;
      for (const link of others) this.#cancel(link, piece, firstBlock);
      if (this.#picker.isJudged(piece) && !this.#judgedSinceMs.has(piece))
        this.#judgedSinceMs.set(piece, nowMs);
    }
  }

  /** The verdict of a piece came, and its memory is free again. */
  decided(piece: number): void {
    this.#judgedSinceMs.delete(piece);
    this.#starved.clear();
  }

  /** Tries again where memory was short, and asks again for pieces whose verdict does not come: what is in hand is skipped, so it costs nothing. */
  tick(nowMs: number): void {
    this.#starved.clear();
    for (const [piece, sinceMs] of this.#judgedSinceMs) {
      if (nowMs - sinceMs < VERDICT_MS) continue;
      this.#judgedSinceMs.delete(piece);
      this.#picker.reopen(piece);
    }
  }

  /** Ranges that will not come; returns whether the peer goes on rejecting what it lets us ask for. */
  rejected(peer: Peer, ranges: readonly number[], nowMs: number): boolean {
    let rejects = 0;
    for (const [piece, firstBlock] of triples(ranges)) {
      const stripe = peer.settled(piece, firstBlock);
      if (!stripe) continue;
      this.#picker.release(peer.link, stripe);
      rejects++;
    }
    if (rejects === 0 || peer.peerChoking) return false;
    peer.rejects += rejects;
    peer.restUntilMs = Math.max(peer.restUntilMs, nowMs + REJECT_REST_MS);
    this.#picker.disown(peer.link);
    return peer.rejects > MAX_REJECTS;
  }

  /** Takes everything back from a peer. */
  release(peer: Peer): void {
    for (const stripe of peer.stripes.splice(0)) {
      this.#picker.release(peer.link, stripe);
      this.#host.cancel(peer.link, stripe.piece, stripe.firstBlock, stripe.endBlock);
    }
    this.#picker.disown(peer.link);
  }

  /** Cancels what is still asked of peers although its piece is decided. */
  revoke(taken: readonly { link: number; stripe: Stripe }[]): void {
    for (const { link, stripe } of taken) this.#cancel(link, stripe.piece, stripe.firstBlock);
  }

  /** Snubs a silent peer; returns whether it was silent too often. */
  checkSilence(peer: Peer, nowMs: number): boolean {
    if (peer.stripes.length === 0) return false;
    const limitMs = peer.downloadedBytes > 0 ? this.#requestTimeoutMs : this.#firstRequestTimeoutMs;
    if (nowMs - peer.lastBlockMs < limitMs) return false;
    this.release(peer);
    peer.snubbed = true;
    peer.snubs++;
    peer.restUntilMs = nowMs + SNUB_REST_MS * peer.snubs;
    return peer.snubs >= MAX_SNUBS;
  }

  /** Blocks to keep queued: a few seconds at its rate, within what it is willing to queue. */
  #depth(peer: Peer): number {
    if (peer.snubbed) return STRIPE_BLOCKS;
    const wanted = Math.ceil((peer.downloadRate * this.#queueMs) / 1000 / BLOCK_BYTES);
    return Math.min(Math.max(wanted, 2 * STRIPE_BLOCKS), this.#maxQueuedBlocks, peer.requestQueue);
  }

  #cancel(link: number, piece: number, firstBlock: number): void {
    const stripe = this.#peers.get(link)?.settled(piece, firstBlock);
    if (stripe) this.#host.cancel(link, piece, stripe.firstBlock, stripe.endBlock);
  }
}

function* triples(flat: readonly number[]): Generator<[piece: number, firstBlock: number, endBlock: number]> {
  for (let at = 0; at + 2 < flat.length; at += 3) yield [flat[at] ?? 0, flat[at + 1] ?? 0, flat[at + 2] ?? 0];
}
