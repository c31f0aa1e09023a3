/**
 * Torrents of which only the names are held: thousands cost nothing but a row in a table. The first peer that asks for
 * one wakes it, and waits meanwhile as long as the byte mover lets it (`accept` timeout).
 */
import type { Incoming } from './link-host.js';

/**
 * The 20 bytes of an infohash as they are in a handshake, each a character: of all that can be the key of a table it
 * takes the least memory, and the owner's own text may be shared. A hybrid has two.
 */
export type IdleName = string;

export interface IdleTorrentsOptions {
  /**
   * Opens the torrent of a number by `Session.add`; settles when it is there, or cannot be. Called once until it has
   * settled.
   */
  readonly wake: (torrent: number) => Promise<void>;
  /** Lets the connection in, or turns it away when the torrent is still not there. */
  readonly settle: (incoming: Incoming) => void;
  readonly refuse: (incoming: Incoming) => void;
}

/** Torrents that are woken at a time, and connections that wait for one: who knows all names must not open them all. */
const MAX_WAKING = 32;
const MAX_WAITING = 16;

export class IdleTorrents {
  readonly #options: IdleTorrentsOptions;
  readonly #numbers = new Map<string, number>();
  readonly #waking = new Map<number, Incoming[]>();

  constructor(options: IdleTorrentsOptions) {
    this.#options = options;
  }

  /** Names in the table. */
  get size(): number {
    return this.#numbers.size;
  }

  has(name: IdleName): boolean {
    return this.#numbers.has(name);
  }

  /** Adds a name; the torrent's number is the caller's. */
  add(name: IdleName, torrent: number): void {
    this.#numbers.set(name, torrent);
  }

  remove(name: IdleName): void {
    this.#numbers.delete(name);
  }

  /** Wakes the torrent that a connection asks for; false when there is none, or it cannot wait for it. */
  take(incoming: Incoming): boolean {
    const torrent = this.#numbers.get(nameOf(incoming.infoHash));
    if (torrent === undefined) return false;
    const waiting = this.#waking.get(torrent);
    if (waiting) {
      if (waiting.length >= MAX_WAITING) return false;
      waiting.push(incoming);
      return true;
    }
    if (this.#waking.size >= MAX_WAKING) return false;
    this.#waking.set(torrent, [incoming]);
    void this.#wake(torrent);
    return true;
  }

  async #wake(torrent: number): Promise<void> {
    const { wake, settle, refuse } = this.#options;
    const isAwake = await wake(torrent).then(
      () => true,
      () => false,
    );
    const waiting = this.#waking.get(torrent) ?? [];
    this.#waking.delete(torrent);
    for (const incoming of waiting) {
      if (isAwake) settle(incoming);
      else refuse(incoming);
    }
  }
}

export function nameOf(infoHash: Uint8Array): IdleName {
  return Buffer.from(infoHash.buffer, infoHash.byteOffset, 20).toString('latin1');
}
