/** How peers are met and served, as a job's options say it. What is absent has its default. */
import type { SeedChoker } from '../swarm/choker.js';
import type { Encryption } from '../swarm/dial-ways.js';
import { LAN, type RateLimitsOptions } from '../swarm/rate-limits.js';

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
  /** Bytes a second of all connections together; 0: no limit. */
  readonly maxUpload?: number;
  readonly maxDownload?: number;
  /** The limits hold for peers of the local network, too. */
  readonly limitLan?: boolean;
}

/** Of a job's options those that are about peers. */
export function peering({
  maxConnections,
  uploadSlots,
  choker,
  encryption,
  utp,
  maxUpload,
  maxDownload,
  limitLan,
}: PeeringOptions): PeeringOptions {
  return {
    ...(maxConnections !== undefined && { maxConnections }),
    ...(uploadSlots !== undefined && { uploadSlots }),
    ...(choker && { choker }),
    ...(encryption && { encryption }),
    ...(utp && { utp }),
    ...(maxUpload !== undefined && { maxUpload }),
    ...(maxDownload !== undefined && { maxDownload }),
    ...(limitLan && { limitLan }),
  };
}

/** What the session is told of rates. */
export function rateLimits({ maxUpload, maxDownload, limitLan = false }: PeeringOptions): RateLimitsOptions {
  const rates = { uploadBytesPerSecond: maxUpload ?? 0, downloadBytesPerSecond: maxDownload ?? 0 };
  return { rates, ...(limitLan && { classes: [{ ...LAN, exempt: false }] }) };
}
