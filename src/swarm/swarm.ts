/**
 * One torrent: its pieces, its peers, and every decision about them. All state changes in three places: a batch
 * from the byte mover (`onLink`, `onVerdict`), the clock (`tick`), and what the owner asks for. STATE.md lists
 * the states.
 */
import type { PeerAddress } from '../connector.js';
import { Blame } from './blame.js';
import type { ExtensionInfo } from './extensions.js';
import { Geometry } from './geometry.js';
import { Greetings, speaksV2 } from './greetings.js';
import type { Incoming, LinkEvent, LinkHost, PieceVerdict, TorrentFault } from './link-host.js';
import type { Peer } from './peer.js';
import type { KnownPeer, PeerSource } from './peer-book.js';
import { Peers, type PeersOptions } from './peers.js';
import type { PickWindow } from './picker.js';
import { Pieces, takeHaves } from './pieces.js';
import type { RateLimit } from './rate-limits.js';
import { SuperSeeding } from './super-seeding.js';
import { SwarmExtensions } from './swarm-extensions.js';
import type { SwarmContent, SwarmEvents, SwarmOptions, SwarmState, SwarmStatus } from './swarm-options.js';
import { WebSeeds } from './web-seeds.js';

/** What a swarm shares with the others of its session. */
export interface SwarmContext extends Omit<PeersOptions, 'torrent' | 'maxLinks' | 'peerId'> {
  /** 20 bytes, for a torrent. */
  readonly newPeerId: () => Uint8Array;
  readonly clock: () => number;
  readonly extension: ExtensionInfo;
  /** Whether peers are exchanged (BEP 11). */
  readonly pex: boolean;
  /** Null: no DHT that peers are told of, and none to tell. */
  readonly dht: PeersDht | null;
  /** There is somebody to dial, or a peer's choking is to be looked at. */
  changed(swarm: Swarm): void;
  closed(swarm: Swarm): void;
}

const SEED_GRACE_MS = 30_000;
/** Somebody may make room on a full disk: tried again after this. */
const IO_PAUSE_MS = 30_000;

/** The DHT, as the peers of a torrent may help it (BEP 5). */
export interface PeersDht {
  /** UDP port of our node; null while there is none. */
  readonly port: () => number | null;
  /** A peer has a node there. */
  readonly heard: (node: PeerAddress) => void;
}

export class Swarm {
  readonly infoHashV1: Uint8Array | null;
  readonly infoHashV2: Uint8Array | null;
  readonly torrent: number;
  readonly #options: SwarmOptions;
  readonly #context: SwarmContext;
  readonly #host: LinkHost;
  readonly #events: SwarmEvents;
  readonly #peers: Peers;
  readonly #blame: Blame;
  readonly #extensions: SwarmExtensions;
  readonly #greetings: Greetings;
  readonly #webSeeds: WebSeeds;
  /** Null while only the infohash is known. */
  #pieces: Pieces | null = null;
  #state: SwarmState = 'metadata';
  #private = false;
  /** Null when it was not asked for, or we lack pieces. */
  #superSeeding: SuperSeeding | null = null;
  #seedingSinceMs = 0;
  #hungry = false;
  #pause: { readonly reason: string; readonly untilMs: number } | null = null;
  #pastDownloadedBytes = 0;
  #pastUploadedBytes = 0;

  constructor(context: SwarmContext, options: SwarmOptions) {
    const { infoHashV1, infoHashV2, content } = options;
    const peerId = context.newPeerId();
    // Before the byte mover hears of it: a wrong length throws.
    this.#greetings = new Greetings({
      infoHashV1,
      infoHashV2,
      peerId,
      extensionHandshake: (remote) => this.#extensions.handshake({ remote, uploadOnly: this.#isUploadOnly }),
      hidesHave: () => this.#isHiding,
      dhtPort: () => (this.#private ? null : (context.dht?.port() ?? null)),
    });
    this.infoHashV1 = infoHashV1;
    this.infoHashV2 = infoHashV2;
    this.#options = options;
    this.#context = context;
    this.#host = context.host;
    this.#events = options.events ?? {};
    const geometry = content ? new Geometry(content) : null;
    this.torrent = content ? this.#host.addTorrent(content.store) : this.#host.addTorrent();
    this.#peers = new Peers({
      ...context,
      peerId,
      torrent: this.torrent,
      ...(options.maxLinks === undefined ? {} : { maxLinks: options.maxLinks }),
    });
    this.#blame = new Blame(context.bans);
    this.#webSeeds = new WebSeeds({
      host: this.#host,
      torrent: this.torrent,
      sources: options.webSeeds ?? [],
      loopback: context.dialPolicy.mayDial({ host: '127.0.0.1', port: 1 }, 'learnt'),
      random: context.random,
    });
    this.#private = options.private ?? false;
    if (this.#private) this.#peers.becomePrivate();
    this.#extensions = new SwarmExtensions({
      host: this.#host,
      info: context.extension,
      dialPolicy: context.dialPolicy,
      peers: this.#peers,
      ownAddress: context.ownAddress,
      pex: context.pex,
      infoHashV1,
      infoHashV2,
      infoBytes: options.infoBytes ?? null,
      meeting: options.meeting?.extension ?? null,
      isPrivate: this.#private,
      foundMetadata: (infoBytes) => this.#events.metadata?.(infoBytes),
      foundPeers: () => this.#context.changed(this),
      dial: (address, nowMs) => this.#dialNow(address, nowMs),
    });
    if (content && geometry) this.#begin(content, geometry);
  }

  get state(): SwarmState {
    return this.#state;
  }

  /** Whether peers may come from its trackers only (BEP 27). */
  get private(): boolean {
    return this.#private;
  }

  /** Whether it wants to meet people: for pieces, for the info dictionary, or for what they say. */
  get isLooking(): boolean {
    if (this.#state === 'metadata') return this.#options.meeting?.isLooking() ?? true;
    return this.#state === 'fetching';
  }

  /** Open and opening connections. */
  get peers(): ReadonlyMap<number, Peer> {
    return this.#peers.byLink;
  }

  /** Whether we have the piece, verified and on disk. */
  has(piece: number): boolean {
    return this.#pieces?.picker.has(piece) ?? false;
  }

  status(): SwarmStatus {
    const picker = this.#pieces?.picker;
    let [downloadRate, uploadRate] = [0, 0];
    let [downloadedBytes, uploadedBytes] = [this.#pastDownloadedBytes, this.#pastUploadedBytes];
    for (const peer of this.peers.values()) {
      downloadRate += peer.downloadRate;
      uploadRate += peer.uploadRate;
      downloadedBytes += peer.downloadedBytes;
      uploadedBytes += peer.uploadedBytes;
    }
    return {
      state: this.#state,
      pauseReason: this.#pause?.reason ?? null,
      links: this.peers.size,
      webSeeds: this.#webSeeds.status(),
      knownPeers: this.#peers.knownCount,
      pieceCount: picker?.geometry.pieceCount ?? 0,
      hadPieces: picker?.hadCount ?? 0,
      wantedLeft: picker?.wantedLeft ?? 0,
      leftBytes: this.#pieces?.leftBytes ?? null,
      downloadRate,
      uploadRate,
      downloadedBytes,
      uploadedBytes,
    };
  }

  /** Notes addresses where peers may be found; they are dialled as limits allow. */
  addPeers(addresses: Iterable<PeerAddress>, source: PeerSource = 'asked'): void {
    if (this.#state === 'closed') return;
    const nowMs = this.#context.clock();
    for (const address of addresses) this.#peers.add(address, source, nowMs);
    this.#context.changed(this);
  }

  /** Gives the bytes a place, once the info dictionary is known. Pieces already servable count as had. */
  attach(content: SwarmContent, options: Pick<SwarmOptions, 'private' | 'wanted'> = {}): void {
    if (this.#state === 'closed') return;
    if (this.#pieces) throw new TypeError('a store is attached already');
    if (options.private && !this.#private) this.#becomePrivate();
    const geometry = new Geometry(content);
    this.#host.attachStore(this.torrent, content.store);
    this.#begin(content, geometry, options.wanted);
    if (this.#state === 'seeding') this.#events.complete?.();
  }

  /** Changes what is wanted: priority of pieces `[first, end)`, 0 for not at all. */
  want(first: number, end: number, priority = 1): void {
    if (this.#state === 'closed') return;
    if (!this.#pieces) throw new TypeError('no store is attached yet: pieces are not known');
    this.#pieces.picker.want(first, end, priority);
    this.#pieces.reconsiderAll();
    this.#hungry = true;
    this.#settleState(this.#context.clock());
    this.flush(this.#context.clock());
  }

  /**
   * Fetches only `window.pieces` pieces, from the first wanted one that is missing at or behind `window.first`; as
   * these come the window moves on by itself. Null: no window. What is open outside of it is finished first.
   */
  setWindow(window: PickWindow | null): void {
    if (this.#state === 'closed') return;
    if (!this.#pieces) throw new TypeError('no store is attached yet: pieces are not known');
    this.#pieces.picker.setWindow(window);
    this.#hungry = true;
    this.flush(this.#context.clock());
  }

  /** How fast all its links together may be, within what holds for the session. */
  setRates(limit: RateLimit): void {
    if (this.#state !== 'closed') this.#context.rates.setTorrent(this.torrent, limit);
  }

  /** Ends a pause: the files are right again, and the store rechecked. */
  resume(): void {
    if (this.#state !== 'paused' || !this.#pieces) return;
    this.#extensions.tellLost(this.#pieces.compare());
    this.#resume(this.#context.clock());
  }

  /** The owner has taken pieces of the store back, or found more: those that are missing are fetched. */
  recheck(): void {
    if (this.#state === 'closed' || this.#state === 'paused' || !this.#pieces) return;
    this.#extensions.tellLost(this.#pieces.compare());
    this.#resume(this.#context.clock());
  }

  /** Closes all links; what was verified stays on disk. Idempotent. */
  close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    const nowMs = this.#context.clock();
    for (const peer of [...this.peers.values()]) this.#peers.ended(peer, 'closed', nowMs);
    this.#host.removeTorrent(this.torrent);
    this.#context.rates.removeTorrent(this.torrent);
    this.#context.closed(this);
  }

  /** Dials one address that is due. Called by the session, which shares out the global limits. */
  dial(nowMs: number): boolean {
    if (this.#state === 'closed' || this.#state === 'paused') return false;
    const peer = this.#peers.dial(nowMs, this.#suits, (known) => this.#greetings.dialled(known));
    if (peer) this.#greeted(peer);
    return peer !== null;
  }

  /** Whether somebody may be dialled, were there room. */
  hasDue(nowMs: number): boolean {
    return this.#state !== 'closed' && this.#state !== 'paused' && this.#peers.hasDue(nowMs, this.#suits);
  }

  /** Ends a connection for somebody of another torrent. */
  giveUp(peer: Peer): void {
    this.#peers.giveUp(peer);
  }

  /** Lets a connection from outside in; false when it is not welcome. */
  onIncoming(incoming: Incoming, nowMs: number): boolean {
    if (this.#state === 'closed' || this.#state === 'paused') return false;
    const peer = this.#peers.accept(incoming, this.#greetings.answer(incoming), nowMs);
    if (!peer) return false;
    peer.peerId = incoming.peerId;
    this.#greeted(peer);
    return true;
  }

  /** Takes in what changed on one link. */
  onLink(event: LinkEvent, nowMs: number): void {
    const peer = this.peers.get(event.link);
    if (!peer) return;
    const opens = !peer.isOpen && (event.state === 'open' || event.peerId !== undefined);
    const { peerInterested, peerChoking } = peer;
    peer.update(event, nowMs);
    if (opens) this.#onOpen(peer, event, nowMs);
    if (!peer.isClosing && !takeHaves(peer, event, this.#pieces)) this.#drop(peer, 'bad-have-map');
    this.#superSeeding?.heard(peer, event, nowMs);
    if (event.dhtPort !== undefined) this.#onDhtPort(peer, event.dhtPort);
    if (!peer.isClosing && event.messages) this.#onMessages(peer, event, nowMs);
    if (!peer.isClosing) this.#onHashes(peer, event, nowMs);
    if (!peer.isClosing) this.#onWork(peer, event, nowMs, peerChoking);
    if (!peerInterested && peer.peerInterested && !peer.unchoked) this.#startOff(peer);
    if (event.state === 'closed') this.#onClosed(peer, event, nowMs);
    if (peerInterested !== peer.peerInterested || event.state === 'closed') this.#context.changed(this);
  }

  /** Takes in the judgement of a piece. */
  onVerdict(verdict: PieceVerdict, nowMs: number): void {
    const pieces = this.#pieces;
    if (!pieces || this.#state === 'closed') return;
    const { piece, outcome } = verdict;
    if (this.#blame.judge(verdict, nowMs)) this.#applyStanding(nowMs);
    if (outcome === 'blamed') return;
    const message = verdict.message ?? 'input or output failed';
    pieces.pipeline.decided(piece);
    this.#hungry = true;
    if (outcome === 'good') {
      pieces.hashes.settled(piece);
      pieces.had(piece);
      this.#events.piece?.(piece);
      this.#settleState(nowMs);
      return;
    }
    pieces.pipeline.revoke(pieces.picker.reset(piece));
    if (outcome === 'bad' && verdict.culprits.length === 0) pieces.hashes.suspect(piece, nowMs);
    if (outcome === 'io') {
      if (this.#options.toleratesFaults) {
        // Its owner may want it again, when there is room.
        pieces.picker.want(piece, piece + 1, 0);
        this.#settleState(nowMs);
      } else this.#pauseFor(message, nowMs + IO_PAUSE_MS);
      this.#events.ioError?.(message, piece);
    }
  }

  /** The torrent's files failed: what is not servable any more is not had. */
  onFault(fault: TorrentFault): void {
    const pieces = this.#pieces;
    if (!pieces || this.#state === 'closed') return;
    if (this.#options.toleratesFaults) {
      this.#events.fault?.(fault);
      this.recheck();
      return;
    }
    this.#extensions.tellLost(pieces.compare());
    this.#pauseFor(fault.message, Number.POSITIVE_INFINITY);
    this.#events.fault?.(fault);
  }

  /** Asks for more where stripes became free. Called at the end of a batch. */
  flush(nowMs: number): void {
    if (!this.#hungry) return;
    this.#hungry = false;
    this.#feed(nowMs);
  }

  /** Once a second or so: rates, silence, and peers that are of no use. */
  tick(nowMs: number): void {
    if (this.#state === 'closed') return;
    for (const peer of [...this.peers.values()]) {
      peer.measure(nowMs);
      if (!peer.isOpen || peer.isClosing) continue;
      if (this.#pieces?.pipeline.checkSilence(peer, nowMs)) this.#drop(peer, 'snubbed');
      else if (this.#isUseless(peer, nowMs)) {
        // Also one that wants no more than it has: else it is dialled again and again.
        if (peer.known) peer.known.seed = true;
        this.#drop(peer, 'both-complete');
      }
    }
    this.#extensions.tick(nowMs);
    this.#superSeeding?.tick(nowMs);
    // Who could give us the info dictionary sends no payload; who was met has said it all soon.
    if (this.#state === 'metadata' ? this.#options.meeting : this.#state !== 'paused')
      this.#peers.turnOver(nowMs, this.#suits);
    if (this.#pause && nowMs >= this.#pause.untilMs) this.#resume(nowMs);
    this.#pieces?.pipeline.tick(nowMs);
    this.#linkWebSeeds(nowMs);
    if (this.#state !== 'paused') this.#pieces?.hashes.tick(nowMs);
    this.#feed(nowMs);
  }

  /** Somebody who has everything is of no use to us when we have everything as well. */
  readonly #suits = (known: KnownPeer): boolean => this.#state !== 'seeding' || !known.seed;

  #begin(content: SwarmContent, geometry: Geometry, wanted = this.#options.wanted): void {
    const nowMs = this.#context.clock();
    const pieces = new Pieces({
      ...this.#options,
      ...(wanted && { wanted }),
      host: this.#host,
      torrent: this.torrent,
      content,
      geometry,
      peers: this.peers,
      random: this.#context.random,
    });
    this.#pieces = pieces;
    const { picker } = pieces;
    if (this.#options.superSeeding && picker.hadCount === pieces.pieceCount) {
      this.#superSeeding = new SuperSeeding({ host: this.#host, picker, random: this.#context.random });
    }
    this.#enterState(nowMs);
    for (const peer of this.peers.values()) {
      peer.torrentBytes = pieces.lengthBytes;
      if (pieces.met(peer)) pieces.reconsider(peer);
      else this.#drop(peer, 'bad-have-map');
    }
    this.#linkWebSeeds(nowMs);
    this.#feed(nowMs);
  }

  /** Dials out of turn: a relay told that the peer dials us now (BEP 55). */
  #dialNow(address: PeerAddress, nowMs: number): void {
    if (this.#state === 'closed' || this.#state === 'paused') return;
    const peer = this.#peers.dialNow(address, 'pex', (known) => this.#greetings.dialled(known), nowMs);
    if (peer) this.#greeted(peer);
  }

  /** A peer names one node, on its own address: whoever wants us to ask others has to meet us from there. */
  #onDhtPort(peer: Peer, port: number): void {
    if (peer.dhtPort !== null || this.#private) return;
    peer.dhtPort = port;
    this.#context.dht?.heard({ host: peer.address.host, port });
  }

  #becomePrivate(): void {
    this.#private = true;
    this.#extensions.becomePrivate();
    for (const peer of this.#peers.becomePrivate()) this.#drop(peer, 'private');
  }

  /** Another tracker is asked from now on: of a private torrent only the peers of that one may be met (BEP 27). */
  trackerChanged(): void {
    if (!this.#private || this.#state === 'closed') return;
    for (const peer of this.#peers.letGoOfTracker()) this.#drop(peer, 'tracker-changed');
  }

  #greeted(peer: Peer): void {
    this.#blame.remember(peer.link, peer.address);
    peer.hidesHave = this.#isHiding;
  }

  /** Begins with web seeds that are due, while pieces are missing. */
  #linkWebSeeds(nowMs: number): void {
    const paths = this.#pieces?.content.webSeedPaths;
    if (!paths || this.#state !== 'fetching') return;
    while (this.#peers.mayDialNow) {
      const begun = this.#webSeeds.connect(nowMs, paths);
      if (!begun) return;
      const peer = this.#peers.beginWebSeed(begun.link, begun.url, nowMs);
      this.#blame.remember(peer.link, peer.address);
    }
  }

  #startOff(peer: Peer): void {
    const infoHash = this.infoHashV1 ?? this.infoHashV2?.subarray(0, 20);
    if (infoHash && this.#state !== 'paused' && !peer.isClosing) this.#pieces?.startOff(peer, infoHash);
  }

  /** Answers to what was asked, and new people to ask. */
  #onHashes(peer: Peer, event: LinkEvent, nowMs: number): void {
    const hashes = this.#pieces?.hashes;
    if (!hashes) return;
    if (event.hashAnswers) {
      this.#hungry = true;
      if (hashes.onAnswers(peer, event.hashAnswers, nowMs)) {
        this.#peers.ban(peer, nowMs);
        this.#drop(peer, 'bad-hashes');
      }
    } else if (event.haveAll || event.bitmap) hashes.ask(nowMs);
  }

  #onOpen(peer: Peer, event: LinkEvent, nowMs: number): void {
    const v2 = this.infoHashV2?.subarray(0, 20);
    // libtorrent, when it dialled, speaks v2 only where the answer named v2.
    const asV2 = v2 && event.infoHash && Buffer.compare(event.infoHash, v2) === 0;
    peer.speaksV2 = asV2 || (v2 !== undefined && !peer.incoming && speaksV2(event.reserved));
    peer.onParole = this.#blame.isSuspect(peer.address);
    peer.seeding = this.#state === 'seeding';
    peer.torrentBytes = this.#pieces?.lengthBytes ?? 0;
    const surplus = this.#peers.opened(peer, nowMs);
    if (surplus) this.#drop(surplus.close, surplus.reason);
    if (peer.hidesHave) this.#superSeeding?.opened(peer);
  }

  #onMessages(peer: Peer, event: LinkEvent, nowMs: number): void {
    const offence = this.#extensions.onMessages(peer, event.messages ?? [], nowMs);
    if (!offence) return;
    this.#drop(peer, offence.reason);
    if (offence.ban) this.#peers.ban(peer, nowMs);
  }

  #onWork(peer: Peer, event: LinkEvent, nowMs: number, wasChoking: boolean): void {
    const pipeline = this.#pieces?.pipeline;
    if (!pipeline) return;
    if (event.finished) pipeline.finished(peer, event.finished, nowMs);
    if (event.rejected && pipeline.rejected(peer, event.rejected, nowMs)) this.#drop(peer, 'rejects');
    const isChoked = peer.peerChoking && pipeline.choked(peer, !wasChoking);
    if (isChoked || event.rejected?.length) this.#hungry = true;
    if (event.state === 'open' && this.#state === 'fetching') pipeline.feed(peer, nowMs);
  }

  #onClosed(peer: Peer, event: LinkEvent, nowMs: number): void {
    const reason = event.closeReason ?? 'closed';
    this.#pieces?.ended(peer, nowMs);
    this.#superSeeding?.ended(peer);
    const served = peer.downloadedBytes > 0;
    this.#webSeeds.ended(peer.link, { reason, retryAfterMs: event.retryAfterMs ?? 0, served }, nowMs);
    this.#extensions.ended(peer, nowMs);
    if (!peer.isOpen && !peer.incoming) this.#extensions.dialFailed(peer.address, nowMs);
    this.#peers.ended(peer, reason, nowMs);
    this.#pastDownloadedBytes += peer.downloadedBytes;
    this.#pastUploadedBytes += peer.uploadedBytes;
    this.#hungry = true;
  }

  /** Closes a link; its last event finds nothing left to do but to strike it off. */
  #drop(peer: Peer, reason: string): void {
    if (peer.isClosing) return;
    peer.isClosing = true;
    this.#pieces?.pipeline.release(peer);
    this.#hungry = true;
    this.#host.close(peer.link, reason);
  }

  /** Somebody was banned, suspected or acquitted. */
  #applyStanding(nowMs: number): void {
    for (const peer of this.peers.values()) {
      peer.onParole = this.#blame.isSuspect(peer.address);
      if (!peer.onParole) this.#pieces?.picker.disown(peer.link);
      if (!this.#peers.isBanned(peer, nowMs)) continue;
      this.#peers.ban(peer, nowMs);
      this.#drop(peer, 'banned');
    }
  }

  #feed(nowMs: number): void {
    if (this.#state === 'fetching') this.#pieces?.feed(nowMs);
  }

  /** Lets all peers wait: the first reason stays until the pause ends, the longest pause counts. */
  #pauseFor(reason: string, untilMs: number): void {
    const pause = this.#pause ?? { reason, untilMs };
    this.#pause = { ...pause, untilMs: Math.max(pause.untilMs, untilMs) };
    const nowMs = this.#context.clock();
    for (const peer of this.peers.values()) {
      this.#pieces?.pipeline.release(peer);
      if (peer.unchoked) peer.setChoked(true, nowMs);
    }
    this.#enterState(nowMs);
  }

  #resume(nowMs: number): void {
    this.#pause = null;
    this.#pieces?.picker.reopenAll();
    this.#settleState(nowMs);
    this.#pieces?.reconsiderAll();
    this.#hungry = true;
    this.#context.changed(this);
    this.flush(nowMs);
  }

  #settleState(nowMs: number): void {
    if (this.#enterState(nowMs) && this.#state === 'seeding') this.#events.complete?.();
  }

  /** Pieces are shown one by one. */
  get #isHiding(): boolean {
    return this.#superSeeding?.isOver === false;
  }

  /** What is told to peers (BEP 21); a super seed does not give itself away. */
  get #isUploadOnly(): boolean {
    return this.#state === 'seeding' && !this.#isHiding;
  }

  /** Returns whether the state is another one now. */
  #enterState(nowMs: number): boolean {
    const done = this.#pieces?.isDone;
    const state = this.#pause ? 'paused' : done ? 'seeding' : 'fetching';
    if (state === this.#state || this.#state === 'closed') return false;
    this.#state = state;
    for (const peer of this.peers.values()) {
      peer.seeding = state === 'seeding';
      if (peer.isWebSeed && state !== 'fetching') this.#drop(peer, 'complete');
    }
    this.#extensions.tellUploadOnly(this.#isUploadOnly);
    this.#seedingSinceMs = nowMs;
    this.#linkWebSeeds(nowMs);
    return true;
  }

  /** Neither side will ever want anything of the other: a slot for somebody else (BEP 21). */
  #isUseless(peer: Peer, nowMs: number): boolean {
    const pieces = this.#pieces;
    if (!pieces || this.#state !== 'seeding' || peer.peerInterested) return false;
    if (!peer.uploadOnly && !peer.have.complete(pieces.pieceCount)) return false;
    const sinceMs = Math.max(peer.openedAtMs, this.#seedingSinceMs);
    return nowMs - sinceMs >= (this.#options.seedGraceMs ?? SEED_GRACE_MS);
  }
}
