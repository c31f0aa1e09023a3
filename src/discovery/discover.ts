/** Merges sources of peers into one stream. */

import { formatPeerAddress, type PeerAddress } from '../connector.js';

/** Where peers come from. Called once; must end soon after its signal fires. */
export type PeerSource = (options: { signal: AbortSignal }) => AsyncIterable<PeerAddress>;

export interface DiscoverOptions {
  signal?: AbortSignal;
  /** Most addresses altogether. */
  peers?: number;
  /** Told when a source fails; the others go on. */
  onFault?: (error: unknown) => void;
}

/**
 * Yields the addresses of all sources as they come, each once, and at most `peers` of them (default 1000). Ends when
 * all sources have ended, and stops them when whoever reads it stops.
 *
 * @throws `signal.reason` when aborted
 */
export async function* discover(
  sources: readonly PeerSource[],
  options: DiscoverOptions = {},
): AsyncGenerator<PeerAddress, void, undefined> {
  const { signal, peers = 1000, onFault } = options;
  signal?.throwIfAborted();
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });

  // Pull: a source is asked for its next address only when its last one was taken.
  const pending = new Map<AsyncIterator<PeerAddress>, Promise<Step>>();
  const pull = (iterator: AsyncIterator<PeerAddress>) => {
    const step = iterator.next().then(
      (result): Step => ({ iterator, address: result.done === true ? null : result.value }),
      (error: unknown): Step => {
        if (!stop.signal.aborted) onFault?.(error);
        return { iterator, address: null };
      },
    );
    pending.set(iterator, step);
  };
  try {
    for (const source of sources) pull(source({ signal: stop.signal })[Symbol.asyncIterator]());
    const seen = new Set<string>();
    while (pending.size > 0 && seen.size < peers) {
      const { iterator, address } = await Promise.race(pending.values());
      signal?.throwIfAborted();
      if (address === null) {
        pending.delete(iterator);
        continue;
      }
      pull(iterator);
      const name = formatPeerAddress(address);
      if (seen.has(name)) continue;
      seen.add(name);
      yield address;
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    stop.abort();
    await Promise.allSettled([...pending.keys()].map(async (iterator) => iterator.return?.()));
  }
}

interface Step {
  readonly iterator: AsyncIterator<PeerAddress>;
  /** `null` when the source has ended. */
  readonly address: PeerAddress | null;
}
