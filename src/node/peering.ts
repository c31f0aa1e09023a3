/** How peers are met and served, as a job's options say it. What is absent has its default. */
import type { SeedChoker } from '../swarm/choker.js';
import type { Encryption } from '../swarm/dial-ways.js';
import { LAN, type RateLimitsOptions, type RateSchedule } from '../swarm/rate-limits.js';
import type { QuotaUsage } from '../swarm/traffic-quota.js';

export type { RateSchedule };

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
  /** Off: nobody is told of other peers, nor heard about them (BEP 11). */
  readonly pex?: boolean;
  /** Bytes a second of all connections together; 0: no limit. */
  readonly maxUpload?: number;
  readonly maxDownload?: number;
  /** Rates for certain times; a direction that one leaves out is as `maxUpload` and `maxDownload` say. */
  readonly schedule?: readonly RateSchedule[];
  /** Bytes sent in a calendar month, after which nothing is sent. */
  readonly quota?: number;
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
  pex,
  maxUpload,
  maxDownload,
  schedule,
  quota,
  limitLan,
}: PeeringOptions): PeeringOptions {
  return {
    ...(maxConnections !== undefined && { maxConnections }),
    ...(uploadSlots !== undefined && { uploadSlots }),
    ...(choker && { choker }),
    ...(encryption && { encryption }),
    ...(utp && { utp }),
    ...(pex !== undefined && { pex }),
    ...(maxUpload !== undefined && { maxUpload }),
    ...(maxDownload !== undefined && { maxDownload }),
    ...(schedule && { schedule }),
    ...(quota !== undefined && { quota }),
    ...(limitLan && { limitLan }),
  };
}

/** What the session is told of rates, and of what was used of the quota before. */
export function rateLimits(
  { maxUpload, maxDownload, schedule = [], quota, limitLan = false }: PeeringOptions,
  usage: QuotaUsage | null,
): RateLimitsOptions {
  const rates = { uploadBytesPerSecond: maxUpload ?? 0, downloadBytesPerSecond: maxDownload ?? 0 };
  return {
    rates,
    schedules: schedule.map((each) => ({ ...each, rates: { ...rates, ...each.rates } })),
    ...(quota !== undefined && { quota: { uploadBytes: quota }, usage }),
    ...(limitLan && { classes: [{ ...LAN, exempt: false }] }),
  };
}
