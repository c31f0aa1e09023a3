/** One link of one torrent: what the peer has and does, what we asked of it. States: STATE.md. */
import type { PeerAddress } from '../connector.js';
import type { ChokerPeer } from './choker.js';
import { BLOCK_BYTES } from './geometry.js';
import { HaveMap } from './have-map.js';
import type { LinkEvent, LinkHost } from './link-host.js';
import type { Stripe } from './open-piece.js';
import type { KnownPeer } from './peer-book.js';
import type { PickerPeer } from './picker.js';

/** Requests a peer is believed to queue when it does not say (`reqq`, BEP 10): libtorrent's default. */
const DEFAULT_REQUEST_QUEUE = 250;

export class Peer implements PickerPeer, ChokerPeer {
  readonly link: number;
  readonly address: PeerAddress;
  readonly incoming: boolean;
  /** Its entry in the peer book; null for an incoming one whose listening port is not known. */
  known: KnownPeer | null;
  readonly have = new HaveMap();
  /** The handshake is over. */
  isOpen = false;
  /** We closed it; only its end is still to come. */
  isClosing = false;
  openedAtMs = 0;
  /** 20 bytes. */
  peerId: Uint8Array | null = null;

  peerChoking = true;
  peerInterested = false;
  /** We told it that we are interested. */
  interested = false;
  unchoked = false;
  unchokedAtMs = Number.NEGATIVE_INFINITY;
  seeding = false;
  /** It only uploads (BEP 21). */
  uploadOnly = false;
  /** Requests it is willing to queue. */
  requestQueue = DEFAULT_REQUEST_QUEUE;

  onParole = false;
  snubbed = false;
  snubs = 0;
  rejects = 0;
  /** Not asked for anything before this time. */
  restUntilMs = 0;
  /** Stripes asked of it. */
  readonly stripes: Stripe[] = [];
  /** When the last wanted block came, or when it began to owe us one. */
  lastBlockMs = 0;

  downloadedBytes = 0;
  uploadedBytes = 0;
  /** Bytes per second. */
  downloadRate = 0;
  uploadRate = 0;

  readonly #host: LinkHost;
  #reportedBlocks = 0;
  #askedSinceReport = 0;
  #servedBefore = 0;
  #measuredAtMs = 0;
  #measuredDownBytes = 0;
  #measuredUpBytes = 0;

  constructor(
    host: LinkHost,
    place: { link: number; address: PeerAddress; incoming: boolean; known: KnownPeer | null; nowMs: number },
  ) {
    this.#host = host;
    this.link = place.link;
    this.address = place.address;
    this.incoming = place.incoming;
    this.known = place.known;
    this.#measuredAtMs = place.nowMs;
  }

  get servedBytes(): number {
    return this.uploadedBytes - this.#servedBefore;
  }

  /** Blocks asked of it and not yet here: an estimate, exact in rest. */
  get queuedBlocks(): number {
    return Math.min(this.owedBlocks, this.#reportedBlocks + this.#askedSinceReport);
  }

  /** Blocks of unfinished stripes: never less than what is really queued. */
  get owedBlocks(): number {
    let blocks = 0;
    for (const stripe of this.stripes) blocks += stripe.endBlock - stripe.firstBlock;
    return blocks;
  }

  has(piece: number): boolean {
    return this.have.has(piece);
  }

  setChoked(choked: boolean, nowMs: number): void {
    if (this.unchoked !== choked) return;
    this.unchoked = !choked;
    if (!choked) {
      this.unchokedAtMs = nowMs;
      this.#servedBefore = this.uploadedBytes;
    }
    this.#host.setChoked(this.link, choked);
  }

  setInterested(interested: boolean): void {
    if (this.interested === interested) return;
    this.interested = interested;
    this.#host.setInterested(this.link, interested);
  }

  /** Notes a stripe as asked of it. */
  asked(stripe: Stripe, nowMs: number): void {
    if (this.stripes.length === 0) this.lastBlockMs = nowMs;
    this.stripes.push(stripe);
    this.#askedSinceReport += stripe.endBlock - stripe.firstBlock;
  }

  /** Whether exactly this stripe is asked of it. */
  owes({ piece, firstBlock, endBlock }: Stripe): boolean {
    return this.stripes.some((stripe) => {
      return stripe.piece === piece && stripe.firstBlock === firstBlock && stripe.endBlock === endBlock;
    });
  }

  /** Strikes off the stripe that holds the block; null when it was not asked of this peer. */
  settled(piece: number, block: number): Stripe | null {
    const at = this.stripes.findIndex((stripe) => {
      return stripe.piece === piece && stripe.firstBlock <= block && block < stripe.endBlock;
    });
    return at < 0 ? null : (this.stripes.splice(at, 1)[0] ?? null);
  }

  /** Takes over flags and counters; the have-map, stripes and messages are the swarm's to handle. */
  update(event: LinkEvent, nowMs: number): void {
    this.peerChoking = event.peerChoking;
    this.peerInterested = event.peerInterested;
    this.peerId = event.peerId ?? this.peerId;
    this.#reportedBlocks = event.queuedBlocks;
    this.#askedSinceReport = 0;
    if (event.downloadedBytes > this.downloadedBytes) {
      this.lastBlockMs = Math.max(this.lastBlockMs, nowMs - event.sinceBlockMs);
      this.snubbed = false;
      this.snubs = 0;
    }
    this.downloadedBytes = event.downloadedBytes;
    this.uploadedBytes = event.uploadedBytes;
  }

  /** Measures rates, about once a second: half of the last measure, half of the ones before. */
  measure(nowMs: number): void {
    const seconds = (nowMs - this.#measuredAtMs) / 1000;
    if (seconds <= 0) return;
    this.downloadRate = (this.downloadRate + (this.downloadedBytes - this.#measuredDownBytes) / seconds) / 2;
    this.uploadRate = (this.uploadRate + (this.uploadedBytes - this.#measuredUpBytes) / seconds) / 2;
    if (this.downloadRate < BLOCK_BYTES / 64) this.downloadRate = 0;
    if (this.uploadRate < BLOCK_BYTES / 64) this.uploadRate = 0;
    this.#measuredAtMs = nowMs;
    this.#measuredDownBytes = this.downloadedBytes;
    this.#measuredUpBytes = this.uploadedBytes;
  }
}
