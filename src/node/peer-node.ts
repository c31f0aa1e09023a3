/**
 * One BitTorrent node of the process: the reactor's sockets, the session's decisions, where peers come from, and the pump
 * between them. Only here they are wired together.
 */
import { randomBytes } from 'node:crypto';
import { availableParallelism, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { ConnectorChoice } from '../connector/privacy.js';
import type { AddressDisplay } from '../connector/shown-address.js';
import { DialPolicy, formatPeerAddress, type PeerAddress } from '../connector.js';
import type { Dht } from '../discovery/dht.js';
import { ExternalAddress } from '../discovery/external-address.js';
import type { TrackerStatus } from '../discovery/trackers/tracker-client.js';
import { torrentShape } from '../metainfo/file-pieces.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { webSeedPaths } from '../metainfo/web-seed-paths.js';
import {
  fileExtents,
  type HttpGetOptions,
  type HttpResult,
  Reactor,
  type ReactorStats,
  Store,
  type StoreHashes,
} from '../native.js';
import type { IdleName } from '../swarm/idle-torrents.js';
import { Session } from '../swarm/session.js';
import type { Swarm } from '../swarm/swarm.js';
import type { SwarmEvents, SwarmOptions } from '../swarm/swarm-options.js';
import type { WebSeedSource } from '../swarm/web-seeds.js';
import type { AddressLists, BlockedCounts } from './address-lists.js';
import { Discovery, type DiscoveryOptions, type Reach } from './discovery.js';
import type { I2pKeys } from './i2p-keys.js';
import { rateLimits } from './peering.js';
import type { QuotaRecord } from './quota-record.js';
import type { TrackerCounts, TrackerTiers } from './tracker-schedule.js';
import { WayOut, whomToName } from './way-out.js';

export interface PeerNodeOptions extends DiscoveryOptions {
  /** Whom not to meet. */
  readonly addressLists: AddressLists | null;
  /** Peers that the user named; asked for every torrent. */
  readonly peers: readonly PeerAddress[];
  /** URLs that the user named, asked for every torrent beside its own web seeds; null: no web seed is asked. */
  readonly webSeeds?: readonly string[] | null;
  /** Where it is written down what was used of the quota. */
  readonly quotaRecord?: QuotaRecord | null;
  /** Where the keys of our destination in I2P are kept. */
  readonly i2pKeys?: I2pKeys | null;
}

export interface PeerNodeTorrent extends SwarmOptions {
  /** The DHT is told of it before the others. */
  readonly announcedFirst?: boolean;
}

const tickMs = 1000;
/** Between two looks at files that failed. */
const recheckMs = 60_000;
/** Pieces on their way in, over all torrents, in memory. */
const assemblyBytes = Math.min(192 * 2 ** 20, Math.max(64 * 2 ** 20, totalmem() / 64));
const maxLinks = 4000;
const maxHalfOpenLinks = 100;

/** Through I2P a packet takes seconds. */
const i2pWaits = { handshakeTimeoutMs: 60_000, webSeedTimeoutMs: 90_000 };

const nowhere: PeerAddress = { host: '0.0.0.0', port: 0 };

export class PeerNode {
  /** Where it listens; 0.0.0.0:0 when it does not. */
  readonly address: PeerAddress;
  readonly session: Session;
  /** Where the world sees us. */
  readonly externalAddress = new ExternalAddress();
  /** Of all torrents together; one that is only seeded may have all of them. */
  readonly maxConnections: number;
  /** How addresses of peers stand in what is reported. */
  readonly logAddresses: AddressDisplay;
  /** Who can be named when nobody is found: for a person. */
  readonly whomToName: string;
  readonly #reactor: Reactor;
  readonly #discovery: Discovery;
  readonly #peers: readonly PeerAddress[];
  readonly #webSeeds: readonly WebSeedSource[] | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #quotaRecord: QuotaRecord | null;
  readonly #addressLists: AddressLists | null;
  readonly #wayOut: WayOut;
  readonly #stop = new AbortController();
  /** Addresses that served us a torrent: they are asked for the others as well. */
  readonly #proven = new Map<string, PeerAddress>();
  readonly #provenWebSeeds = new Set<string>();

  /** @throws BlockswarmError ERR_ADDRESS, ERR_PORT_IN_USE, ERR_LISTEN */
  constructor(options: PeerNodeOptions) {
    const { privacy } = options;
    const threads = availableParallelism();
    this.#peers = options.peers;
    this.whomToName = whomToName(privacy);
    this.logAddresses = options.logAddresses ?? 'full';
    const { webSeeds = [], trackers: asksTrackers = true } = options;
    this.#webSeeds = webSeeds?.map((url) => ({ url, asked: true }));
    const { maxConnections = maxLinks, uploadSlots: slots, choker: seedChoker } = options;
    const { listen, anonymous } = privacy;
    const { i2pKeys = null } = options;
    const isI2p = privacy.names === 'i2p';
    const utp = (options.utp ?? false) && privacy.udp;
    const { encryption, quotaRecord = null } = options;
    // Addresses in I2P have another form there (i2p_pex).
    const pex = (options.pex ?? true) && !isI2p;
    this.#quotaRecord = quotaRecord;
    this.maxConnections = maxConnections;
    const limits = { links: maxConnections, halfOpenLinks: maxHalfOpenLinks };
    const sizes = { networkThreads: threads, workerThreads: threads, assemblyBytes };
    const connector = withKeys(privacy.connector, i2pKeys);
    const waits = isI2p ? i2pWaits : {};
    this.#reactor = new Reactor({ connector, anonymous, ...sizes, ...limits, ...waits }, () => this.#pump());
    this.#addressLists = options.addressLists;
    try {
      // Before anybody can be met.
      this.#addressLists?.apply(this.#reactor);
      this.address = listen ? this.#reactor.listen(listen.host, listen.port) : nowhere;
      const { host, port } = this.address;
      if (options.dht || utp || (asksTrackers && privacy.udp)) this.#reactor.bindUdp(host, port, utp);
      const { onion } = privacy;
      if (onion) this.#reactor.keepOnion(onion.control, onion.password, port, port);
    } catch (error) {
      void this.#reactor.shutdown();
      throw error;
    }
    const proxied = privacy.names === 'proxy';
    const dialPolicy = new DialPolicy({ listening: listen && this.address, proxied, i2p: isI2p });
    const peerId = newPeerId();
    this.session = new Session({
      host: this.#reactor,
      peerId: anonymous ? () => randomBytes(20) : peerId,
      anonymous,
      clock: () => performance.now(),
      random: Math.random,
      listenPort: () => (listen && !anonymous ? this.publicPort : null),
      externalAddress: this.externalAddress,
      dialPolicy,
      limits,
      choker: { ...(slots !== undefined && { slots }), ...(seedChoker && { seedChoker }) },
      ...(encryption && { encryption }),
      utp,
      pex,
      // Known by then: nobody is met before.
      dht: {
        port: () => this.#discovery.dhtPort,
        heard: (node) => this.#discovery.dht?.addNode(node),
      },
      rates: rateLimits(options, quotaRecord?.usage ?? null),
      ...(options.wake && { wake: options.wake }),
    });
    const { address, externalAddress } = this;
    const place = { reactor: this.#reactor, address, dialPolicy, peerId, externalAddress };
    this.#discovery = new Discovery(options, place);
    const { report = null } = options;
    this.#wayOut = new WayOut({ reactor: this.#reactor, port: address.port, isI2p, i2pKeys, report });
    this.#timer = setInterval(() => {
      this.session.tick();
      this.#quotaRecord?.tick(this.session.rates.status(), performance.now());
      this.#discovery.tick(performance.now());
      this.#addressLists?.tick(this.#reactor, performance.now(), this.#stop.signal);
      this.#wayOut.tick();
    }, tickMs);
  }

  /** Adds a torrent, and looks for its peers until the node or the swarm closes. */
  add({ announcedFirst = false, ...options }: PeerNodeTorrent, trackerTiers: TrackerTiers = []): Swarm {
    const webSeeds = this.#webSeeds ? [...this.#webSeeds, ...(options.webSeeds ?? [])] : [];
    const complete = () => {
      this.#discovery.completed(swarm);
      options.events?.complete?.();
    };
    const swarm: Swarm = this.session.add({ ...options, webSeeds, events: { ...options.events, complete } });
    swarm.addPeers(this.#peers, 'asked');
    swarm.addPeers(this.#proven.values(), 'dht');
    this.#discovery.add(swarm, trackerTiers, announcedFirst);
    return swarm;
  }

  /** Meets those who have a torrent without having, wanting or announcing any of it; the named peers to begin with. */
  watch(torrent: StoreHashes & Pick<Metainfo, 'infoHashV1' | 'infoHashV2' | 'infoBytes'>): Swarm {
    const { infoHashV1, infoHashV2, infoBytes, lengthBytes, pieceLengthBytes } = torrent;
    // What peers have is told once there is a place for it: one with nothing in it.
    const store = Store.overExtents(torrent, fileExtents('/dev/null', lengthBytes));
    const content = { store, lengthBytes, pieceLengthBytes };
    const swarm = this.session.add({ infoHashV1, infoHashV2, infoBytes, content, wanted: [] });
    swarm.addPeers(this.#peers, 'asked');
    return swarm;
  }

  /** `host:port` where it listens; null when it does not. */
  get listening(): string | null {
    return this.address === nowhere ? null : formatPeerAddress(this.address);
  }

  /** What trackers say of a torrent. */
  trackerStatus(swarm: Swarm): readonly TrackerStatus[] {
    return this.#discovery.trackerStatus(swarm);
  }

  /** What the trackers that the user named count. @throws `signal.reason` when aborted */
  scrape(names: readonly IdleName[], signal: AbortSignal): Promise<readonly TrackerCounts[]> {
    return this.#discovery.scrape(names, signal);
  }

  /** Null when none is wanted. */
  get dht(): Dht | null {
    return this.#discovery.dht;
  }

  /** Where the world reaches us: the gateway may have given us another port than the one we listen on. */
  get publicPort(): number {
    return this.#discovery.publicPort;
  }

  /** How the world reaches us, as far as that is known by now. */
  get reach(): Reach {
    return this.#discovery.reach;
  }

  /** Whether peers are dialled for every torrent, because the user named them. */
  get hasNamedPeers(): boolean {
    return this.#peers.length > 0;
  }

  /** Keeps the names of a torrent that opens when a peer asks for it (`wake`, with this number), and announces them. */
  addIdle(
    names: readonly IdleName[],
    torrent: number,
    { isPrivate = false, trackerTiers = [] }: { isPrivate?: boolean; trackerTiers?: TrackerTiers } = {},
  ): void {
    for (const name of names) this.session.addIdle(name, torrent);
    this.#discovery.addIdle(names, torrent, isPrivate, trackerTiers);
  }

  removeIdle(names: readonly IdleName[]): void {
    for (const name of names) this.session.removeIdle(name);
    this.#discovery.removeIdle(names);
  }

  /** Adds a torrent whose bytes have a place; what is not servable there yet is fetched. */
  addContent(torrent: Metainfo, store: Store, more: Partial<PeerNodeTorrent> = {}): Swarm {
    const { infoHashV1, infoHashV2, infoBytes, private: isPrivate } = torrent;
    const content = { store, ...torrentShape(torrent), webSeedPaths: () => webSeedPaths(torrent) };
    const webSeeds = torrent.webSeeds.map((url) => ({ url }));
    let isRechecking = false;
    const events: SwarmEvents = {
      ...more.events,
      fault: (fault) => {
        // What fails again while it is rechecked is another fault.
        if (!isRechecking && !more.toleratesFaults) {
          isRechecking = true;
          void this.#recheck(swarm, store).finally(() => {
            isRechecking = false;
          });
        }
        more.events?.fault?.(fault);
      },
    };
    const own = { infoHashV1, infoHashV2, infoBytes, content, private: isPrivate, webSeeds };
    const swarm = this.add({ ...own, ...more, events }, torrent.trackerTiers);
    return swarm;
  }

  /** How many peers served us a verified piece. */
  get provenPeers(): number {
    return this.#proven.size;
  }

  /** How many web seeds did. */
  get provenWebSeeds(): number {
    return this.#provenWebSeeds.size;
  }

  /** A piece of the swarm arrived: whoever serves it is asked for every torrent from now on. */
  noteProvenPeers(swarm: Swarm): void {
    for (const peer of swarm.peers.values()) {
      if (peer.isWebSeed && peer.downloadedBytes > 0) this.#provenWebSeeds.add(peer.address.host);
      const known = peer.known?.address;
      if (known && peer.downloadedBytes > 0) this.#proven.set(`${known.host} ${known.port}`, known);
    }
  }

  /** Asks for something short over HTTP(S): see `Reactor.httpGet`. */
  httpGet(url: string, options: HttpGetOptions, signal?: AbortSignal): Promise<HttpResult> {
    return this.#reactor.httpGet(url, options, signal);
  }

  /** What the user's lists of addresses came to; null when there are none. */
  get blocked(): BlockedCounts | null {
    return this.#addressLists?.counts(this.#reactor) ?? null;
  }

  stats(): ReactorStats {
    return this.#reactor.stats();
  }

  /** Closes everything; idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#discovery.leave();
    this.#stop.abort();
    this.session.close();
    await this.#discovery.close();
    await this.#reactor.shutdown();
    await this.#quotaRecord?.save(this.session.rates.usage);
  }

  #pump(): void {
    if (this.#stop.signal.aborted) return;
    const batch = this.#reactor.drain();
    this.#discovery.deliver(batch);
    this.session.apply(batch);
  }

  /** A disk that was gone may come back, a full one may have room: looks once a minute until nothing fails. */
  async #recheck(swarm: Swarm, store: Store): Promise<void> {
    const { signal } = this.#stop;
    while (swarm.state !== 'closed' && !signal.aborted) {
      try {
        await delay(recheckMs, undefined, { signal, ref: false });
        await store.recheck(signal);
        if (!store.isFaulty()) return swarm.resume();
      } catch {
        // The node is closing.
      }
    }
  }
}

function withKeys(connector: ConnectorChoice, i2pKeys: I2pKeys | null): ConnectorChoice {
  const keys = i2pKeys?.keys ?? null;
  if (connector.kind !== 'i2p' || keys === null) return connector;
  return { ...connector, bridge: { ...connector.bridge, keys } };
}

/** BEP 20: client and version, then random. */
function newPeerId(): Uint8Array {
  return Buffer.concat([Buffer.from('-BS0010-'), randomBytes(12)]);
}
