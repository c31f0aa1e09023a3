/**
 * Whom to ask for v2 hashes (BEP 52): those of pieces, when the torrent came without its piece layers (magnet links), and
 * those of a bad piece's blocks, which tell who spoiled it. The byte mover knows the trees and proves the answers.
 */
import { HaveMap } from './have-map.js';
import type { HashAnswer, HashesOf, LinkHost, PieceStore } from './link-host.js';
import type { Peer } from './peer.js';

export interface HashExchangeOptions {
  readonly host: LinkHost;
  readonly store: PieceStore;
  readonly pieceCount: number;
  readonly peers: ReadonlyMap<number, Peer>;
  /** Told the pieces `[first, end)` whose own hashes have come. */
  readonly known: (first: number, end: number) => void;
}

/** A request on its way. */
interface Asked {
  readonly link: number;
  readonly piece: number;
  /** The hashes of the pieces up to here are asked for. */
  readonly end: number;
  readonly of: HashesOf;
  readonly sinceMs: number;
}

/** A bad piece, and the links that were asked for its leaves. */
interface Suspicion {
  readonly piece: number;
  readonly asked: Set<number>;
}

const ASKED_OF_PEER = 2;
const ANSWER_MS = 20_000;
/** A peer that refused or was silent is not asked for so long. */
const REST_MS = 30_000;
/** So many peers are asked for the leaves of a piece, then smart ban has to do. */
const LEAF_TRIES = 3;
const MAX_SUSPICIONS = 64;

export class HashExchange {
  readonly #options: HashExchangeOptions;
  /** Pieces whose hash is neither known nor asked for. */
  readonly #unasked: HaveMap;
  readonly #suspicions = new Map<number, Suspicion>();
  #asked: Asked[] = [];
  readonly #restUntilMs = new Map<number, number>();

  constructor(options: HashExchangeOptions) {
    this.#options = options;
    this.#unasked = this.#missing();
  }

  /** A piece was bad, and who spoiled it is not known. */
  suspect(piece: number, nowMs: number): void {
    if (this.#suspicions.size >= MAX_SUSPICIONS || this.#suspicions.has(piece)) return;
    this.#suspicions.set(piece, { piece, asked: new Set() });
    this.ask(nowMs);
  }

  /** It is known now, or the piece is here. */
  settled(piece: number): void {
    this.#suspicions.delete(piece);
  }

  /** Asks whoever can be asked for what is missing. */
  ask(nowMs: number): void {
    if (this.#suspicions.size === 0 && this.#unasked.count === 0) return;
    for (const peer of this.#options.peers.values()) {
      if (!peer.speaksV2 || !peer.isOpen || peer.isClosing) continue;
      if (nowMs < (this.#restUntilMs.get(peer.link) ?? 0)) continue;
      let places = ASKED_OF_PEER - this.#asked.filter(({ link }) => link === peer.link).length;
      while (places-- > 0 && (this.#askLeaves(peer, nowMs) || this.#askPieces(peer, nowMs)));
    }
  }

  /** Takes in answers; returns whether one was made up. */
  onAnswers(peer: Peer, answers: readonly HashAnswer[], nowMs: number): boolean {
    let lied = false;
    for (const { piece, of, outcome, firstPiece, endPiece } of answers) {
      const at = this.#asked.findIndex(
        (each) => each.link === peer.link && each.piece === piece && each.of === of,
      );
      const [asked] = at < 0 ? [] : this.#asked.splice(at, 1);
      if (outcome === 'good') this.#restUntilMs.delete(peer.link);
      else this.#restUntilMs.set(peer.link, nowMs + REST_MS);
      lied ||= outcome === 'wrong';
      if (outcome === 'good' && of === 'leaves') this.settled(piece);
      // Also late, after it was given up.
      else if (outcome === 'good') this.#known(firstPiece, endPiece);
      else if (asked) this.#giveBack(asked);
    }
    this.ask(nowMs);
    return lied;
  }

  tick(nowMs: number): void {
    const late = this.#asked.filter(({ sinceMs }) => nowMs - sinceMs >= ANSWER_MS);
    for (const asked of late) {
      this.#restUntilMs.set(asked.link, nowMs + REST_MS);
      this.#giveBack(asked);
    }
    if (late.length > 0) this.#asked = this.#asked.filter((asked) => !late.includes(asked));
    this.ask(nowMs);
  }

  ended(peer: Peer, nowMs: number): void {
    for (const asked of this.#asked) if (asked.link === peer.link) this.#giveBack(asked);
    this.#asked = this.#asked.filter(({ link }) => link !== peer.link);
    this.#restUntilMs.delete(peer.link);
    this.ask(nowMs);
  }

  #askLeaves(peer: Peer, nowMs: number): boolean {
    for (const { piece, asked } of this.#suspicions.values()) {
      if (asked.size >= LEAF_TRIES || asked.has(peer.link) || !peer.have.has(piece)) continue;
      if (this.#asked.some((each) => each.of === 'leaves' && each.piece === piece)) continue;
      asked.add(peer.link);
      if (this.#request(peer.link, piece, 'leaves', nowMs) > 0) return true;
      // It is more than may be asked for, or the piece's own hash is not known: not from anybody.
      this.#suspicions.delete(piece);
    }
    return false;
  }

  /** The first piece that it has; its neighbours' hashes come along. */
  #askPieces(peer: Peer, nowMs: number): boolean {
    const piece = this.#unasked.next(0, this.#options.pieceCount, peer.have);
    if (piece < 0) return false;
    const end = this.#request(peer.link, piece, 'pieces', nowMs);
    if (end === 0) {
      // Known by now: files that are alike have one tree. Or it has left too much unanswered.
      if (this.#missing().has(piece)) this.#restUntilMs.set(peer.link, nowMs + REST_MS);
      else this.#known(piece, piece + 1);
      return true;
    }
    for (let each = piece; each < end; each++) this.#unasked.remove(each);
    return true;
  }

  #missing(): HaveMap {
    return new HaveMap(this.#options.store.missingHashes?.()?.pieces);
  }

  #known(first: number, end: number): void {
    for (let piece = first; piece < end; piece++) this.#unasked.remove(piece);
    this.#options.known(first, end);
  }

  #request(link: number, piece: number, of: HashesOf, nowMs: number): number {
    const end = this.#options.host.requestHashes(link, piece, of);
    if (end > 0) this.#asked.push({ link, piece, end, of, sinceMs: nowMs });
    return end;
  }

  /** Others may be asked. */
  #giveBack({ piece, end, of }: Asked): void {
    if (of === 'leaves') return;
    const missing = this.#missing();
    for (let at = missing.next(piece, end); at >= 0; at = missing.next(at + 1, end)) this.#unasked.add(at);
  }
}
