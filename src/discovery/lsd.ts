/**
 * Local service discovery (BEP 14): tells the local network which torrents we have, and hears who else has them. One
 * announcement a minute at most on each interface, and each torrent every five minutes at most; with more torrents than
 * that leaves room for they take turns. Only who is of our own subnet is believed.
 */
import { randomBytes } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import type { PeerAddress } from '../connector.js';
import type { AddressFamily } from '../wire/compact-address.js';
import { type InterfaceTable, isNear, type LocalInterface, localInterfaces } from './local-interfaces.js';
import { encodeLsdAnnouncement, MAX_INFO_HASHES, parseLsdAnnouncement } from './lsd-message.js';

/** The groups of BEP 14. */
export const LSD_GROUPS: Readonly<Record<AddressFamily, PeerAddress>> = {
  ipv4: { host: '239.192.152.143', port: 6771 },
  ipv6: { host: 'ff15::efc0:988f', port: 6771 },
};

/** The part of the byte mover that this needs. */
export interface GroupHost {
  /** Throws when it cannot be joined. */
  joinGroup(group: { interfaceName: string; local: string; host: string; port: number }): number;
  leaveGroup(group: number): void;
  sendToGroup(group: number, payload: Uint8Array): boolean;
}

/** A datagram that came to a group. */
export interface GroupMessage extends PeerAddress {
  readonly group: number;
  readonly payload: Uint8Array;
}

export interface LsdOptions {
  readonly host: GroupHost;
  /** Where we listen for peers. */
  readonly listening: PeerAddress;
  /** Somebody near has a torrent (20 bytes) that was added here. */
  readonly found: (infoHash: Uint8Array, peer: PeerAddress) => void;
  readonly groups?: Readonly<Record<AddressFamily, PeerAddress>>;
  /** The interfaces as they are now. */
  readonly interfaces?: () => InterfaceTable;
}

/** BEP 14: no more than one announcement a minute, and each torrent every five minutes. */
const ANNOUNCE_MS = 60_000;
const TORRENT_MS = 5 * 60_000;
/** Interfaces come and go. */
const LOOK_AGAIN_MS = 30_000;

interface Joined {
  readonly group: number;
  readonly at: LocalInterface;
}

export class Lsd {
  readonly #options: LsdOptions;
  readonly #groups: Readonly<Record<AddressFamily, PeerAddress>>;
  readonly #cookie = randomBytes(8).toString('hex');
  /** When each infohash may be announced again, by its bytes as characters; whoever waits longest comes first. */
  readonly #dueMs = new Map<string, number>();
  /** By interface and family. */
  readonly #joined = new Map<string, Joined>();
  #announceAtMs = Number.NEGATIVE_INFINITY;
  #lookAtMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: LsdOptions) {
    this.#options = options;
    this.#groups = options.groups ?? LSD_GROUPS;
  }

  /** Interfaces on which it speaks, once for each family. */
  get interfaceCount(): number {
    return this.#joined.size;
  }

  /** Announces an infohash (20 bytes as characters) from now on. Not for private torrents (BEP 27). */
  add(name: string): void {
    if (!this.#dueMs.has(name)) this.#dueMs.set(name, Number.NEGATIVE_INFINITY);
  }

  remove(name: string): void {
    this.#dueMs.delete(name);
  }

  /** Does what is due; to be called about once a second. */
  tick(nowMs: number): void {
    if (this.#closed) return;
    if (nowMs >= this.#lookAtMs) {
      this.#lookAtMs = nowMs + LOOK_AGAIN_MS;
      this.#lookAtInterfaces();
    }
    if (nowMs >= this.#announceAtMs && this.#joined.size > 0) this.#announce(nowMs);
  }

  /** Takes what came to the groups. */
  deliver(messages: Iterable<GroupMessage>): void {
    if (this.#closed) return;
    for (const { group, host, payload } of messages) {
      const joined = [...this.#joined.values()].find((each) => each.group === group);
      if (!joined || !isNear(joined.at, host)) continue;
      const announcement = parseLsdAnnouncement(payload);
      if (!announcement || announcement.cookie === this.#cookie) continue;
      for (const infoHash of announcement.infoHashes) {
        const name = Buffer.from(infoHash).toString('latin1');
        if (this.#dueMs.has(name)) this.#options.found(infoHash, { host, port: announcement.port });
      }
    }
  }

  /** Leaves the groups. */
  close(): void {
    this.#closed = true;
    for (const { group } of this.#joined.values()) this.#options.host.leaveGroup(group);
    this.#joined.clear();
  }

  #lookAtInterfaces(): void {
    const { host, listening, interfaces = networkInterfaces } = this.#options;
    const now = new Map(
      localInterfaces(interfaces(), listening.host).map((at) => [`${at.name} ${at.local}`, at]),
    );
    for (const [key, { group }] of this.#joined) {
      if (now.has(key)) continue;
      host.leaveGroup(group);
      this.#joined.delete(key);
    }
    for (const [key, at] of now) {
      if (this.#joined.has(key)) continue;
      try {
        const address = this.#groups[at.family];
        const group = host.joinGroup({ interfaceName: at.name, local: at.local, ...address });
        this.#joined.set(key, { group, at });
      } catch {
        // It has no multicast, or is going down: perhaps next time.
      }
    }
  }

  #announce(nowMs: number): void {
    const due: string[] = [];
    for (const [name, dueMs] of this.#dueMs) {
      if (due.length >= MAX_INFO_HASHES) break;
      if (nowMs >= dueMs) due.push(name);
    }
    if (due.length === 0) return;
    this.#announceAtMs = nowMs + ANNOUNCE_MS;
    for (const name of due) {
      // A Map is walked in the order of insertion: to the end of the line.
      this.#dueMs.delete(name);
      this.#dueMs.set(name, nowMs + TORRENT_MS);
    }
    const infoHashes = due.map((name) => Buffer.from(name, 'latin1'));
    const { port } = this.#options.listening;
    for (const { group, at } of this.#joined.values()) {
      const payload = encodeLsdAnnouncement(this.#groups[at.family], {
        infoHashes,
        port,
        cookie: this.#cookie,
      });
      this.#options.host.sendToGroup(group, payload);
    }
  }
}
