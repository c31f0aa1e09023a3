/**
 * Where the peers of all torrents come from, and who is told where we are: the DHT, trackers, the local network, and the
 * gateway that leads to us.
 */
import { createHash, randomBytes } from 'node:crypto';
import { isIPv4 } from 'node:net';
import { I2P_PORT } from '../connector/i2p-address.js';
import type { Privacy } from '../connector/privacy.js';
import { shownAddress } from '../connector/shown-address.js';
import { addressScope, type DialPolicy, isLoopback, type PeerAddress } from '../connector.js';
import { defaultGateway } from '../discovery/default-gateway.js';
import { Dht } from '../discovery/dht.js';
import type { ExternalAddress } from '../discovery/external-address.js';
import { type MappingMethod, PortMapping } from '../discovery/port-mapping.js';
import { TrackerClient, type TrackerStatus } from '../discovery/trackers/tracker-client.js';
import type { Batch, Reactor } from '../native.js';
import type { IdleName } from '../swarm/idle-torrents.js';
import type { Swarm } from '../swarm/swarm.js';
import type { DhtRecord } from './dht-record.js';
import { DhtSchedule } from './dht-schedule.js';
import { LocalPeers } from './local-peers.js';
import type { PeeringOptions } from './peering.js';
import type { Report } from './report.js';
import { ipVersions, trackerNetwork } from './tracker-network.js';
import { type TrackerCounts, TrackerSchedule, type TrackerTiers } from './tracker-schedule.js';

export interface DiscoveryOptions extends PeeringOptions {
  /** How the world is met, and where to listen: one port for peers (TCP), the DHT and uTP (UDP). */
  readonly privacy: Privacy;
  /** DHT nodes to begin with; null: no DHT. */
  readonly dht: readonly PeerAddress[] | null;
  /** Told of trackers that fail or warn. */
  readonly report?: Report;
  /** Where it is written down what the DHT node is to begin with next time. */
  readonly dhtRecord?: DhtRecord | null;
  /** Opens an idle torrent, by `addContent`: a peer asks for it. */
  readonly wake?: (torrent: number) => Promise<void>;
  /** The gateway, wherever we listen; left out: that of the default route, where our address may be behind it. */
  readonly gateway?: () => Promise<string | null>;
}

/** What it works through, and as whom. */
export interface DiscoveryPlace {
  readonly reactor: Reactor;
  /** Where we listen. */
  readonly address: PeerAddress;
  readonly dialPolicy: DialPolicy;
  readonly peerId: Uint8Array;
  readonly externalAddress: ExternalAddress;
}

/** How the world reaches us. */
export interface Reach {
  /** As most say; null until two networks agree. */
  readonly externalAddress: string | null;
  /** What one network claims while nothing is agreed. */
  readonly externalAddressClaim: string | null;
  /** The gateway's port that leads to ours. */
  readonly portMapping: { readonly method: MappingMethod; readonly externalPort: number } | null;
}

/** Announcements are spread within a second. */
const trackerTickMs = 100;

export class Discovery {
  /** Null when none is wanted. */
  readonly dht: Dht | null;
  readonly #place: DiscoveryPlace;
  readonly #privacy: Privacy;
  readonly #dhtRecord: DhtRecord | null;
  readonly #schedule: DhtSchedule | null;
  readonly #tracker: TrackerClient | null;
  readonly #trackers: TrackerSchedule | null;
  readonly #trackerTimer: NodeJS.Timeout | undefined;
  readonly #localPeers: LocalPeers | null;
  readonly #portMapping: PortMapping | null;
  #announcedPort: number;

  constructor(options: DiscoveryOptions, place: DiscoveryPlace) {
    const { privacy, utp = false, tracker = [], trackers: asksTrackers = true } = options;
    const { reactor, address, dialPolicy, externalAddress } = place;
    const { listen, direct: isDirect } = privacy;
    this.#place = place;
    this.#privacy = privacy;
    // Its id and nodes would tell that two runs are one.
    this.#dhtRecord = isDirect ? (options.dhtRecord ?? null) : null;
    this.dht =
      options.dht &&
      new Dht({
        send: (payload, host, port) => reactor.sendUdp(payload, host, port),
        address,
        mayDial: (node) => dialPolicy.mayDial(node, 'learnt'),
        bootstrap: options.dht,
        externalAddress,
        readOnly: !isDirect,
        ...(this.#dhtRecord && { state: this.#dhtRecord.state }),
      });
    // Nobody finds us where our datagrams come from when a proxy sends them.
    const dhtPort = () => (isDirect ? this.publicPort : null);
    this.#schedule = this.dht && new DhtSchedule({ dht: this.dht, port: dhtPort });
    this.#tracker = asksTrackers ? this.#trackerClient(options) : null;
    this.#trackers =
      this.#tracker && new TrackerSchedule({ client: this.#tracker, asked: tracker.map((url) => [url]) });
    if (this.#trackers) {
      this.#trackerTimer = setInterval(() => this.#trackers?.tick(performance.now()), trackerTickMs);
    }
    // Whoever listens on loopback wants to stay there, and other programs there are rarely meant.
    const { lsd = listen !== null && !isLoopback(listen.host), portMapping = true } = options;
    const { wake = async () => {} } = options;
    const hearsLocal = lsd && listen !== null && isDirect;
    this.#localPeers = hearsLocal ? new LocalPeers({ host: reactor, listening: address, wake }) : null;
    const isBehind = listen !== null && (options.gateway !== undefined || isBehindGateway(listen.host));
    const transports = options.dht || (utp && privacy.udp) ? (['tcp', 'udp'] as const) : (['tcp'] as const);
    this.#portMapping = portMapping && isDirect && isBehind ? this.#mapping(options, transports) : null;
    this.#announcedPort = this.publicPort;
    externalAddress.onChange((family, host) => {
      const { logAddresses: display = 'full' } = options;
      const shown = display === 'none' ? null : shownAddress(host, display);
      options.report?.event({ event: 'external-address', family, host: shown }, '');
    });
  }

  /** Where the world reaches us: the gateway may have given us another port than the one we listen on. */
  get publicPort(): number {
    return this.#portMapping?.mapped('tcp')?.externalPort ?? this.#place.address.port;
  }

  /** Where our node in the DHT is asked, for peers to know (BEP 5); null: there is none, or nobody can ask it. */
  get dhtPort(): number | null {
    const { direct, anonymous } = this.#privacy;
    if (!this.dht || !direct || anonymous) return null;
    return this.#portMapping?.mapped('udp')?.externalPort ?? this.#place.address.port;
  }

  /** How the world reaches us, as far as that is known by now. */
  get reach(): Reach {
    const mapped = this.#portMapping?.mapped('tcp');
    const { externalAddress } = this.#place;
    return {
      externalAddress: externalAddress.current('ipv4') ?? externalAddress.current('ipv6'),
      externalAddressClaim: externalAddress.claimed('ipv4') ?? externalAddress.claimed('ipv6'),
      portMapping: mapped ? { method: mapped.method, externalPort: mapped.externalPort } : null,
    };
  }

  /** Looks for the peers of a torrent until it closes. */
  add(swarm: Swarm, trackerTiers: TrackerTiers, announcedFirst: boolean): void {
    this.#schedule?.add(swarm, announcedFirst);
    this.#schedule?.tick(performance.now());
    this.#trackers?.add(swarm, trackerTiers);
    this.#localPeers?.add(swarm);
  }

  /** Its last wanted piece came. */
  completed(swarm: Swarm): void {
    this.#trackers?.completed(swarm);
  }

  /** Announces a torrent that is not open. */
  addIdle(names: readonly IdleName[], torrent: number, isPrivate: boolean, trackerTiers: TrackerTiers): void {
    this.#trackers?.addIdle(names, trackerTiers, isPrivate);
    // BEP 27: nobody is told of it but its trackers.
    if (isPrivate) return;
    for (const name of names) {
      this.#schedule?.addIdle(name);
      this.#localPeers?.addIdle(name, torrent);
    }
  }

  removeIdle(names: readonly IdleName[]): void {
    this.#trackers?.removeIdle(names);
    for (const name of names) {
      this.#schedule?.removeIdle(name);
      this.#localPeers?.removeIdle(name);
    }
  }

  /** What trackers say of a torrent. */
  trackerStatus(swarm: Swarm): readonly TrackerStatus[] {
    return this.#trackers?.status(swarm) ?? [];
  }

  /** What the trackers that the user named count. @throws `signal.reason` when aborted */
  async scrape(names: readonly IdleName[], signal: AbortSignal): Promise<readonly TrackerCounts[]> {
    return (await this.#trackers?.scrape(names, signal)) ?? [];
  }

  /** What came in that is no link's. */
  deliver({ datagrams, trackerAnswers, announcements }: Batch): void {
    this.dht?.deliver(datagrams);
    this.#tracker?.deliver(trackerAnswers);
    this.#localPeers?.deliver(announcements);
  }

  /** To be called about once a second. */
  tick(nowMs: number): void {
    this.#schedule?.tick(nowMs);
    if (this.dht) this.#dhtRecord?.tick(this.dht, nowMs);
    this.#localPeers?.tick(nowMs);
  }

  /** Tells those who are to be told that we leave; answers must still come in. */
  async leave(): Promise<void> {
    clearInterval(this.#trackerTimer);
    this.#trackers?.tick(performance.now());
    // Trackers let go of the port that they know.
    await this.#trackers?.close();
    await this.#portMapping?.close();
  }

  async close(): Promise<void> {
    this.#localPeers?.close();
    await this.#schedule?.close();
    await this.dht?.close();
    if (this.dht) await this.#dhtRecord?.save(this.dht.state());
  }

  /** Whoever was told of another port is told of this one. */
  #announceAgain(): void {
    const port = this.publicPort;
    if (port === this.#announcedPort) return;
    this.#announcedPort = port;
    this.#trackers?.portChanged();
    this.#schedule?.portChanged();
  }

  #mapping({ gateway, report }: DiscoveryOptions, transports: readonly ('tcp' | 'udp')[]): PortMapping {
    const { reactor, address, externalAddress } = this.#place;
    return new PortMapping({
      mapPort: (request) => reactor.mapPort(request),
      gateway: gateway ?? defaultGateway,
      port: address.port,
      transports,
      externalAddress,
      changed: ({ transport, method, externalPort }) => {
        this.#announceAgain();
        const text = `port ${externalPort} of the gateway leads here (${transport}, ${method})`;
        report?.event({ event: 'port-mapped', transport, method, externalPort }, text);
      },
    });
  }

  #trackerClient({ privacy, report }: DiscoveryOptions): TrackerClient {
    const { reactor, address, dialPolicy, peerId, externalAddress } = this.#place;
    const secret = randomBytes(20);
    const known = (what: string, name: string) =>
      createHash('sha1').update(secret).update(`${what} ${name}`, 'latin1').digest();
    const key = secret.readUInt32BE();
    // Where nobody is met by our address, our port would only tell who we are.
    const isMet = privacy.direct || privacy.udp;
    return new TrackerClient({
      network: trackerNetwork({ reactor, dialPolicy, address, privacy }),
      clock: () => performance.now(),
      random: Math.random,
      // Trackers want one; whoever cannot be reached names one where nobody listens.
      port: () => (privacy.names === 'i2p' ? I2P_PORT : (isMet && this.publicPort) || 1),
      // In secret each torrent's is another.
      peerId: (name) => (privacy.anonymous ? known('peer id', name) : peerId),
      key: (name) => (privacy.anonymous ? known('key', name).readUInt32BE() : key),
      ipVersions: ipVersions(address),
      externalAddress: (vote) => externalAddress.vote({ ...vote, source: 'tracker' }),
      warned: (tracker, message) =>
        report?.event({ event: 'tracker-warning', tracker, message }, `${tracker} says: ${message}`),
      failing: (tracker, reason, asked) => {
        // A torrent names many that are gone; those that the user named should work.
        if (asked) report?.warn(`tracker ${tracker} fails: ${reason}`);
        else report?.event({ event: 'tracker-failing', tracker, reason }, '');
      },
    });
  }
}

/** Whether a port of ours may be one of a gateway's: we listen on an IPv4 address that the world does not have. */
function isBehindGateway(host: string): boolean {
  return host === '0.0.0.0' || host === '::' || (isIPv4(host) && addressScope(host) === 'private');
}
