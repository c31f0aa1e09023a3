/** Peers that the user named (`--peer`, `x.pe` of a magnet link): the simplest source. */

import { type PeerAddress, type Resolve, resolvePeerAddress } from '../connector.js';

/**
 * Yields the addresses of `host:port` texts, resolving names one by one. A name that cannot be resolved is reported
 * and passed over: the other peers may still do.
 *
 * @throws `signal.reason` when aborted
 */
export async function* staticPeers(
  texts: readonly string[],
  options: { signal?: AbortSignal; resolve?: Resolve; onFault?: (text: string, error: unknown) => void } = {},
): AsyncGenerator<PeerAddress, void, undefined> {
  const { signal, onFault } = options;
  for (const text of texts) {
    let addresses: PeerAddress[];
    try {
      addresses = await resolvePeerAddress(text, options);
    } catch (error) {
      signal?.throwIfAborted();
      onFault?.(text, error);
      continue;
    }
    yield* addresses;
  }
}
