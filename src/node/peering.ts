/** How peers are met and served, as a job's options say it. What is absent has its default. */
import type { AddressDisplay } from '../connector/shown-address.js';
import { parseTrackerUrl } from '../discovery/trackers/tracker-url.js';
import { BlockswarmError } from '../errors.js';
import type { SeedChoker } from '../swarm/choker.js';
import type { Encryption } from '../swarm/dial-ways.js';
import { LAN, type RateLimitsOptions, type RateSchedule } from '../swarm/rate-limits.js';
import type { QuotaUsage } from '../swarm/traffic-quota.js';
import { shownUrl } from '../swarm/web-seeds.js';

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
  /** URLs of trackers for every torrent that is not private, beside those that it names. */
  readonly tracker?: readonly string[];
  /** Off: no tracker is asked. */
  readonly trackers?: boolean;
  /** The local network is told of torrents, and heard (BEP 14). Default on, but on loopback. */
  readonly lsd?: boolean;
  /** Off: the gateway is not asked for a port. */
  readonly portMapping?: boolean;
  /** Bytes a second of all connections together; 0: no limit. */
  readonly maxUpload?: number;
  readonly maxDownload?: number;
  /** Rates for certain times; a direction that one leaves out is as `maxUpload` and `maxDownload` say. */
  readonly schedule?: readonly RateSchedule[];
  /** Bytes sent in a calendar month, after which nothing is sent. */
  readonly quota?: number;
  /** The limits hold for peers of the local network, too. */
  readonly limitLan?: boolean;
  /** How addresses of peers stand in what is reported. Default `full`. */
  readonly logAddresses?: AddressDisplay;
}

/** Of a job's options those that are about peers. @throws BlockswarmError ERR_USAGE */
export function peering({
  maxConnections,
  uploadSlots,
  choker,
  encryption,
  utp,
  pex,
  tracker,
  trackers,
  lsd,
  portMapping,
  maxUpload,
  maxDownload,
  schedule,
  quota,
  limitLan,
  logAddresses,
}: PeeringOptions): PeeringOptions {
  return {
    ...(maxConnections !== undefined && { maxConnections }),
    ...(uploadSlots !== undefined && { uploadSlots }),
    ...(choker && { choker }),
    ...(encryption && { encryption }),
    ...(utp && { utp }),
    ...(pex !== undefined && { pex }),
    ...(tracker && { tracker: checkTrackers(tracker) }),
    ...(trackers !== undefined && { trackers }),
    ...(lsd !== undefined && { lsd }),
    ...(portMapping !== undefined && { portMapping }),
    ...(maxUpload !== undefined && { maxUpload }),
    ...(maxDownload !== undefined && { maxDownload }),
    ...(schedule && { schedule }),
    ...(quota !== undefined && { quota }),
    ...(limitLan && { limitLan }),
    ...(logAddresses && { logAddresses }),
  };
}

function checkTrackers(urls: readonly string[]): readonly string[] {
  const wrong = urls.find((url) => parseTrackerUrl(url) === null);
  if (wrong === undefined) return urls;
  throw new BlockswarmError(
    'ERR_USAGE',
    `not the http, https or udp URL of a tracker: \`${shownUrl(wrong)}\``,
  );
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
