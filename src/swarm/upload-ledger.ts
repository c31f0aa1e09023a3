/**
 * What each address was sent of one torrent, over all its connections: upload slots are shared by what we measured,
 * never by what a peer claims to have or to be. Leaving and coming back changes nothing.
 */

/** One address's share; `identity` says whom an address stands for. */
export interface UploadAccount {
  readonly identity: string;
  /** Payload sent. */
  sentBytes: number;
  /** When it was last given a slot; -Infinity when never. */
  slotAtMs: number;
  /** Connections that use it now. */
  links: number;
}

/** Those who have not been here for longest are forgotten first. */
const MAX_ACCOUNTS = 4096;

export class UploadLedger {
  /** Least lately opened first. */
  readonly #accounts = new Map<string, UploadAccount>();

  get size(): number {
    return this.#accounts.size;
  }

  /** A connection of this address begins. */
  open(identity: string): UploadAccount {
    const account = this.#accounts.get(identity) ?? {
      identity,
      sentBytes: 0,
      slotAtMs: Number.NEGATIVE_INFINITY,
      links: 0,
    };
    account.links++;
    this.#accounts.delete(identity);
    this.#accounts.set(identity, account);
    if (this.#accounts.size > MAX_ACCOUNTS) this.#dropOldest();
    return account;
  }

  /** A connection ended. Who never got anything leaves nothing behind. */
  close(account: UploadAccount): void {
    account.links--;
    const isUsed = account.links > 0 || account.sentBytes > 0 || account.slotAtMs > Number.NEGATIVE_INFINITY;
    if (!isUsed && this.#accounts.get(account.identity) === account) this.#accounts.delete(account.identity);
  }

  #dropOldest(): void {
    for (const account of this.#accounts.values()) {
      if (account.links > 0) continue;
      this.#accounts.delete(account.identity);
      return;
    }
  }
}
