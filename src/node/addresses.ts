/** The addresses that a user named, and those to begin with when none was. */

import { parseI2pAddress } from '../connector/i2p-address.js';
import type { Privacy, PrivacyOptions } from '../connector/privacy.js';
import {
  isLoopback,
  normalizeHost,
  type PeerAddress,
  parseHostPort,
  resolvePeerAddress,
} from '../connector.js';
import { PUBLIC_DHT_NODES } from '../discovery/bootstrap-nodes.js';
import { BlockswarmError } from '../errors.js';
import type { AddressListOptions } from './address-lists.js';
import type { Report } from './report.js';

/** Texts to addresses; names are resolved. @throws BlockswarmError ERR_ADDRESS */
export async function resolveAll(
  texts: readonly string[] = [],
  { names }: Privacy,
  signal: AbortSignal,
): Promise<PeerAddress[]> {
  if (names === 'i2p') return texts.map(parseI2pAddress);
  const proxyNames = names === 'proxy';
  return (await Promise.all(texts.map((text) => resolvePeerAddress(text, { signal, proxyNames })))).flat();
}

/** The same of what others named: what cannot be met in this privacy mode is passed over, and said. */
export async function resolveLearnt(
  texts: readonly string[],
  privacy: Privacy,
  signal: AbortSignal,
  report: Report,
): Promise<PeerAddress[]> {
  const found = await Promise.allSettled(texts.map((text) => resolveAll([text], privacy, signal)));
  signal.throwIfAborted();
  return found.flatMap((result) => {
    if (result.status === 'fulfilled') return result.value;
    report.warn(`a peer of the link is passed over: ${(result.reason as Error).message}`);
    return [];
  });
}

/** Who answers behind a name could not be told from others: datagrams come back from addresses. */
function literalNode(text: string): PeerAddress {
  const { host, port } = parseHostPort(text);
  if (normalizeHost(host) !== null) return { host, port };
  throw new BlockswarmError(
    'ERR_ADDRESS',
    `through a proxy a DHT node is named by its IP address, as its name would have to be looked up past it: \`${text}\``,
  );
}

/** How the world is met, and whether by the DHT. */
export interface DhtChoice extends PrivacyOptions, AddressListOptions {
  readonly dht: boolean;
  /** `host:port` of nodes to begin with; the public ones when none is named. */
  readonly dhtBootstrap?: readonly string[];
}

/**
 * The DHT nodes to begin with; null for no DHT. On loopback none is assumed: whoever listens there wants to
 * stay there. A public node whose name cannot be resolved is passed over.
 * @throws BlockswarmError ERR_ADDRESS for a node that the user named
 */
export async function dhtNodes(
  { dht, dhtBootstrap }: DhtChoice,
  privacy: Privacy,
  signal: AbortSignal,
  report: Report,
): Promise<PeerAddress[] | null> {
  if (!dht) return null;
  if (!privacy.udp) {
    if (dhtBootstrap) report.warn(`no DHT with --privacy ${privacy.mode}: --dht-bootstrap is of no use`);
    return null;
  }
  if (privacy.names !== 'dns') {
    if (dhtBootstrap) return dhtBootstrap.map(literalNode);
    report.warn(
      'no DHT: name a node to begin with by its IP address (--dht-bootstrap), or turn it off (--no-dht)',
    );
    return null;
  }
  if (dhtBootstrap) return resolveAll(dhtBootstrap, privacy, signal);
  if (privacy.listen && isLoopback(privacy.listen.host)) return [];
  const found = await Promise.allSettled(
    PUBLIC_DHT_NODES.map((text) => resolvePeerAddress(text, { signal })),
  );
  signal.throwIfAborted();
  const nodes = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  if (nodes.length === 0)
    report.warn('no public DHT node could be resolved: name one (--dht-bootstrap HOST:PORT)');
  return nodes;
}
