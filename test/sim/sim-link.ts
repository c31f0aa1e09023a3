/** One end of a simulated connection: what `crates/wire`'s link does, over messages instead of bytes. */
import { BLOCK_BYTES } from '../../src/swarm/geometry.js';
import { HaveMap } from '../../src/swarm/have-map.js';
import type { ExtensionMessage, HashAnswer, HashesOf, Hello, LinkEvent } from '../../src/swarm/link-host.js';
import type { SimHost, SimTorrent } from './sim-host.js';
import type { SimRateClass } from './sim-rates.js';

export type SimMessage =
  | { type: 'bitmap'; bits: Uint8Array }
  | { type: 'haveAll' }
  | { type: 'have' | 'suggest' | 'allowedFast'; piece: number }
  | { type: 'choke' | 'unchoke' | 'interested' | 'uninterested' }
  | { type: 'request' | 'cancel' | 'reject'; piece: number; block: number }
  | { type: 'block'; piece: number; block: number; good: boolean }
  | { type: 'extension'; id: number; payload: Uint8Array }
  | { type: 'hashRequest' | 'hashReject'; piece: number; of: HashesOf }
  | { type: 'hashes'; piece: number; of: HashesOf; good: boolean }
  | { type: 'close' };

/** The end of a link to an HTTP server. */
export interface SimWebEnd {
  receive(message: SimMessage): void;
}

/** A range that was asked for and the blocks of it that are still to come. */
interface Range {
  readonly piece: number;
  readonly first: number;
  readonly end: number;
  readonly left: Set<number>;
  readonly rejected: Set<number>;
}

/** Requests on their way at a time; more ranges wait. */
const REQUESTS_IN_FLIGHT = 128;

/** Hash requests that a peer may leave unanswered. */
const HASH_REQUESTS = 8;

export class SimLink {
  readonly id: number;
  readonly host: string;
  readonly port: number;
  readonly #owner: SimHost;
  /** Of its host: it may go when each of them lets it. */
  rateClasses: readonly SimRateClass[] = [];
  torrent: SimTorrent | null = null;
  other: SimLink | null = null;
  #webEnd: SimWebEnd | null = null;
  state: 'new' | 'open' | 'closed' = 'new';
  choking = true;
  peerChoking = true;
  peerInterested = false;
  encrypted = false;
  transport: 'tcp' | 'http' = 'tcp';
  /** Requests of the peer, to be served in turn. */
  readonly wantedByPeer: { piece: number; block: number }[] = [];
  uploadedBytes = 0;
  /** The pieces that the peer is shown, when it is not all. */
  shown: Set<number> | null = null;
  /** Requests left of the pieces that it gets though we choke it. */
  readonly #granted = new Map<number, number>();
  readonly #allowedFast = new Set<number>();
  readonly #suggested = new Set<number>();
  #newlyAllowed: number[] = [];
  #hashAnswers: HashAnswer[] = [];
  #dhtPort: number | undefined;
  #hashRequests = 0;
  #newlySuggested: number[] = [];
  #downloadedBytes = 0;
  #ranges: Range[] = [];
  readonly #inFlight = new Set<string>();
  #lastBlockMs = 0;
  #closeReason: string | undefined;
  #retryAfterMs: number | undefined;
  #hello: { peerId: Uint8Array; infoHash: Uint8Array; reserved: Uint8Array } | null = null;
  #haveAll = false;
  #peerHave = new HaveMap();
  #bitmap: Uint8Array | undefined;
  #haves: number[] = [];
  #finished: number[] = [];
  #rejected: number[] = [];
  #messages: ExtensionMessage[] = [];
  #arrivesAtMs = 0;

  constructor(owner: SimHost, id: number, host: string, port: number) {
    this.#owner = owner;
    this.id = id;
    this.host = host;
    this.port = port;
  }

  /** When our rates and the peer's let the next block go. */
  get nextBlockMs(): number {
    const ours = this.rateClasses.map((each) => each.nextMs('upload'));
    return Math.max(0, ...ours, ...(this.other?.rateClasses ?? []).map((each) => each.nextMs('download')));
  }

  /** A block goes to the peer now. */
  charge(): void {
    const { nowMs } = this.#owner.network.clock;
    for (const each of this.rateClasses) each.charge('upload', nowMs);
    for (const each of this.other?.rateClasses ?? []) each.charge('download', nowMs);
  }

  /** The host looks again at what this link may send. */
  serve(): void {
    this.#owner.serve();
  }

  /** Both handshakes are through. */
  open(torrent: SimTorrent, peer: Hello, ours: Hello): void {
    this.torrent = torrent;
    this.state = 'open';
    this.#hello = { peerId: peer.peerId, infoHash: peer.infoHash, reserved: reservedBytes(peer) };
    if (ours.hideHave) this.shown = new Set();
    if (ours.dhtPort !== undefined) this.#dhtPort = peer.dhtPort;
    this.#changed();
    this.sendBitmap();
    this.send({ type: 'extension', id: 0, payload: ours.extensionHandshake });
  }

  /** The web seed is dialled: it has everything and never chokes. */
  openWebSeed(server: SimWebEnd): void {
    if (this.state !== 'new') return;
    this.state = 'open';
    this.#webEnd = server;
    this.transport = 'http';
    this.#hello = {
      peerId: new TextEncoder().encode(`-BSWEB1-${String(this.id).padStart(12, '0')}`),
      infoHash: new Uint8Array(20),
      reserved: new Uint8Array(8),
    };
    this.peerChoking = false;
    this.#haveAll = true;
    this.#changed();
  }

  /** HAVE ALL when we have everything, as BEP 6 peers do. */
  sendBitmap(): void {
    const store = this.torrent?.store;
    if (!store) return;
    if (this.shown) this.send({ type: 'bitmap', bits: new Uint8Array(store.servable().length) });
    else this.send(store.complete ? { type: 'haveAll' } : { type: 'bitmap', bits: store.servable() });
  }

  show(piece: number): void {
    this.shown?.add(piece);
    this.send({ type: 'have', piece });
  }

  allowFast(pieces: readonly number[]): void {
    const geometry = this.torrent?.store?.geometry;
    for (const piece of pieces) {
      if (!geometry || piece >= geometry.pieceCount || this.#granted.has(piece)) continue;
      this.#granted.set(piece, geometry.blockCount(piece));
      this.send({ type: 'allowedFast', piece });
    }
  }

  /** What waits is taken back, but for what was allowed. */
  choke(choked: boolean): void {
    this.choking = choked;
    if (!choked) return;
    const kept = this.wantedByPeer.filter(({ piece }) => this.#granted.has(piece));
    this.wantedByPeer.splice(0, this.wantedByPeer.length, ...kept);
  }

  /** Whether the peer may have a block of the piece. */
  #serves(piece: number): boolean {
    if (this.shown && !this.shown.has(piece)) return false;
    if (!this.choking) return true;
    const left = this.#granted.get(piece) ?? 0;
    this.#granted.set(piece, left - 1);
    return left > 0;
  }

  /** The other end answered our handshake. */
  dialled(reply: Hello): void {
    this.#owner.replied(this, reply);
  }

  close(reason: string): void {
    if (this.state === 'closed') return;
    if (this.state === 'open') this.send({ type: 'close' });
    this.ended(reason);
  }

  ended(reason: string, retryAfterMs?: number): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.#closeReason = reason;
    this.#retryAfterMs = retryAfterMs;
    this.#ranges = [];
    this.#inFlight.clear();
    this.wantedByPeer.length = 0;
    this.#changed();
  }

  /** In order, after the latency; lost when the network between the two was cut. */
  send(message: SimMessage): void {
    const { network } = this.#owner;
    const { clock } = network;
    const to = this.other;
    const webEnd = this.#webEnd;
    if (webEnd) clock.after(network.latencyMs, () => webEnd.receive(message));
    if (!to || this.#owner.isDead) return;
    this.#arrivesAtMs = Math.max(this.#arrivesAtMs, clock.nowMs + network.delayMs(this.#owner, to.#owner));
    if (message.type === 'block') this.#arrivesAtMs = to.#takesUntilMs(this.#arrivesAtMs);
    clock.after(this.#arrivesAtMs - clock.nowMs, () => to.receive(message));
  }

  /** When a block that arrives now has come through its line. */
  #takesUntilMs(arrivesAtMs: number): number {
    const { downBytesPerSecond } = this.#owner.options;
    if (downBytesPerSecond === undefined) return arrivesAtMs;
    const host = this.#owner;
    host.downFreeMs = Math.max(host.downFreeMs, arrivesAtMs) + (BLOCK_BYTES * 1000) / downBytesPerSecond;
    return host.downFreeMs;
  }

  /** The peer lost a piece. */
  forgetHave(piece: number): void {
    const pieces = this.torrent?.store?.geometry.pieceCount ?? 0;
    if (!this.#peerHave.has(piece) || piece >= pieces) return;
    const bits = new Uint8Array(Math.ceil(pieces / 8));
    for (let each = 0; each < pieces; each++) {
      if (each !== piece && this.#peerHave.has(each))
        bits[each >> 3] = (bits[each >> 3] ?? 0) | (0x80 >> (each & 7));
    }
    this.#peerHave = new HaveMap(bits);
    this.#haveAll = false;
    this.#haves = [];
    this.#bitmap = bits;
    this.#changed();
  }

  fetch(piece: number, first: number, end: number): boolean {
    const store = this.torrent?.store;
    if (this.state !== 'open' || !store?.canJudge(piece)) return false;
    const left = new Set<number>();
    for (let block = first; block < end; block++) if (!store.hasBlock(piece, block)) left.add(block);
    if (left.size === 0) this.#finished.push(piece, first, end);
    else if (this.peerChoking && !this.#allowedFast.has(piece)) this.#rejected.push(piece, first, end);
    else this.#ranges.push({ piece, first, end, left, rejected: new Set() });
    if (this.#inFlight.size === 0) this.#lastBlockMs = this.#owner.network.clock.nowMs;
    this.#ask();
    this.#changed();
    return true;
  }

  cancel(piece: number, first: number, end: number): void {
    const isIt = (range: Range) => range.piece === piece && range.first === first && range.end === end;
    for (const range of this.#ranges.filter(isIt)) {
      for (const block of range.left) {
        if (this.#inFlight.delete(`${piece}/${block}`)) this.send({ type: 'cancel', piece, block });
      }
    }
    this.#ranges = this.#ranges.filter((range) => !isIt(range));
    this.#ask();
    this.#changed();
  }

  receive(message: SimMessage): void {
    if (this.state !== 'open' || this.#owner.isDead) return;
    switch (message.type) {
      case 'bitmap':
        this.#bitmap = message.bits;
        this.#peerHave = new HaveMap(message.bits);
        break;
      case 'haveAll':
        this.#haveAll = true;
        this.#peerHave.setAll();
        break;
      case 'have':
        this.#haves.push(message.piece);
        this.#peerHave.add(message.piece);
        break;
      case 'choke':
        this.peerChoking = true;
        for (const range of this.#ranges) {
          if (!this.#allowedFast.has(range.piece)) this.#reject(range, [...range.left]);
        }
        this.#settle();
        break;
      case 'unchoke':
        this.peerChoking = false;
        break;
      case 'interested':
      case 'uninterested':
        this.peerInterested = message.type === 'interested';
        break;
      case 'request':
        if (this.#serves(message.piece)) this.wantedByPeer.push(message);
        else this.send({ ...message, type: 'reject' });
        this.#owner.serve();
        return;
      case 'suggest':
        if (!this.#suggested.has(message.piece)) this.#newlySuggested.push(message.piece);
        this.#suggested.add(message.piece);
        break;
      case 'allowedFast':
        if (!this.#allowedFast.has(message.piece)) this.#newlyAllowed.push(message.piece);
        this.#allowedFast.add(message.piece);
        break;
      case 'cancel': {
        const at = this.wantedByPeer.findIndex((w) => w.piece === message.piece && w.block === message.block);
        if (at >= 0) this.wantedByPeer.splice(at, 1);
        return;
      }
      case 'reject':
        for (const range of this.#ranges) {
          if (range.piece === message.piece && range.left.has(message.block))
            this.#reject(range, [message.block]);
        }
        this.#settle();
        break;
      case 'block':
        this.#onBlock(message);
        break;
      case 'extension':
        this.#messages.push({ id: message.id, payload: message.payload });
        break;
      case 'hashRequest': {
        const { hashes } = this.#owner.options;
        if (hashes === 'ignores' || this.#owner.silent) return;
        const { piece, of } = message;
        const gives = hashes !== 'refuses' && (this.torrent?.store?.givesHashes(piece, of) ?? false);
        this.send(
          gives ? { type: 'hashes', piece, of, good: hashes !== 'lies' } : { type: 'hashReject', piece, of },
        );
        return;
      }
      case 'hashReject':
        this.#hashRequests--;
        this.#hashAnswers.push({
          ...message,
          outcome: 'refused',
          firstPiece: message.piece,
          endPiece: message.piece,
        });
        break;
      case 'hashes':
        this.#onHashes(message);
        break;
      case 'close':
        this.ended('reset');
        break;
    }
    this.#changed();
  }

  requestHashes(piece: number, of: HashesOf): number {
    const range = this.state === 'open' ? this.torrent?.store?.hashRange(piece, of) : null;
    if (!range || this.#hashRequests >= HASH_REQUESTS) return 0;
    this.#hashRequests++;
    this.send({ type: 'hashRequest', piece, of });
    return range.end;
  }

  #onHashes({ piece, of, good }: { piece: number; of: HashesOf; good: boolean }): void {
    const { torrent } = this;
    this.#hashRequests--;
    // Known meanwhile, from somebody else: then it tells of this piece only.
    const range = torrent?.store?.hashRange(piece, of) ?? { first: piece, end: piece + 1 };
    const outcome = good ? 'good' : 'wrong';
    this.#hashAnswers.push({ piece, of, outcome, firstPiece: range.first, endPiece: range.end });
    if (!good) this.close('bad-hashes');
    else if (of === 'pieces') torrent?.store?.learnHashes(range);
    const verdict = good && of === 'leaves' && torrent ? torrent.store?.blame(torrent.id, piece) : null;
    if (verdict) this.#owner.tell(verdict);
  }

  /** What changed since the last call. */
  takeEvent(): LinkEvent {
    const hello = this.#hello;
    const sinceBlockMs = this.#inFlight.size > 0 ? this.#owner.network.clock.nowMs - this.#lastBlockMs : 0;
    let queuedBlocks = 0;
    for (const range of this.#ranges) queuedBlocks += range.left.size;
    const event: LinkEvent = {
      link: this.id,
      torrent: this.torrent?.id ?? -1,
      state: this.state === 'closed' ? 'closed' : 'open',
      host: this.host,
      port: this.port,
      closeReason: this.#closeReason,
      retryAfterMs: this.#retryAfterMs,
      ...(hello ? { ...hello, encrypted: this.encrypted, transport: this.transport } : {}),
      peerChoking: this.peerChoking,
      peerInterested: this.peerInterested,
      haveAll: this.#haveAll,
      bitmap: this.#bitmap,
      haves: this.#haves,
      finished: this.#finished,
      rejected: this.#rejected,
      suggested: this.#newlySuggested,
      allowedFast: this.#newlyAllowed,
      ...(this.#hashAnswers.length > 0 ? { hashAnswers: this.#hashAnswers } : {}),
      dhtPort: this.#dhtPort,
      queuedBlocks,
      downloadedBytes: this.#downloadedBytes,
      uploadedBytes: this.uploadedBytes,
      sinceBlockMs,
      messages: this.#messages,
    };
    this.#hello = null;
    this.#bitmap = undefined;
    this.#haves = [];
    this.#finished = [];
    this.#rejected = [];
    this.#newlySuggested = [];
    this.#newlyAllowed = [];
    this.#hashAnswers = [];
    this.#dhtPort = undefined;
    this.#messages = [];
    return event;
  }

  #onBlock(message: { piece: number; block: number; good: boolean }): void {
    const { piece, block } = message;
    const { torrent } = this;
    if (!this.#inFlight.delete(`${piece}/${block}`) || !torrent?.store) return;
    this.#downloadedBytes += BLOCK_BYTES;
    this.#lastBlockMs = this.#owner.network.clock.nowMs;
    if (torrent.store.write(piece, block, this.id, message.good)) this.#owner.judge(torrent, piece);
    for (const range of this.#ranges) if (range.piece === piece) range.left.delete(block);
    this.#settle();
    this.#ask();
  }

  #ask(): void {
    if (this.state !== 'open') return;
    for (const { piece, left } of this.#ranges) {
      if (this.peerChoking && !this.#allowedFast.has(piece)) continue;
      for (const block of left) {
        if (this.#inFlight.size >= REQUESTS_IN_FLIGHT) return;
        if (this.#inFlight.has(`${piece}/${block}`)) continue;
        this.#inFlight.add(`${piece}/${block}`);
        this.send({ type: 'request', piece, block });
      }
    }
  }

  #reject(range: Range, blocks: readonly number[]): void {
    for (const block of blocks) {
      range.left.delete(block);
      range.rejected.add(block);
      this.#inFlight.delete(`${range.piece}/${block}`);
    }
  }

  /** Tells of ranges that nothing more is to come of, in parts where their blocks fared differently. */
  #settle(): void {
    for (const { piece, first, end, left, rejected } of this.#ranges) {
      if (left.size > 0) continue;
      for (let block = first, start = first; block < end; block++) {
        const isRejected = rejected.has(block);
        if (block + 1 < end && rejected.has(block + 1) === isRejected) continue;
        (isRejected ? this.#rejected : this.#finished).push(piece, start, block + 1);
        start = block + 1;
      }
    }
    this.#ranges = this.#ranges.filter((range) => range.left.size > 0);
  }

  #changed(): void {
    this.#owner.changed(this);
  }
}

/** The handshake's reserved bytes: BEP 52's bit, the others play no part here. */
export function reservedBytes({ v2, dhtPort }: Hello): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, 0, 0, 0, (v2 ? 0x10 : 0) | (dhtPort === undefined ? 0 : 0x01));
}
