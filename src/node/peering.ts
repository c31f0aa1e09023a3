/** How peers are met and served, as a job's options say it. What is absent has its default. */
import type { SeedChoker } from '../swarm/choker.js';
import type { Encryption } from '../swarm/dial-ways.js';

export interface PeeringOptions {
  /** Connections of all torrents. */
  readonly maxConnections?: number;
  /** Peers that are served at a time. */
  readonly uploadSlots?: number;
  /** Whom to serve of a torrent that is whole. */
  readonly choker?: SeedChoker;
  /** Default `allowed`. */
  readonly encryption?: Encryption;
  /** Peers are also met over uTP, on the UDP port. */
  readonly utp?: boolean;
}

/** Of a job's options those that are about peers. */
export function peering({
  maxConnections,
  uploadSlots,
  choker,
  encryption,
  utp,
}: PeeringOptions): PeeringOptions {
  return {
    ...(maxConnections !== undefined && { maxConnections }),
    ...(uploadSlots !== undefined && { uploadSlots }),
    ...(choker && { choker }),
    ...(encryption && { encryption }),
    ...(utp && { utp }),
  };
}
