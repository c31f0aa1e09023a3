/** One link of one torrent: what the peer has and does, what we asked of it. States: STATE.md. */
import type { PeerAddress } from '../connector.js';
import type { ChokerPeer } from './choker.js';
import { BLOCK_BYTES } from './geometry.js';
import { HaveMap } from './have-map.js';
import type { LinkEvent, LinkHost } from './link-host.js';
import type { Stripe } from './open-piece.js';
import type { KnownPeer } from './peer-book.js';
import type { PickerPeer } from './picker.js';
import type { Meter } from './rate-limits.js';
import type { UploadAccount } from './upload-ledger.js';

/** Pieces kept of those that a peer suggests or allows while it chokes us (BEP 6 names 10 of these). */
const MAX_FAST_PIECES = 32;

/** Shorter spans say nothing about a rate. */
const MIN_MEASURE_MS = 100;

/** Requests a peer is believed to queue when it does not say (`reqq`, BEP 10): libtorrent's default. */
const DEFAULT_REQUEST_QUEUE = 250;

/** The blocks of the longest range that a web seed is asked for: 16 MiB. */
const WEB_SEED_QUEUE = 1024;

/** Where a connection comes from, and what it counts for. */
export interface PeerPlace {
  readonly link: number;
  readonly address: PeerAddress;
  readonly incoming: boolean;
  readonly known: KnownPeer | null;
  readonly account: UploadAccount;
  readonly meter: Meter | null;
  readonly nowMs: number;
  readonly isWebSeed?: boolean;
}

export class Peer implements PickerPeer, ChokerPeer {
  readonly link: number;
  readonly address: PeerAddress;
  readonly incoming: boolean;
  /** What its address was sent, also before this connection. */
  readonly account: UploadAccount;
  /** An HTTP server (BEP 19); its address is a URL to show. */
  readonly isWebSeed: boolean;
  /** What its payload counts for; null when nothing limits it. */
  readonly meter: Meter | null;
  /** Its entry in the peer book; null for an incoming one whose listening port is not known. */
  known: KnownPeer | null;
  readonly have = new HaveMap();
  /** The handshake is over. */
  isOpen = false;
  /** We closed it; only its end is still to come. */
  isClosing = false;
  openedAtMs = 0;
  /** Canonical priority (BEP 40); 0 while our own address is not known. */
  priority = 0;
  /** 20 bytes. */
  peerId: Uint8Array | null = null;
  /** What is sent on this link is encrypted. */
  encrypted = false;
  /** It says so (BEP 10). */
  prefersEncryption = false;
  transport: LinkEvent['transport'];
  /** It answers hash requests (BEP 52). */
  speaksV2 = false;

  peerChoking = true;
  peerInterested = false;
  /** We told it that we are interested. */
  interested = false;
  unchoked = false;
  unchokedAtMs = Number.NEGATIVE_INFINITY;
  seeding = false;
  torrentBytes = 0;
  /** It was greeted as if we had nothing (BEP 16). */
  hidesHave = false;
  /** It only uploads (BEP 21). */
  uploadOnly = false;
  /** UDP port of its node in the DHT, as it told first. */
  dhtPort: number | null = null;
  /** Requests it is willing to queue. */
  requestQueue = DEFAULT_REQUEST_QUEUE;

  /** Pieces it would like to send, newest last. */
  readonly suggested = new Set<number>();
  /** Pieces it sends also while it chokes us. */
  readonly allowedFast = new Set<number>();

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
  /** When payload last went either way. */
  lastPayloadMs = 0;
  /** When helping others in endgame is looked into again. */
  helpAtMs = 0;

  downloadedBytes = 0;
  uploadedBytes = 0;
  /** Bytes per second. */
  downloadRate = 0;
  uploadRate = 0;
  /** What it sends while it owes us something, bytes per second; null until that was measured. */
  supplyRate: number | null = null;
  /** For how long that was measured. */
  supplyMs = 0;
  /** From a request to its block, when nothing else is on its way; 0 until that was measured. */
  latencyMs = 0;

  readonly #host: LinkHost;
  #reportedBlocks = 0;
  #askedSinceReport = 0;
  #servedBefore = 0;
  #measuredAtMs = 0;
  #measuredDownBytes = 0;
  #measuredUpBytes = 0;
  /** Since when it owes us something; null while it does not. */
  #owesSinceMs: number | null = null;
  #isFirstBlock = false;
  #suppliedAtMs = 0;
  #suppliedBytes = 0;

  constructor(host: LinkHost, place: PeerPlace) {
    this.#host = host;
    this.link = place.link;
    this.address = place.address;
    this.incoming = place.incoming;
    this.known = place.known;
    this.account = place.account;
    this.isWebSeed = place.isWebSeed ?? false;
    if (this.isWebSeed) this.requestQueue = WEB_SEED_QUEUE;
    this.meter = place.meter;
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

  /** Whether the month's quota lets us serve it, and ask it for more. */
  get mayServe(): boolean {
    return this.meter?.mayUpload ?? true;
  }

  get mayFetch(): boolean {
    return this.meter?.mayDownload ?? true;
  }

  setChoked(choked: boolean, nowMs: number): void {
    if (this.unchoked !== choked) return;
    this.unchoked = !choked;
    if (!choked) {
      this.unchokedAtMs = nowMs;
      this.account.slotAtMs = nowMs;
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
    if (this.stripes.length === 0) {
      this.lastBlockMs = nowMs;
      this.#owesSinceMs = nowMs;
      this.#isFirstBlock = true;
    }
    this.stripes.push(stripe);
    // Pieces in a row are one request.
    if (this.isWebSeed) {
      this.suggested.clear();
      this.suggested.add(stripe.piece + 1);
    }
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
    this.encrypted = event.encrypted ?? this.encrypted;
    this.transport = event.transport ?? this.transport;
    this.#reportedBlocks = event.queuedBlocks;
    this.#askedSinceReport = 0;
    if (event.downloadedBytes > this.downloadedBytes) {
      this.lastBlockMs = Math.max(this.lastBlockMs, nowMs - event.sinceBlockMs);
      if (this.#isFirstBlock && this.#owesSinceMs !== null) this.#measureLatency(nowMs - this.#owesSinceMs);
      this.snubbed = false;
      this.snubs = 0;
    }
    if (event.downloadedBytes > this.downloadedBytes || event.uploadedBytes > this.uploadedBytes) {
      this.lastPayloadMs = nowMs;
    }
    const sentBytes = event.uploadedBytes - this.uploadedBytes;
    this.account.sentBytes += sentBytes;
    this.meter?.count(sentBytes, event.downloadedBytes - this.downloadedBytes);
    this.downloadedBytes = event.downloadedBytes;
    this.uploadedBytes = event.uploadedBytes;
    for (const piece of event.suggested ?? []) keepNewest(this.suggested, piece);
    for (const piece of event.allowedFast ?? []) {
      if (this.allowedFast.size < MAX_FAST_PIECES) this.allowedFast.add(piece);
    }
  }

  /** Measures rates, about once a second: half of the last measure, half of the ones before. */
  measure(nowMs: number): void {
    const seconds = (nowMs - this.#measuredAtMs) / 1000;
    if (seconds <= 0) return;
    this.#measureSupply(nowMs);
    this.downloadRate = (this.downloadRate + (this.downloadedBytes - this.#measuredDownBytes) / seconds) / 2;
    this.uploadRate = (this.uploadRate + (this.uploadedBytes - this.#measuredUpBytes) / seconds) / 2;
    if (this.downloadRate < BLOCK_BYTES / 64) this.downloadRate = 0;
    if (this.uploadRate < BLOCK_BYTES / 64) this.uploadRate = 0;
    this.#measuredAtMs = nowMs;
    this.#measuredDownBytes = this.downloadedBytes;
    this.#measuredUpBytes = this.uploadedBytes;
  }

  #measureLatency(latencyMs: number): void {
    this.#isFirstBlock = false;
    this.latencyMs = this.latencyMs === 0 ? latencyMs : (3 * this.latencyMs + latencyMs) / 4;
  }

  /**
   * Over spans in which something came: of a slow peer most measures see no block, and silence is judged
   * elsewhere. A peer that was not asked for anything all the time can do more than it did.
   */
  #measureSupply(nowMs: number): void {
    const owes = this.stripes.length > 0;
    const sinceMs = Math.max(this.#suppliedAtMs, this.#owesSinceMs ?? this.#suppliedAtMs);
    const bytes = this.downloadedBytes - this.#suppliedBytes;
    if (bytes > 0 && nowMs - sinceMs >= MIN_MEASURE_MS) {
      if (owes) this.supplyMs += nowMs - sinceMs;
      const rate = (bytes * 1000) / (nowMs - sinceMs);
      if (this.supplyRate === null) this.supplyRate = rate;
      else if (owes || rate > this.supplyRate) this.supplyRate = (this.supplyRate + rate) / 2;
    } else if (owes) return;
    if (!owes) this.#owesSinceMs = null;
    this.#suppliedAtMs = nowMs;
    this.#suppliedBytes = this.downloadedBytes;
  }
}

function keepNewest(pieces: Set<number>, piece: number): void {
  pieces.delete(piece);
  pieces.add(piece);
  if (pieces.size <= MAX_FAST_PIECES) return;
  for (const oldest of pieces) {
    pieces.delete(oldest);
    return;
  }
}
