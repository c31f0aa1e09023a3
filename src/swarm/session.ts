/**
 * All swarms over one byte mover: hands its batches to them, lets connections in or refuses them, shares out the
 * global limits, upload slots and bans. It has no timer and no socket: the composition root calls `apply` when
 * the byte mover has news and `tick` about once a second.
 */
import { DialPolicy } from '../connector.js';
import { BanList } from './bans.js';
import { Choker, type ChokerOptions } from './choker.js';
import { DialBackoff } from './dial-backoff.js';
import { DialWays, type Encryption } from './dial-ways.js';
import { type IdleName, IdleTorrents, nameOf } from './idle-torrents.js';
import type { Incoming, LinkBatch, LinkHost } from './link-host.js';
import { LinkLimits, type LinkLimitsOptions } from './link-limits.js';
import { type AddressVotes, OwnAddress } from './own-address.js';
import type { Peer } from './peer.js';
import { RateLimits, type RateLimitsOptions } from './rate-limits.js';
import { type PeersDht, Swarm, type SwarmContext } from './swarm.js';
import type { SwarmOptions } from './swarm-options.js';
import { Turnover, whomToEnd } from './turnover.js';

export interface SessionOptions {
  readonly host: LinkHost;
  /** 20 bytes; or a function that makes others for each torrent, so that nobody can tell them as one node's. */
  readonly peerId: Uint8Array | (() => Uint8Array);
  /** Peers are told neither the client's name, nor where we listen, nor where they come from. */
  readonly anonymous?: boolean;
  /** Milliseconds that never go back; the same clock that `tick` is called with. */
  readonly clock: () => number;
  /** In `[0, 1)`. */
  readonly random: () => number;
  /** Name and version told to peers. */
  readonly client?: string;
  readonly listenPort?: () => number | null;
  /** Told where peers see us; without it no peer is preferred (BEP 40). */
  readonly externalAddress?: AddressVotes;
  readonly dialPolicy?: Pick<DialPolicy, 'mayDial'>;
  /** Default `allowed`. */
  readonly encryption?: Encryption;
  /** Whether peers are dialled over uTP when TCP fails. */
  readonly utp?: boolean;
  /** Whether peers tell each other whom they know (BEP 11). Default on. */
  readonly pex?: boolean;
  /** Peers are told of our node in the DHT, and tell of theirs (BEP 5). Default: neither. */
  readonly dht?: PeersDht;
  readonly limits?: LinkLimitsOptions;
  readonly choker?: Omit<ChokerOptions, 'random'>;
  /** Requests that the byte mover queues for each peer. */
  readonly requestQueue?: number;
  readonly banMs?: number;
  readonly rates?: RateLimitsOptions;
  /** For schedules and the monthly quota. */
  readonly wallClock?: () => Date;
  /** Opens an idle torrent by `add`, since a peer asks for it; its number is the one given to `addIdle`. */
  readonly wake?: (torrent: number) => Promise<void>;
}

/** Told as `reqq`: what the byte mover queues for each peer; more are rejected. */
const DEFAULT_REQUEST_QUEUE = 500;
/** Connections begun in one go: more at a time looks like an attack to a router. */
const DIALS_AT_ONCE = 16;

export class Session {
  readonly bans: BanList;
  readonly rates: RateLimits;
  readonly #host: LinkHost;
  readonly #clock: () => number;
  readonly #wallClock: () => Date;
  readonly #limits: LinkLimits;
  readonly #turnover: Turnover;
  readonly #choker: Choker;
  readonly #context: SwarmContext;
  readonly #byTorrent = new Map<number, Swarm>();
  /** By the 20 bytes of an infohash as they are in a handshake, hex; a hybrid has two. */
  readonly #byInfoHash = new Map<string, Swarm>();
  readonly #idle: IdleTorrents;
  /** Somebody's choking, or whom to dial, is to be looked at before the next tick. */
  #isChanged = false;
  #dialsLeft = DIALS_AT_ONCE;
  #uploadStopped: string | null = null;
  #applying = false;
  #closed = false;

  constructor(options: SessionOptions) {
    const { host, peerId, clock, random, encryption = 'allowed', anonymous = false } = options;
    const newPeerId = peerId instanceof Uint8Array ? () => peerId : peerId;
    if (peerId instanceof Uint8Array && peerId.length !== 20)
      throw new RangeError(`"peerId" expected 20 bytes, got ${peerId.length}`);
    this.bans = new BanList(options.banMs === undefined ? {} : { durationMs: options.banMs });
    this.#host = host;
    host.setEncryption(encryption);
    this.#clock = clock;
    this.#wallClock = options.wallClock ?? (() => new Date());
    this.rates = new RateLimits(host, options.rates ?? {}, this.#wallClock());
    this.#limits = new LinkLimits(options.limits);
    this.#turnover = new Turnover(this.#limits.maxLinks);
    this.#choker = new Choker({ ...options.choker, random });
    this.#idle = new IdleTorrents({
      wake: options.wake ?? (async () => {}),
      settle: (incoming) => this.#settle(incoming),
      refuse: (incoming) => host.refuse(incoming.link),
    });
    this.#context = {
      host,
      newPeerId,
      random,
      clock,
      limits: this.#limits,
      bans: this.bans,
      backoff: new DialBackoff(),
      rates: this.rates,
      makeRoom: (nowMs, newcomerPriority) => this.#makeRoom(nowMs, newcomerPriority),
      dialWays: new DialWays(encryption, options.utp ?? false),
      dialPolicy: options.dialPolicy ?? new DialPolicy(),
      extension: {
        client: anonymous ? '' : (options.client ?? 'blockswarm'),
        anonymous,
        listenPort: options.listenPort ?? (() => null),
        requestQueue: options.requestQueue ?? DEFAULT_REQUEST_QUEUE,
        prefersEncryption: encryption === 'preferred' || encryption === 'required',
      },
      pex: options.pex ?? true,
      dht: options.dht ?? null,
      ownAddress: new OwnAddress(options.listenPort ?? (() => null), options.externalAddress),
      changed: () => this.#changed(),
      closed: (swarm) => this.#forget(swarm),
    };
  }

  /** Connections of all torrents, open and opening. */
  get linkCount(): number {
    return this.#limits.count;
  }

  get swarms(): Iterable<Swarm> {
    return this.#byTorrent.values();
  }

  /** Begins a torrent. Its infohash must not be here yet. */
  add(options: SwarmOptions): Swarm {
    if (this.#closed) throw new TypeError('the session is closed');
    const keys = infoHashKeys(options);
    if (keys.some((key) => this.#byInfoHash.has(key)))
      throw new TypeError('the torrent is in the session already');
    const swarm = new Swarm(this.#context, options);
    this.#byTorrent.set(swarm.torrent, swarm);
    for (const key of keys) this.#byInfoHash.set(key, swarm);
    for (const name of names(options)) this.#host.knowInfoHash(name);
    return swarm;
  }

  /**
   * Keeps a name of a torrent that is not open: a peer that asks for it wakes it. It may stay here while the
   * torrent is open, and counts again when that has closed.
   */
  addIdle(name: IdleName, torrent: number): void {
    this.#idle.add(name, torrent);
    this.#host.knowInfoHash(Buffer.from(name, 'latin1'));
  }

  removeIdle(name: IdleName): void {
    this.#idle.remove(name);
    const infoHash = Buffer.from(name, 'latin1');
    if (!this.#byInfoHash.has(hex(infoHash))) this.#host.forgetInfoHash(infoHash);
  }

  /** Takes in all that happened since the last batch. */
  apply(batch: LinkBatch, nowMs: number = this.#clock()): void {
    this.#applying = true;
    try {
      this.#dispatch(batch, nowMs);
    } finally {
      this.#applying = false;
    }
    if (this.#isChanged) this.#dialAndChoke(nowMs);
  }

  #dispatch(batch: LinkBatch, nowMs: number): void {
    for (const incoming of batch.incoming) this.#onIncoming(incoming, nowMs);
    const touched = new Set<Swarm>();
    const of = (torrent: number) => {
      const swarm = this.#byTorrent.get(torrent);
      if (swarm) touched.add(swarm);
      return swarm;
    };
    for (const event of batch.links) of(event.torrent)?.onLink(event, nowMs);
    // Behind the links: the ranges that completed a piece come before its verdict.
    for (const verdict of batch.pieces) of(verdict.torrent)?.onVerdict(verdict, nowMs);
    for (const fault of batch.faults) of(fault.torrent)?.onFault(fault);
    for (const swarm of touched) swarm.flush(nowMs);
  }

  /** Does what time asks for; to be called about once a second. */
  tick(nowMs: number = this.#clock()): void {
    if (this.#closed) return;
    this.#dialsLeft = DIALS_AT_ONCE;
    this.rates.tick(this.#wallClock());
    const { uploadStopped } = this.rates.status();
    // A quota is not overdrawn until upload slots are shared out again.
    if (uploadStopped !== this.#uploadStopped) this.#isChanged = true;
    this.#uploadStopped = uploadStopped;
    for (const swarm of [...this.#byTorrent.values()]) swarm.tick(nowMs);
    this.#turnOver(nowMs);
    this.#dialAndChoke(nowMs);
  }

  /** Closes all torrents; the byte mover is its owner's to close. Idempotent. */
  close(): void {
    this.#closed = true;
    for (const swarm of [...this.#byTorrent.values()]) swarm.close();
  }

  #onIncoming(incoming: Incoming, nowMs: number): void {
    const swarm = this.#byInfoHash.get(hex(incoming.infoHash));
    const isTaken = swarm ? swarm.onIncoming(incoming, nowMs) : !this.#closed && this.#idle.take(incoming);
    if (!isTaken) this.#host.refuse(incoming.link);
  }

  /** Its torrent was woken for it, in vain perhaps. */
  #settle(incoming: Incoming): void {
    const swarm = this.#byInfoHash.get(hex(incoming.infoHash));
    if (this.#closed || !swarm?.onIncoming(incoming, this.#clock())) this.#host.refuse(incoming.link);
  }

  #changed(): void {
    this.#isChanged = true;
    if (!this.#applying) this.#dialAndChoke(this.#clock());
  }

  #dialAndChoke(nowMs: number): void {
    this.#dial(nowMs);
    if (this.#isChanged || this.#choker.isDue(nowMs)) this.#choke(nowMs);
    this.#isChanged = false;
  }

  /** In turns, so that one torrent with many addresses does not use up what all may dial. */
  #dial(nowMs: number): void {
    let idle = 0;
    for (const [torrent, swarm] of this.#byTorrent) {
      if (this.#dialsLeft === 0 || !this.#limits.mayDialNow) return;
      if (idle >= this.#byTorrent.size) return;
      if (swarm.dial(nowMs)) {
        this.#dialsLeft--;
        idle = 0;
      } else idle++;
      // To the end of the line; a Map is walked in insertion order, so the walk meets it again.
      if (this.#byTorrent.delete(torrent)) this.#byTorrent.set(torrent, swarm);
    }
  }

  #turnOver(nowMs: number): void {
    if (!this.#turnover.mayEnd(this.#limits.count, nowMs)) return;
    for (const swarm of this.#byTorrent.values()) {
      if (!swarm.hasDue(nowMs)) continue;
      this.#makeRoom(nowMs);
      return;
    }
  }

  #makeRoom(nowMs: number, newcomerPriority = 0): boolean {
    if (!this.#turnover.mayEnd(this.#limits.count, nowMs)) return false;
    let worst = null as { swarm: Swarm; peer: Peer } | null;
    for (const swarm of this.#byTorrent.values()) {
      const rivals = worst ? [worst.peer, ...swarm.peers.values()] : swarm.peers.values();
      const peer = whomToEnd(rivals, nowMs, newcomerPriority);
      if (peer && peer !== worst?.peer) worst = { swarm, peer };
    }
    if (!worst) return false;
    this.#turnover.ended();
    worst.swarm.giveUp(worst.peer);
    return true;
  }

  #choke(nowMs: number): void {
    const peers: Peer[] = [];
    for (const swarm of this.#byTorrent.values()) {
      if (swarm.state === 'paused') continue;
      for (const peer of swarm.peers.values()) {
        if (!peer.isOpen || peer.isClosing) continue;
        if (peer.mayServe) peers.push(peer);
        else peer.setChoked(true, nowMs);
      }
    }
    this.#choker.run(peers, nowMs);
  }

  #forget(swarm: Swarm): void {
    this.#byTorrent.delete(swarm.torrent);
    for (const key of infoHashKeys(swarm)) this.#byInfoHash.delete(key);
    for (const name of names(swarm)) if (!this.#idle.has(nameOf(name))) this.#host.forgetInfoHash(name);
    this.#isChanged = true;
  }
}

type InfoHashes = Pick<Swarm, 'infoHashV1' | 'infoHashV2'>;

/** The 20 bytes by which handshakes name a torrent; a hybrid has two. */
function names({ infoHashV1, infoHashV2 }: InfoHashes): Uint8Array[] {
  return [infoHashV1, infoHashV2?.subarray(0, 20) ?? null].filter((hash) => hash !== null);
}

function infoHashKeys(hashes: InfoHashes): string[] {
  return names(hashes).map(hex);
}

/** Bytes as a key of a table. */
function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}
