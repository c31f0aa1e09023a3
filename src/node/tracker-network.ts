/** What trackers are asked through: the sockets of the reactor, and the rules of where we go. */
import { isIPv4 } from 'node:net';
import type { Privacy } from '../connector/privacy.js';
import {
  type DialPolicy,
  formatPeerAddress,
  isLoopback,
  normalizeHost,
  type PeerAddress,
  resolvePeerAddress,
} from '../connector.js';
import type { IpVersion, TrackerNetwork } from '../discovery/trackers/announce.js';
import type { Reactor } from '../native.js';

export interface TrackerNetworkOptions {
  readonly reactor: Pick<Reactor, 'httpGet' | 'askUdpTracker' | 'i2pAddress'>;
  readonly dialPolicy: DialPolicy;
  /** Where we listen. */
  readonly address: PeerAddress;
  readonly privacy: Pick<Privacy, 'udp' | 'names'>;
}

export function trackerNetwork(options: TrackerNetworkOptions): TrackerNetwork {
  const { reactor, dialPolicy, address, privacy } = options;
  // Whoever listens on loopback wants to stay there: not even a name is looked up.
  const loopback = isLoopback(address.host);
  const isOutside = (host: string) => loopback && host !== 'localhost' && !isLoopback(host);
  return {
    get: async (url, { asked, ipVersion, ...limits }, signal) => {
      const { hostname } = new URL(url);
      if (isOutside(hostname.replace(/^\[(.*)\]$/, '$1')))
        return { failure: 'forbidden-address', retryAfterMs: null };
      const reach = { asked, loopback, tracker: true, family: ipVersion };
      return reactor.httpGet(url, { ...limits, reach }, signal);
    },
    askUdp: privacy.udp ? (request, { host, port }) => reactor.askUdpTracker(request, host, port) : null,
    resolve: async (host, port, signal) => {
      const addresses = isOutside(host)
        ? []
        : await resolvePeerAddress(formatPeerAddress({ host, port }), {
            signal,
            proxyNames: privacy.names !== 'dns',
          });
      // A proxy takes names for connections, not for datagrams.
      return addresses.filter((found) => normalizeHost(found.host) !== null);
    },
    i2p: privacy.names === 'i2p' ? { destination: () => reactor.i2pAddress()?.destination ?? null } : null,
    mayAsk: (to, asked) => dialPolicy.mayDial(to, asked ? 'asked' : 'learnt'),
  };
}

/** The families of which peers reach us where we listen: a tracker lists us under the address that it sees. */
export function ipVersions({ host }: PeerAddress): readonly IpVersion[] {
  if (isIPv4(host)) return [4];
  return host === '::' ? [4, 6] : [6];
}
