/** What every kind of `seed` says: that it is ready, and at the end what it sent. */

import type { BlockedCounts } from '../node/address-lists.js';
import type { PeerNode } from '../node/peer-node.js';
import { formatBytes } from '../units.js';
import { type Env, stopped } from './env.js';
import type { Output, OutputOptions } from './output.js';

interface Seeding {
  readonly env: Env;
  readonly output: Output;
  readonly options: OutputOptions;
  readonly peerNode: PeerNode;
  /** The fields of the ready line. */
  readonly ready: { readonly listen: string | null };
  /** It for a person. */
  readonly text: string;
  readonly startedMs: number;
}

/** Says that peers may come, and how they reach us as far as that is known already; resolves when it is to stop. */
export async function seeding({
  env,
  output,
  options,
  peerNode,
  ready,
  text,
  startedMs,
}: Seeding): Promise<void> {
  output.progress.clear();
  // The ready line is data: scripts wait for it, so it goes to stdout in either form.
  if (options.json || options.jsonLines)
    output.result({ event: 'ready', ...ready, ...peerNode.reach }, () => '');
  else env.out(`ready: ${text}\n`);
  await stopped(env);
  const { uploadedBytes } = peerNode.stats();
  const seconds = (performance.now() - startedMs) / 1000;
  const { blocked, reach } = peerNode;
  output.event(
    { event: 'stopped', uploadedBytes, seconds, blocked, ...reach },
    `stopped: ${formatBytes(uploadedBytes)} uploaded${blocked ? `; ${blockedText(blocked)}` : ''}`,
  );
}

function blockedText({ dials, incoming, links, datagrams }: BlockedCounts): string {
  return `blocked: ${dials} not dialled, ${incoming} not let in, ${links} ended, ${datagrams} datagrams`;
}
