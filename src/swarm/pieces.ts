/**
 * What there is to do once a torrent's pieces are known: what each peer has of them, which are wanted, and who is
 * asked for what. The swarm tells it of peers and verdicts; STATE.md has the states of a piece.
 */
import { ALLOWED_FAST_PIECES, allowedFastSet } from './allowed-fast.js';
import { identity } from './bans.js';
import type { Geometry } from './geometry.js';
import { HashExchange } from './hash-exchange.js';
import { HaveMap } from './have-map.js';
import type { LinkEvent, LinkHost } from './link-host.js';
import type { Peer } from './peer.js';
import { Picker } from './picker.js';
import { Pipeline } from './pipeline.js';
import type { SwarmContent, SwarmOptions } from './swarm-options.js';

export interface PiecesOptions extends Pick<SwarmOptions, 'order' | 'window' | 'wanted' | 'pipeline'> {
  readonly host: LinkHost;
  readonly torrent: number;
  readonly content: SwarmContent;
  readonly geometry: Geometry;
  readonly peers: ReadonlyMap<number, Peer>;
  readonly random: () => number;
}

/** More addresses wait for their turn like anybody else. */
const MOST_STARTED_OFF = 4096;

export class Pieces {
  readonly content: SwarmContent;
  readonly picker: Picker;
  readonly pipeline: Pipeline;
  readonly hashes: HashExchange;
  /** Addresses that were given pieces to begin with. */
  readonly #startedOff = new Set<string>();
  readonly #host: LinkHost;
  readonly #torrent: number;
  readonly #peers: ReadonlyMap<number, Peer>;

  constructor(options: PiecesOptions) {
    const { host, content, geometry, peers, order, window, random } = options;
    this.#host = host;
    this.#torrent = options.torrent;
    this.#peers = peers;
    this.content = content;
    const had = content.store.servable();
    const missing = content.store.missingHashes?.();
    this.picker = new Picker({
      geometry,
      had,
      random,
      ...(order === undefined ? {} : { order }),
      ...(window === undefined ? {} : { window }),
      ...(missing?.needed ? { held: new HaveMap(missing.pieces) } : {}),
    });
    for (const { first, end, priority } of options.wanted ?? [{ first: 0, end: geometry.pieceCount }]) {
      this.picker.want(first, end, priority);
    }
    this.pipeline = new Pipeline(host, this.picker, peers, options.pipeline);
    this.hashes = new HashExchange({
      host,
      peers,
      store: content.store,
      pieceCount: geometry.pieceCount,
      known: (first, end) => this.picker.unhold(first, end),
    });
  }

  get pieceCount(): number {
    return this.picker.geometry.pieceCount;
  }

  /** Bytes of the pieces that we do not have. */
  get leftBytes(): number {
    const { geometry, hadCount } = this.picker;
    const last = geometry.pieceCount - 1;
    const missing = geometry.pieceCount - hadCount;
    const shorter = this.picker.has(last) ? 0 : geometry.pieceLengthBytes - geometry.pieceBytes(last);
    return missing === 0 ? 0 : missing * geometry.pieceLengthBytes - shorter;
  }

  get lengthBytes(): number {
    return this.picker.geometry.lengthBytes;
  }

  get isDone(): boolean {
    return this.picker.wantedLeft === 0;
  }

  /** A peer that came before the pieces were known; false when it claims pieces that are none. */
  met(peer: Peer): boolean {
    this.picker.availability.add(peer.have);
    return peer.have.fits(this.pieceCount);
  }

  ended(peer: Peer, nowMs: number): void {
    this.pipeline.release(peer);
    this.hashes.ended(peer, nowMs);
    this.picker.availability.remove(peer.have);
  }

  /** Gives a peer that has next to nothing pieces to begin with, before it is its turn (BEP 6): each address once. */
  startOff(peer: Peer, infoHash: Uint8Array): void {
    // A small part of the torrent, or nobody would have to wait for a turn.
    const count = Math.min(ALLOWED_FAST_PIECES, this.pieceCount >> 4);
    if (count === 0 || !peer.mayServe || peer.have.all || peer.have.count >= count) return;
    const who = identity(peer.address);
    if (this.#startedOff.has(who) || this.#startedOff.size >= MOST_STARTED_OFF) return;
    this.#startedOff.add(who);
    this.#host.allowFast(peer.link, allowedFastSet(infoHash, peer.address.host, this.pieceCount, count));
  }

  /** We are interested exactly while the peer has a wanted piece. */
  reconsider(peer: Peer): void {
    peer.setInterested(this.picker.wantsFrom(peer.have));
  }

  reconsiderAll(): void {
    for (const peer of this.#peers.values()) this.reconsider(peer);
  }

  feed(nowMs: number): void {
    for (const peer of this.#peers.values()) this.pipeline.feed(peer, nowMs);
  }

  /** One more piece is had. */
  had(piece: number): void {
    this.pipeline.revoke(this.picker.done(piece));
    this.#host.announceHave(this.#torrent, piece);
    for (const peer of this.#peers.values())
      if (peer.interested && peer.have.has(piece)) this.reconsider(peer);
  }

  /** Takes over what the store has: pieces that are servable now, or no longer, count so. Returns those lost. */
  compare(): number[] {
    const servable = new HaveMap(this.content.store.servable());
    const lost: number[] = [];
    for (let piece = 0; piece < this.pieceCount; piece++) {
      const isHad = this.picker.has(piece);
      if (servable.has(piece) && !isHad) this.had(piece);
      if (servable.has(piece) || !isHad) continue;
      this.picker.lose(piece);
      lost.push(piece);
    }
    return lost;
  }
}

/** Takes over what a peer says it has, also before the pieces are known; false when it claims pieces that are none. */
export function takeHaves(peer: Peer, event: LinkEvent, pieces: Pieces | null): boolean {
  const { have } = peer;
  const availability = pieces?.picker.availability;
  const haveAll = event.haveAll && !have.all;
  if (!haveAll && !event.bitmap && !event.haves) return true;
  if (haveAll || event.bitmap) {
    availability?.remove(have);
    if (event.bitmap) have.replace(event.bitmap);
    if (event.haveAll || (pieces && have.complete(pieces.pieceCount) && have.fits(pieces.pieceCount)))
      have.setAll();
    availability?.add(have);
  }
  let isNews = haveAll || event.bitmap !== undefined;
  for (const piece of event.haves ?? []) {
    if (!have.add(piece) || !pieces) continue;
    pieces.picker.availability.addPiece(piece);
    // One more piece cannot end our interest, and begins it only when we want it.
    isNews ||= !peer.interested && pieces.picker.wants(piece);
  }
  if (!pieces) return true;
  if (!have.fits(pieces.pieceCount)) return false;
  if (peer.known) peer.known.seed = have.complete(pieces.pieceCount);
  if (isNews) pieces.reconsider(peer);
  return true;
}
