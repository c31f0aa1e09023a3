/** The addresses that a user named, and those to begin with when none was. */
import { isLoopback, type PeerAddress, parseHostPort, resolvePeerAddress } from '../connector.js';
import { PUBLIC_DHT_NODES } from '../discovery/bootstrap-nodes.js';
import type { Report } from './report.js';

/** Texts to addresses; names are resolved. @throws BlockswarmError ERR_ADDRESS */
export async function resolveAll(texts: readonly string[] = [], signal: AbortSignal): Promise<PeerAddress[]> {
  return (await Promise.all(texts.map((text) => resolvePeerAddress(text, { signal })))).flat();
}

export interface DhtChoice {
  readonly dht: boolean;
  /** `host:port` of nodes to begin with; the public ones when none is named. */
  readonly dhtBootstrap?: readonly string[];
  readonly listen: string;
}

/**
 * The DHT nodes to begin with; null for no DHT. On loopback none is assumed: whoever listens there wants to
 * stay there. A public node whose name cannot be resolved is passed over.
 * @throws BlockswarmError ERR_ADDRESS for a node that the user named
 */
export async function dhtNodes(
  { dht, dhtBootstrap, listen }: DhtChoice,
  signal: AbortSignal,
  report: Report,
): Promise<PeerAddress[] | null> {
  if (!dht) return null;
  if (dhtBootstrap) return resolveAll(dhtBootstrap, signal);
  if (isLoopback(parseHostPort(listen, { anyPort: true }).host)) return [];
  const found = await Promise.allSettled(
    PUBLIC_DHT_NODES.map((text) => resolvePeerAddress(text, { signal })),
  );
  signal.throwIfAborted();
  const nodes = found.flatMap((result) => (result.status === 'fulfilled' ? result.value : []));
  if (nodes.length === 0)
    report.warn('no public DHT node could be resolved: name one (--dht-bootstrap HOST:PORT)');
  return nodes;
}
