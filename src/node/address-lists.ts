/** The user's lists of addresses that are not met: read before anybody is, and again when their files change. */
import { stat } from 'node:fs/promises';
import { type AddressList, joinRanges, MAX_LIST_BYTES, parseAddressList } from '../connector/address-list.js';
import { BlockswarmError } from '../errors.js';
import type { Reactor } from '../native.js';
import type { Report } from './report.js';
import { readBounded } from './torrent-file.js';

export interface AddressListOptions {
  /** Files of ranges that are not met. */
  readonly blocklist?: readonly string[];
  /** Files of ranges that are met all the same. */
  readonly allowlist?: readonly string[];
}

/** What the lists came to, since the start. */
export interface BlockedCounts {
  /** Connections and requests that were not begun. */
  readonly dials: number;
  /** Connections from outside that were dropped. */
  readonly incoming: number;
  /** Connections that were open when their address came onto a list. */
  readonly links: number;
  /** Datagrams that were neither sent nor read. */
  readonly datagrams: number;
}

/** Between two looks at the files. */
const LOOK_MS = 5000;

export class AddressLists {
  readonly #files: readonly { readonly path: string; readonly allows: boolean }[];
  readonly #report: Report;
  #lists: readonly AddressList[] = [];
  #seen = '';
  #lookAtMs = 0;
  #isLooking = false;

  private constructor(options: AddressListOptions, report: Report) {
    const { blocklist = [], allowlist = [] } = options;
    const as = (allows: boolean) => (path: string) => ({ path, allows });
    this.#files = [...blocklist.map(as(false)), ...allowlist.map(as(true))];
    this.#report = report;
  }

  /** @throws BlockswarmError ERR_CONFIG for a file that cannot be read: without it strangers would be met */
  static async open(options: AddressListOptions, report: Report, signal: AbortSignal): Promise<AddressLists> {
    const lists = new AddressLists(options, report);
    lists.#seen = await lists.#look();
    await lists.#read(signal);
    return lists;
  }

  /** Null when there are no lists. */
  counts(reactor: Pick<Reactor, 'stats'>): BlockedCounts | null {
    if (this.#files.length === 0) return null;
    const { blockedDials, blockedIncoming, blockedLinks, blockedDatagrams } = reactor.stats();
    return {
      ...{ dials: blockedDials, incoming: blockedIncoming },
      ...{ links: blockedLinks, datagrams: blockedDatagrams },
    };
  }

  apply(reactor: Pick<Reactor, 'setBlocked'>): void {
    const of = (allows: boolean) => this.#lists.filter((_, at) => this.#files[at]?.allows === allows);
    reactor.setBlocked(joinRanges(of(false)), joinRanges(of(true)));
  }

  /** Looks at the files from time to time; a file that cannot be read leaves all as it was. */
  tick(reactor: Pick<Reactor, 'setBlocked'>, nowMs: number, signal: AbortSignal): void {
    if (this.#files.length === 0 || this.#isLooking || nowMs < this.#lookAtMs) return;
    this.#isLooking = true;
    void (async () => {
      const seen = await this.#look();
      if (seen === this.#seen) return;
      this.#seen = seen;
      await this.#read(signal);
      if (!signal.aborted) this.apply(reactor);
    })()
      .catch((error: unknown) => {
        if (!signal.aborted)
          this.#report.warn(`${error instanceof Error ? error.message : error}; the lists stay as they were`);
      })
      .finally(() => {
        this.#isLooking = false;
        this.#lookAtMs = nowMs + LOOK_MS;
      });
  }

  async #look(): Promise<string> {
    const seen = this.#files.map(async ({ path }) => {
      const { size, mtimeMs, ino } = await stat(path);
      return `${size} ${mtimeMs} ${ino}`;
    });
    return (await Promise.all(seen.map((one) => one.catch(() => 'none')))).join('\n');
  }

  async #read(signal: AbortSignal): Promise<void> {
    const lists: AddressList[] = [];
    for (const { path, allows } of this.#files) {
      const list = parseAddressList(await this.#bytes(path, signal));
      const { ranges, badLines } = list;
      if (badLines > 0) this.#report.warn(`${path}: ${badLines} lines make no sense and are passed over`);
      const text = `${path}: ${ranges} ranges ${allows ? 'allowed' : 'blocked'}`;
      this.#report.event({ event: allows ? 'allowlist' : 'blocklist', path, ranges, badLines }, text);
      lists.push(list);
    }
    this.#lists = lists;
  }

  async #bytes(path: string, signal: AbortSignal): Promise<Uint8Array> {
    try {
      return await readBounded(path, MAX_LIST_BYTES + 1, signal);
    } catch (cause) {
      signal.throwIfAborted();
      throw new BlockswarmError('ERR_CONFIG', `cannot read the list of addresses ${path}`, { cause });
    }
  }
}
