/**
 * One BitTorrent node of the process: the reactor's sockets, the session's decisions, the DHT, and the pump
 * between them. Only here they are wired together.
 */
import { createHash, randomBytes } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { availableParallelism, totalmem } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { Privacy } from '../connector/privacy.js';
import { type AddressDisplay, shownAddress } from '../connector/shown-address.js';
import { addressScope, DialPolicy, formatPeerAddress, isLoopback, type PeerAddress } from '../connector.js';
import { defaultGateway } from '../discovery/default-gateway.js';
import { Dht } from '../discovery/dht.js';
import { ExternalAddress } from '../discovery/external-address.js';
import { type MappingMethod, PortMapping } from '../discovery/port-mapping.js';
import { TrackerClient, type TrackerStatus } from '../discovery/trackers/tracker-client.js';
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
import type { AddressLists } from './address-lists.js';
import type { DhtRecord } from './dht-record.js';
import { DhtSchedule } from './dht-schedule.js';
import { LocalPeers } from './local-peers.js';
import { type PeeringOptions, rateLimits } from './peering.js';
import type { QuotaRecord } from './quota-record.js';
import type { Report } from './report.js';
import { ipVersions, trackerNetwork } from './tracker-network.js';
import { TrackerSchedule, type TrackerTiers } from './tracker-schedule.js';

export interface PeerNodeOptions extends PeeringOptions {
  /** How the world is met, and where to listen: one port for peers (TCP), the DHT and uTP (UDP). */
  readonly privacy: Privacy;
  /** Whom not to meet. */
  readonly addressLists: AddressLists | null;
  /** Peers that the user named; asked for every torrent. */
  readonly peers: readonly PeerAddress[];
  /** DHT nodes to begin with; null: no DHT. */
  readonly dht: readonly PeerAddress[] | null;
  /** Told of trackers that fail or warn. */
  readonly report?: Report;
  /** Where it is written down what the DHT node is to begin with next time. */
  readonly dhtRecord?: DhtRecord | null;
  /** Opens an idle torrent, by `addContent`: a peer asks for it. */
  readonly wake?: (torrent: number) => Promise<void>;
  /** URLs that the user named, asked for every torrent beside its own web seeds; null: no web seed is asked. */
  readonly webSeeds?: readonly string[] | null;
  /** Where it is written down what was used of the quota. */
  readonly quotaRecord?: QuotaRecord | null;
  /** The gateway, wherever we listen; left out: that of the default route, where our address may be behind it. */
  readonly gateway?: () => Promise<string | null>;
}

const tickMs = 1000;
/** Announcements are spread within a second. */
const trackerTickMs = 100;
/** Between two looks at files that failed. */
const recheckMs = 60_000;
/** Pieces on their way in, over all torrents, in memory. */
const assemblyBytes = Math.min(192 * 2 ** 20, Math.max(64 * 2 ** 20, totalmem() / 64));
const maxLinks = 4000;
const maxHalfOpenLinks = 100;

const nowhere: PeerAddress = { host: '0.0.0.0', port: 0 };

/** How the world reaches us. */
export interface Reach {
  /** As most say; null while nobody has. */
  readonly externalAddress: string | null;
  /** The gateway's port that leads to ours. */
  readonly portMapping: { readonly method: MappingMethod; readonly externalPort: number } | null;
}

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
  /** Null when none is wanted. */
  readonly dht: Dht | null;
  readonly #reactor: Reactor;
  readonly #schedule: DhtSchedule | null;
  readonly #tracker: TrackerClient | null;
  readonly #trackers: TrackerSchedule | null;
  readonly #trackerTimer: NodeJS.Timeout | undefined;
  readonly #localPeers: LocalPeers | null;
  readonly #portMapping: PortMapping | null;
  readonly #peers: readonly PeerAddress[];
  readonly #webSeeds: readonly WebSeedSource[] | undefined;
  readonly #timer: NodeJS.Timeout;
  readonly #quotaRecord: QuotaRecord | null;
  readonly #dhtRecord: DhtRecord | null;
  readonly #addressLists: AddressLists | null;
  readonly #report: Report | null;
  #told: { proxyFault: string | null; host: string | null; fault: string | null } = {
    proxyFault: null,
    host: null,
    fault: null,
  };
  readonly #stop = new AbortController();
  #announcedPort = 0;
  /** Addresses that served us a torrent: they are asked for the others as well. */
  readonly #proven = new Map<string, PeerAddress>();
  readonly #provenWebSeeds = new Set<string>();

  /** @throws BlockswarmError ERR_ADDRESS, ERR_PORT_IN_USE, ERR_LISTEN */
  constructor(options: PeerNodeOptions) {
    const { privacy } = options;
    const threads = availableParallelism();
    this.#peers = options.peers;
    this.logAddresses = options.logAddresses ?? 'full';
    const { webSeeds = [], tracker = [], trackers: asksTrackers = true } = options;
    this.#webSeeds = webSeeds?.map((url) => ({ url, asked: true }));
    const { maxConnections = maxLinks, uploadSlots: slots, choker: seedChoker } = options;
    const { connector, listen, anonymous } = privacy;
    const utp = (options.utp ?? false) && privacy.udp;
    const { encryption, pex = true, quotaRecord = null } = options;
    // Its id and nodes would tell that two runs are one.
    const dhtRecord = privacy.direct ? (options.dhtRecord ?? null) : null;
    // Whoever listens on loopback wants to stay there, and other programs there are rarely meant.
    const { lsd = listen !== null && !isLoopback(listen.host), portMapping = true } = options;
    this.#quotaRecord = quotaRecord;
    this.#dhtRecord = dhtRecord;
    this.maxConnections = maxConnections;
    const limits = { links: maxConnections, halfOpenLinks: maxHalfOpenLinks };
    const sizes = { networkThreads: threads, workerThreads: threads, assemblyBytes };
    this.#reactor = new Reactor({ connector, anonymous, ...sizes, ...limits }, () => this.#pump());
    this.#addressLists = options.addressLists;
    this.#report = options.report ?? null;
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
    const dialPolicy = new DialPolicy({ listening: listen && this.address, proxied: !privacy.direct });
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
      rates: rateLimits(options, quotaRecord?.usage ?? null),
      ...(options.wake && { wake: options.wake }),
    });
    this.dht =
      options.dht &&
      new Dht({
        send: (payload, host, port) => this.#reactor.sendUdp(payload, host, port),
        address: this.address,
        mayDial: (address) => dialPolicy.mayDial(address, 'learnt'),
        bootstrap: options.dht,
        externalAddress: this.externalAddress,
        readOnly: !privacy.direct,
        ...(dhtRecord && { state: dhtRecord.state }),
      });
    // Nobody finds us where our datagrams come from when a proxy sends them.
    const dhtPort = () => (privacy.direct ? this.publicPort : null);
    this.#schedule = this.dht && new DhtSchedule({ dht: this.dht, port: dhtPort });
    this.#tracker = asksTrackers ? this.#trackerClient(dialPolicy, peerId, options) : null;
    this.#trackers =
      this.#tracker && new TrackerSchedule({ client: this.#tracker, asked: tracker.map((url) => [url]) });
    if (this.#trackers) {
      this.#trackerTimer = setInterval(() => this.#trackers?.tick(performance.now()), trackerTickMs);
    }
    const { wake = async () => {} } = options;
    const hearsLocal = lsd && listen !== null && privacy.direct;
    this.#localPeers = hearsLocal
      ? new LocalPeers({ host: this.#reactor, listening: this.address, wake })
      : null;
    const maps =
      portMapping &&
      listen !== null &&
      privacy.direct &&
      (options.gateway !== undefined || isBehindGateway(listen.host));
    this.#portMapping = maps
      ? new PortMapping({
          mapPort: (request) => this.#reactor.mapPort(request),
          gateway: options.gateway ?? defaultGateway,
          port: this.address.port,
          transports: options.dht || utp ? ['tcp', 'udp'] : ['tcp'],
          externalAddress: this.externalAddress,
          changed: ({ transport, method, externalPort }) => {
            this.#announceAgain();
            const text = `port ${externalPort} of the gateway leads here (${transport}, ${method})`;
            options.report?.event({ event: 'port-mapped', transport, method, externalPort }, text);
          },
        })
      : null;
    this.#announcedPort = this.publicPort;
    this.externalAddress.onChange((family, host) => {
      const { logAddresses: display = 'full' } = options;
      const shown = display === 'none' ? null : shownAddress(host, display);
      options.report?.event({ event: 'external-address', family, host: shown }, '');
    });
    this.#timer = setInterval(() => {
      this.session.tick();
      this.#quotaRecord?.tick(this.session.rates.status(), performance.now());
      this.#schedule?.tick(performance.now());
      if (this.dht) this.#dhtRecord?.tick(this.dht, performance.now());
      this.#localPeers?.tick(performance.now());
      this.#addressLists?.tick(this.#reactor, performance.now(), this.#stop.signal);
      this.#tellOfProxy();
    }, tickMs);
  }

  /** Adds a torrent, and looks for its peers until the node or the swarm closes. */
  add(options: SwarmOptions, trackerTiers: TrackerTiers = []): Swarm {
    const webSeeds = this.#webSeeds ? [...this.#webSeeds, ...(options.webSeeds ?? [])] : [];
    const complete = () => {
      this.#trackers?.completed(swarm);
      options.events?.complete?.();
    };
    const swarm: Swarm = this.session.add({ ...options, webSeeds, events: { ...options.events, complete } });
    swarm.addPeers(this.#peers, 'asked');
    swarm.addPeers(this.#proven.values(), 'dht');
    this.#schedule?.add(swarm);
    this.#schedule?.tick(performance.now());
    this.#trackers?.add(swarm, trackerTiers);
    this.#localPeers?.add(swarm);
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
    swarm.addPeers(this.#proven.values(), 'dht');
    return swarm;
  }

  /** `host:port` where it listens; null when it does not. */
  get listening(): string | null {
    return this.address === nowhere ? null : formatPeerAddress(this.address);
  }

  /** What trackers say of a torrent. */
  trackerStatus(swarm: Swarm): readonly TrackerStatus[] {
    return this.#trackers?.status(swarm) ?? [];
  }

  /** Where the world reaches us: the gateway may have given us another port than the one we listen on. */
  get publicPort(): number {
    return this.#portMapping?.mapped('tcp')?.externalPort ?? this.address.port;
  }

  /** How the world reaches us, as far as that is known by now. */
  get reach(): Reach {
    const mapped = this.#portMapping?.mapped('tcp');
    const { externalAddress } = this;
    return {
      externalAddress: externalAddress.current('ipv4') ?? externalAddress.current('ipv6'),
      portMapping: mapped ? { method: mapped.method, externalPort: mapped.externalPort } : null,
    };
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
    this.#trackers?.addIdle(names, trackerTiers, isPrivate);
    for (const name of names) {
      this.session.addIdle(name, torrent);
      // BEP 27: nobody is told of it but its trackers.
      if (isPrivate) continue;
      this.#schedule?.addIdle(name);
      this.#localPeers?.addIdle(name, torrent);
    }
  }

  removeIdle(names: readonly IdleName[]): void {
    this.#trackers?.removeIdle(names);
    for (const name of names) {
      this.session.removeIdle(name);
      this.#schedule?.removeIdle(name);
      this.#localPeers?.removeIdle(name);
    }
  }

  /** Adds a torrent whose bytes have a place; what is not servable there yet is fetched. */
  addContent(torrent: Metainfo, store: Store, more: Partial<SwarmOptions> = {}): Swarm {
    const { infoHashV1, infoHashV2, infoBytes, private: isPrivate } = torrent;
    const content = { store, ...torrentShape(torrent), webSeedPaths: () => webSeedPaths(torrent) };
    const webSeeds = torrent.webSeeds.map((url) => ({ url }));
    let isRechecking = false;
    const events: SwarmEvents = {
      ...more.events,
      fault: (fault) => {
        // What fails again while it is rechecked is another fault.
        if (!isRechecking) {
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

  stats(): ReactorStats {
    return this.#reactor.stats();
  }

  /** Closes everything; idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    clearInterval(this.#trackerTimer);
    // While answers still come in.
    this.#trackers?.tick(performance.now());
    // Trackers let go of the port that they know.
    await this.#trackers?.close();
    await this.#portMapping?.close();
    this.#stop.abort();
    this.#localPeers?.close();
    this.session.close();
    await this.#schedule?.close();
    await this.dht?.close();
    if (this.dht) await this.#dhtRecord?.save(this.dht.state());
    await this.#reactor.shutdown();
    await this.#quotaRecord?.save(this.session.rates.usage);
  }

  /** Whoever was told of another port is told of this one. */
  #announceAgain(): void {
    const port = this.publicPort;
    if (port === this.#announcedPort) return;
    this.#announcedPort = port;
    this.#trackers?.portChanged();
    this.#schedule?.portChanged();
  }

  #trackerClient(
    dialPolicy: DialPolicy,
    peerId: Uint8Array,
    { privacy, report }: PeerNodeOptions,
  ): TrackerClient {
    const { address } = this;
    const secret = randomBytes(20);
    return new TrackerClient({
      network: trackerNetwork({ reactor: this.#reactor, dialPolicy, address, privacy }),
      clock: () => performance.now(),
      random: Math.random,
      // Trackers want one; whoever cannot be reached names one where nobody listens.
      port: () => this.publicPort || 1,
      // In secret each torrent's is another.
      peerId: (name) =>
        privacy.anonymous ? createHash('sha1').update(secret).update(name, 'latin1').digest() : peerId,
      ipVersions: ipVersions(address),
      externalAddress: (vote) => this.externalAddress.vote({ ...vote, source: 'tracker' }),
      warned: (tracker, message) =>
        report?.event({ event: 'tracker-warning', tracker, message }, `${tracker} says: ${message}`),
      failing: (tracker, reason, asked) => {
        // A torrent names many that are gone; those that the user named should work.
        if (asked) report?.warn(`tracker ${tracker} fails: ${reason}`);
        else report?.event({ event: 'tracker-failing', tracker, reason }, '');
      },
    });
  }

  /** Says once what is in the way, and where peers come in. */
  #tellOfProxy(): void {
    const proxyFault = this.#reactor.proxyFault();
    if (proxyFault !== null && proxyFault !== this.#told.proxyFault)
      this.#report?.warn(`the proxy ${proxyFault}: until it is of use nobody is met`);
    const { host, fault } = this.#reactor.onion();
    if (fault !== null && fault !== this.#told.fault) this.#report?.warn(`no onion service: Tor ${fault}`);
    if (host !== null && host !== this.#told.host) {
      const address = formatPeerAddress({ host, port: this.address.port });
      this.#report?.event({ event: 'onion', address }, `peers come in at ${address}`);
    }
    this.#told = { proxyFault, host: host ?? this.#told.host, fault };
  }

  #pump(): void {
    if (this.#stop.signal.aborted) return;
    const batch = this.#reactor.drain();
    this.dht?.deliver(batch.datagrams);
    this.#tracker?.deliver(batch.trackerAnswers);
    this.#localPeers?.deliver(batch.announcements);
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

/** Whether a port of ours may be one of a gateway's: we listen on an IPv4 address that the world does not have. */
function isBehindGateway(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || (isIPv4(host) && addressScope(host) === 'private');
}

/** BEP 20: client and version, then random. */
function newPeerId(): Uint8Array {
  return Buffer.concat([Buffer.from('-BS0010-'), randomBytes(12)]);
}
