/** What a tracker is told, and what it says (BEP 3). */
import type { PeerAddress } from '../../connector.js';

/** `paused`: a partial seed, which has what it wants and not all (BEP 21). */
export type AnnounceEvent = 'started' | 'completed' | 'stopped' | 'paused' | null;
export type IpVersion = 4 | 6;

/** One infohash at one tracker. */
export interface Announce {
  /** 20 bytes, each a character. */
  readonly name: string;
  /** 20 bytes. */
  readonly peerId: Uint8Array;
  /** By it we are known again when our address changes: 32 bits. */
  readonly key: number;
  /** Where peers reach us. */
  readonly port: number;
  readonly uploadedBytes: number;
  readonly downloadedBytes: number;
  readonly leftBytes: number;
  readonly event: AnnounceEvent;
  /** Peers that are wanted. */
  readonly numWant: number;
  /** What this tracker said last, if it did. */
  readonly trackerId: Uint8Array | null;
}

export interface AnnounceReply {
  readonly failure: null;
  readonly intervalMs: number;
  /** Sooner than this it is not asked without need. */
  readonly minIntervalMs: number | null;
  readonly peers: readonly PeerAddress[];
  /** Counts of the swarm, as far as the tracker tells. */
  readonly seeds: number | null;
  readonly leechers: number | null;
  readonly trackerId: Uint8Array | null;
  /** Where it sees us (BEP 24): 4 or 16 bytes. */
  readonly externalAddress: Uint8Array | null;
  readonly warning: string | null;
}

/**
 * Why there is no reply. Of the `host`: nobody answers there; of the `tracker`: what answers is none, or is broken; of
 * the `torrent`: it does not want this one; of the `address`: the host has none of the family that was asked for. `busy`:
 * we could not ask.
 */
export interface AnnounceFailure {
  readonly failure: string;
  readonly of: 'host' | 'tracker' | 'torrent' | 'address' | 'busy';
  /** When it wants to be asked again (BEP 31, `Retry-After`); infinite for never. */
  readonly retryMs: number | null;
}

export type AnnounceResult = (AnnounceReply & { readonly from: string }) | AnnounceFailure;

/** Counts of one infohash (BEP 48). */
export interface ScrapeCounts {
  readonly seeds: number;
  readonly leechers: number;
  /** Downloads that came to their end. */
  readonly completed: number;
}

/** The sockets, names and rules that a tracker is asked through. Nothing here opens any by itself. */
export interface TrackerNetwork {
  get(url: string, options: TrackerGet, signal: AbortSignal): Promise<HttpReply>;
  /** Sends a request of BEP 15, of which one answer is delivered; null where there is no UDP. */
  readonly askUdp: ((request: Uint8Array, to: PeerAddress) => boolean) | null;
  /** Trackers are asked through I2P: where we are met there, once that is known. Null for IP. */
  readonly i2p: { destination(): string | null } | null;
  /** The IP literals of a host. */
  resolve(host: string, port: number, signal: AbortSignal): Promise<readonly PeerAddress[]>;
  /** Whether a UDP tracker may be asked there. */
  mayAsk(address: PeerAddress, asked: boolean): boolean;
}

export interface TrackerGet {
  readonly maxBytes: number;
  readonly timeoutMs: number;
  /** The user named the tracker. */
  readonly asked: boolean;
  readonly ipVersion: IpVersion;
  /** What may be seen to belong together: what is asked for one torrent. */
  readonly group: string;
}

export type HttpReply =
  | {
      readonly failure: null;
      readonly status: number;
      readonly body: Uint8Array;
      readonly retryAfterMs: number | null;
      /** Who answered. */
      readonly remoteAddress: { readonly host: string };
    }
  | { readonly failure: string; readonly retryAfterMs: number | null };
