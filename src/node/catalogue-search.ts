/**
 * Where a client gets its catalogue: all sources are asked at once, what they give is judged the same way, and the
 * catalogue with the most work is used. No source is trusted, and none is fatal when it fails.
 */
import { type CatalogueReader, type CatalogueRecord, checkChainWork } from '../chain/catalogue.js';
import { BlockswarmError } from '../errors.js';
import type { Network } from '../native.js';
import { toHex } from '../units.js';
import type { BadCatalogues } from './bad-catalogues.js';
import { type FetchedCatalogue, fetchCatalogue } from './catalogue-fetch.js';
import type {
  CatalogueSearch,
  CatalogueSource,
  FetchWish,
  FoundCatalogue,
} from './catalogue-sources/source.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';

export interface CatalogueSearchOptions {
  readonly network: Network;
  readonly floor: Uint8Array;
  /** Where catalogues from peers are kept between runs. */
  readonly folder: string;
  readonly peerNode: PeerNode;
  readonly bad: BadCatalogues;
  readonly sources: readonly CatalogueSource[];
  /** Torrents (v1 infohash, hex) that nobody could be found for: a catalogue with others is preferred among equals. */
  readonly avoid?: ReadonlySet<string>;
  readonly timeoutSeconds: number;
  /** With one good catalogue in hand, the other sources have so long without any news; default 20 s. */
  readonly graceMs?: number;
  readonly report: Report;
  readonly signal: AbortSignal;
}

export interface ChosenCatalogue extends FoundCatalogue {
  /** Segments about which a source with the same headers says something else. */
  readonly disputed: ReadonlySet<number>;
}

const defaultGraceMs = 20_000;
/** Whatever news there are: so long in all. */
const maxGraceMs = 10 * 60_000;
const lookMs = 250;
/** Segments named one by one where sources disagree. */
const maxShown = 10;

/**
 * @throws BlockswarmError when no source gave a catalogue: the only one's own error, or one that lists them all
 */
export async function searchCatalogue(options: CatalogueSearchOptions): Promise<ChosenCatalogue> {
  return new Search(options).run();
}

class Search implements CatalogueSearch {
  readonly #options: CatalogueSearchOptions;
  readonly report: Report;
  readonly #found: FoundCatalogue[] = [];
  /** By infohash, hex. */
  readonly #fetches = new Map<string, Promise<FetchedCatalogue>>();
  #newsAtMs = 0;

  constructor(options: CatalogueSearchOptions) {
    this.#options = options;
    const { report } = options;
    this.report = {
      ...report,
      progress: (progress) => {
        this.#newsAtMs = performance.now();
        report.progress(progress);
      },
    };
  }

  get network() {
    return this.#options.network;
  }

  get floor() {
    return this.#options.floor;
  }

  get peerNode() {
    return this.#options.peerNode;
  }

  get bad() {
    return this.#options.bad;
  }

  get timeoutSeconds() {
    return this.#options.timeoutSeconds;
  }

  get best(): FoundCatalogue | null {
    return this.#found.reduce<FoundCatalogue | null>(
      (best, each) => (best && !this.#isBetter(each, best) ? best : each),
      null,
    );
  }

  async run(): Promise<ChosenCatalogue> {
    const { sources, signal, graceMs = defaultGraceMs } = this.#options;
    const enough = new AbortController();
    const ended = AbortSignal.any([signal, enough.signal]);
    let firstAtMs = 0;
    const timer = setInterval(() => {
      const nowMs = performance.now();
      if (this.#found.length === 0) return;
      firstAtMs ||= nowMs;
      if (nowMs - this.#newsAtMs >= graceMs || nowMs - firstAtMs >= maxGraceMs) enough.abort();
    }, lookMs);
    const failures: { source: CatalogueSource; error: unknown }[] = [];
    try {
      const ask = async (source: CatalogueSource) => {
        try {
          await source.find(this, ended);
        } catch (error) {
          if (!ended.aborted) this.#failed(source, error, failures);
        }
      };
      await Promise.all(sources.map(ask));
    } finally {
      clearInterval(timer);
    }
    signal.throwIfAborted();
    const { best } = this;
    if (!best) throw noCatalogue(failures, this.#options);
    for (const { fetched } of this.#found) if (fetched !== best.fetched) fetched?.close();
    return { ...best, disputed: this.#tellDisputes(best) };
  }

  async fetch(wish: FetchWish, signal: AbortSignal): Promise<FetchedCatalogue> {
    const { claim } = wish;
    const names = [wish.infoHash.toLowerCase()];
    if (claim) names.push(toHex(claim.infoHashV1), toHex(claim.infoHashV2));
    for (const name of names) {
      const other = await this.#fetches.get(name)?.catch(() => null);
      if (other) return other;
    }
    signal.throwIfAborted();
    const { network, folder, peerNode, bad } = this.#options;
    const fetching = fetchCatalogue({ ...wish, network, folder, peerNode, bad, signal, report: this.report });
    for (const name of names) this.#fetches.set(name, fetching);
    try {
      return await fetching;
    } catch (error) {
      for (const name of names) if (this.#fetches.get(name) === fetching) this.#fetches.delete(name);
      throw error;
    }
  }

  offer(found: FoundCatalogue): void {
    checkChainWork(found.reader.chain, this.floor);
    this.bad.check(found.reader.records);
    this.#newsAtMs = performance.now();
    this.#found.push(found);
  }

  #failed(
    source: CatalogueSource,
    error: unknown,
    failures: { source: CatalogueSource; error: unknown }[],
  ): void {
    failures.push({ source, error });
    if (this.#options.sources.length === 1) return;
    const message = error instanceof Error ? error.message : String(error);
    this.report.event(
      { event: 'catalogue-source-failed', source: source.name, message },
      `${source.name} gave no catalogue: ${message}`,
    );
  }

  /** More work; of equals what is not to be avoided, then what more voices name. What came first stays. */
  #isBetter(a: FoundCatalogue, b: FoundCatalogue): boolean {
    const order = Buffer.compare(work(a.reader), work(b.reader));
    if (order !== 0) return order > 0;
    const avoided = [a, b].map(({ reader }) => Number(this.#isAvoided(reader.records)));
    if (avoided[0] !== avoided[1]) return avoided[0] === 0;
    return this.#voices(a) > this.#voices(b);
  }

  #isAvoided(records: readonly CatalogueRecord[]): boolean {
    const { avoid } = this.#options;
    if (!avoid || avoid.size === 0) return false;
    return records.some(({ blocks }) => blocks.infoHashV1 !== null && avoid.has(toHex(blocks.infoHashV1)));
  }

  /** Of all that gave the same records. */
  #voices({ reader }: FoundCatalogue): number {
    const same = this.#found.filter((each) => each.reader.records.length === reader.records.length);
    const alike = same.filter((each) => differences(each.reader, reader).length === 0);
    return alike.reduce((sum, { voices }) => sum + voices, 0);
  }

  /** Says where the others differ from the one that is used; returns the segments that have the same headers. */
  #tellDisputes(best: FoundCatalogue): ReadonlySet<number> {
    const disputed = new Set<number>();
    const { network, report } = this.#options;
    for (const other of this.#found) {
      const segments = differences(other.reader, best.reader);
      if (segments.length === 0) continue;
      const forkedAt = segments.find((index) => !haveSameHeaders(other.reader, best.reader, index, network));
      if (forkedAt !== undefined) {
        report.warn(
          `${other.from} has another chain from segment ${forkedAt} on, with less work: it is not used`,
        );
      }
      const named = segments.filter((index) => forkedAt === undefined || index < forkedAt);
      for (const index of named) disputed.add(index);
      for (const index of named.slice(0, maxShown)) {
        const [ours, theirs] = [best, other].map(({ reader }) => reader.records[index]?.blocks.infoHashV1);
        const hashes = [ours, theirs].map((hash) => (hash ? toHex(hash) : null));
        report.event(
          {
            event: 'catalogue-dispute',
            segment: index,
            used: hashes[0],
            by: best.from,
            other: hashes[1],
            otherBy: other.from,
          },
          `sources disagree about segment ${index}: ${best.from} says ${hashes[0]} (used), ${other.from} says ${hashes[1]}`,
        );
      }
      if (named.length > maxShown)
        report.warn(`${other.from} differs in ${named.length - maxShown} more segments`);
    }
    return disputed;
  }
}

/** The segments, of those that both have, whose torrents or headers are not the same. */
function differences(a: CatalogueReader, b: CatalogueReader): number[] {
  const count = Math.min(a.records.length, b.records.length);
  const segments: number[] = [];
  for (let index = 0; index < count; index++) {
    const [one, other] = [a.records[index], b.records[index]];
    // The name of a torrent says its segment, and its hashes all of its blocks: so also their headers.
    if (one && other && !(isSame(one, other, 'blocks') && isSame(one, other, 'spent'))) segments.push(index);
  }
  return segments;
}

function isSame(one: CatalogueRecord, other: CatalogueRecord, kind: 'blocks' | 'spent'): boolean {
  return Buffer.compare(one[kind].infoBytes, other[kind].infoBytes) === 0;
}

function haveSameHeaders(
  a: CatalogueReader,
  b: CatalogueReader,
  index: number,
  { interval }: Network,
): boolean {
  const last = (index + 1) * interval - 1;
  return Buffer.compare(a.chain.hashAt(last), b.chain.hashAt(last)) === 0;
}

function work({ chain }: CatalogueReader): Uint8Array {
  return chain.workAt(chain.height());
}

function noCatalogue(
  failures: readonly { source: CatalogueSource; error: unknown }[],
  { network, sources }: CatalogueSearchOptions,
): unknown {
  const [only] = failures;
  if (only && sources.length === 1 && only.source.name !== 'rendezvous') return only.error;
  const each = failures.map(
    ({ source, error }) => `${source.name}: ${error instanceof Error ? error.message : error}`,
  );
  const codes = failures.map(({ error }) => (error instanceof BlockswarmError ? error.code : null));
  const code = codes.find((each) => each !== null && each !== 'ERR_NO_PEERS') ?? 'ERR_NO_PEERS';
  return new BlockswarmError(
    code,
    `no catalogue of ${network.name} was found, and without one neither the headers nor the torrents are known. ` +
      `${each.join('; ') || 'No source knows one.'} ` +
      'To go on: name a peer (--peer HOST:PORT) or a DHT node (--dht-bootstrap HOST:PORT), or another source ' +
      '(--catalogue FILE, INFOHASH, https://…, dht:KEY, datadir), or try again later.',
  );
}
