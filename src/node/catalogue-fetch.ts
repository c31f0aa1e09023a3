/**
 * A catalogue fetched from peers by the infohash of its torrent. Its pieces come strictly in order, not rarest first in
 * a window: every record is judged as soon as it is whole, so that a liar costs the pieces up to its first bad record,
 * and what lies behind a hole could not be judged.
 */
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CatalogueReader } from '../chain/catalogue.js';
import { type Claim, contradiction, isCatalogueLength } from '../chain/claim.js';
import type { PeerAddress } from '../connector.js';
import { BlockswarmError, type ErrorCode } from '../errors.js';
import { PIECE_LENGTH_BYTES } from '../metainfo/hybrid.js';
import { type Metainfo, parseInfo } from '../metainfo/metainfo.js';
import { parseFileName } from '../metainfo/segment.js';
import { type Network, Store } from '../native.js';
import type { Swarm } from '../swarm/swarm.js';
import { fromHex, sameBytes, toHex } from '../units.js';
import type { BadCatalogues } from './bad-catalogues.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { pieceWriteError } from './write-error.js';

export interface CatalogueFetchOptions {
  /** 40 or 64 hex digits. */
  readonly infoHash: string;
  /** What somebody says of it: it ends as soon as that turns out to be false. */
  readonly claim?: Claim | undefined;
  /** Who may have it, besides those that the node finds. */
  readonly peers?: readonly PeerAddress[];
  readonly network: Network;
  /** Where the pieces and the info dictionary are kept between runs. */
  readonly folder: string;
  readonly peerNode: PeerNode;
  readonly bad: BadCatalogues;
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Gives up after this long without the info dictionary, or without a new piece. */
  readonly timeoutSeconds: number;
}

/** A catalogue that came from peers and is served to them. */
export interface FetchedCatalogue {
  readonly reader: CatalogueReader;
  readonly torrent: Metainfo;
  readonly path: string;
  /** Serves it no more. */
  close(): void;
}

/** What a catalogue is refused for that is no catalogue, or none of the chain; other errors say nothing about it. */
const lies: ReadonlySet<ErrorCode> = new Set([
  'ERR_CATALOGUE',
  'ERR_HEADERS',
  'ERR_NETWORK_MISMATCH',
  'ERR_METAINFO',
  'ERR_BENCODE',
]);

/** Whether the error says that a catalogue is a lie. */
export function isLie(error: unknown): error is BlockswarmError {
  return error instanceof BlockswarmError && lies.has(error.code);
}

/** Whether a text can be an infohash: v1 or v2. */
export function isInfoHash(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i.test(text);
}

/**
 * Fetches and judges a catalogue; afterwards it is served to others as long as the node lives. What came of a lie is
 * removed.
 * @throws BlockswarmError ERR_NO_PEERS, ERR_CATALOGUE, ERR_HEADERS, ERR_NETWORK_MISMATCH, ERR_DISK_FULL, ERR_IO
 */
export async function fetchCatalogue(options: CatalogueFetchOptions): Promise<FetchedCatalogue> {
  return new CatalogueFetch(options).run();
}

class CatalogueFetch {
  readonly #options: CatalogueFetchOptions;
  readonly #reader: CatalogueReader;
  readonly #dataPath: string;
  readonly #infoPath: string;
  readonly #hash: Uint8Array;
  #wake: (() => void) | null = null;
  #failure: unknown = null;
  #metainfo: Metainfo | null = null;
  #store: Store | null = null;
  #isClaimFalse = false;

  constructor(options: CatalogueFetchOptions) {
    this.#options = options;
    const name = options.infoHash.toLowerCase();
    this.#hash = fromHex(name) ?? new Uint8Array();
    this.#dataPath = join(options.folder, `catalogue-${name}.dat`);
    this.#infoPath = join(options.folder, `catalogue-${name}.info`);
    this.#reader = new CatalogueReader(options.network, Date.now() / 1000);
  }

  async run(): Promise<FetchedCatalogue> {
    const { peerNode, signal, report, bad, peers = [] } = this.#options;
    const v1 = this.#hash.length === 20;
    const saved = await this.#saved();
    if (saved) await this.#attach(saved);
    const infoHashV2 = saved?.infoHashV2 ?? (v1 ? null : this.#hash);
    const infoHashV1 = saved?.infoHashV1 ?? (v1 ? this.#hash : null);
    const swarm = peerNode.add({
      infoHashV1,
      infoHashV2,
      order: 'sequential',
      ...(saved && { infoBytes: saved.infoBytes }),
      ...(saved && this.#store && { content: this.#content(saved, this.#store) }),
      events: {
        metadata: (infoBytes) => {
          this.#onMetadata(infoBytes)
            .then((content) => {
              swarm.attach(content);
              // Pieces that lay on disk already are had now, and no event will tell of them.
              this.#wake?.();
            })
            .catch((error: unknown) => this.#fail(error));
        },
        piece: () => {
          peerNode.noteProvenPeers(swarm);
          this.#wake?.();
        },
        ioError: (message) => this.#fail(pieceWriteError('the catalogue', message)),
        fault: ({ message }) => this.#fail(pieceWriteError('the catalogue', message)),
      },
    });
    swarm.addPeers(peers, 'dht');
    const aborted = () => this.#wake?.();
    signal.addEventListener('abort', aborted);
    try {
      const metainfo = await this.#known();
      for (let piece = 0; piece < metainfo.pieceCount; piece++) {
        await this.#until(() => swarm.has(piece), `piece ${piece} of the catalogue`);
        this.#push(await this.#read(metainfo, piece));
        bad.check(this.#reader.records);
        const done = Math.min(metainfo.lengthBytes, (piece + 1) * metainfo.pieceLengthBytes);
        report.progress({ stage: 'catalogue', done, total: metainfo.lengthBytes, unit: 'bytes' });
      }
      this.#reader.finish(parseFileName(metainfo.name)?.number);
      if (this.#store && !(await this.#store.verifyRoot(signal))) {
        throw new BlockswarmError(
          'ERR_CATALOGUE',
          'the v1 and v2 hashes of the catalogue torrent contradict each other',
        );
      }
      return { reader: this.#reader, torrent: metainfo, path: this.#dataPath, close: () => swarm.close() };
    } catch (error) {
      await this.#end(swarm, error);
      throw error;
    } finally {
      signal.removeEventListener('abort', aborted);
    }
  }

  /** Judges the next bytes, and the claim by what they are. */
  #push(bytes: Uint8Array): void {
    const { claim, network } = this.#options;
    this.#reader.push(bytes);
    const contradicted = claim && contradiction(claim, this.#reader.chain, network);
    if (contradicted) this.#denyClaim(contradicted);
  }

  /** The catalogue may be as good as any: who made the claim is to blame, not the torrent. */
  #denyClaim(reason: string): never {
    this.#isClaimFalse = true;
    throw new BlockswarmError('ERR_CATALOGUE', reason);
  }

  /** Of a lie nothing is kept but its name. */
  async #end(swarm: Swarm, error: unknown): Promise<void> {
    swarm.close();
    // Headers from the future may be right, and our clock wrong.
    if (!isLie(error) || this.#isClaimFalse || error.message.includes('time-too-new')) return;
    const { bad, infoHash } = this.#options;
    const v1 = this.#metainfo?.infoHashV1 ?? (infoHash.length === 40 ? this.#hash : null);
    if (v1) await bad.add(v1, error.message);
    await rm(this.#dataPath, { force: true });
    await rm(this.#infoPath, { force: true });
  }

  /** The info dictionary of an earlier run, when it is the right one. */
  async #saved(): Promise<Metainfo | null> {
    const infoBytes = await readFile(this.#infoPath).catch(() => null);
    if (!infoBytes) return null;
    try {
      const metainfo = this.#checked(infoBytes);
      const hash = this.#hash.length === 20 ? metainfo.infoHashV1 : metainfo.infoHashV2;
      return hash && sameBytes(hash, this.#hash) ? metainfo : null;
    } catch {
      return null;
    }
  }

  async #onMetadata(infoBytes: Uint8Array) {
    const metainfo = this.#checked(infoBytes);
    await writeFile(this.#infoPath, infoBytes);
    const store = await this.#attach(metainfo);
    return this.#content(metainfo, store);
  }

  /** A torrent of this infohash that is no catalogue of ours would only fill the disk. */
  #checked(infoBytes: Uint8Array): Metainfo {
    const { network } = this.#options;
    const metainfo = parseInfo(infoBytes);
    const named = parseFileName(metainfo.name);
    const fits = isCatalogueLength(metainfo.lengthBytes, named?.number ?? 0, network);
    if (named?.kind !== 'catalogue' || metainfo.pieceLengthBytes !== PIECE_LENGTH_BYTES || !fits) {
      throw new BlockswarmError(
        'ERR_CATALOGUE',
        `the torrent \`${metainfo.name}\` (${metainfo.lengthBytes} bytes) is no catalogue`,
      );
    }
    if (named.network !== network.name) {
      throw new BlockswarmError(
        'ERR_NETWORK_MISMATCH',
        `the catalogue is of ${named.network}, not of ${network.name}`,
      );
    }
    this.#checkClaim(metainfo, named.number);
    return metainfo;
  }

  #checkClaim({ infoHashV1, infoHashV2, lengthBytes }: Metainfo, count: number): void {
    const { claim } = this.#options;
    if (!claim) return;
    const is =
      infoHashV1 !== null &&
      infoHashV2 !== null &&
      sameBytes(infoHashV1, claim.infoHashV1) &&
      sameBytes(infoHashV2, claim.infoHashV2) &&
      lengthBytes === (claim.lengthBytes ?? lengthBytes) &&
      count === claim.count;
    if (is) return;
    this.#denyClaim(
      `${claim.count} segments in ${claim.lengthBytes ?? 'some'} bytes with v2 infohash ${toHex(claim.infoHashV2)} were ` +
        `claimed, but its info dictionary says ${count} in ${lengthBytes} bytes, v2 ${infoHashV2 && toHex(infoHashV2)}`,
    );
  }

  async #attach(metainfo: Metainfo): Promise<Store> {
    const store = Store.openScratch(metainfo, this.#dataPath);
    await store.verify(0, metainfo.pieceCount, this.#options.signal);
    this.#metainfo = metainfo;
    this.#store = store;
    return store;
  }

  #content({ lengthBytes, pieceLengthBytes }: Metainfo, store: Store) {
    return { store, lengthBytes, pieceLengthBytes };
  }

  async #known(): Promise<Metainfo> {
    await this.#until(() => this.#metainfo !== null, 'a peer with the catalogue');
    if (!this.#metainfo) throw new BlockswarmError('ERR_NATIVE', 'the catalogue torrent is not known');
    return this.#metainfo;
  }

  async #read({ lengthBytes, pieceLengthBytes }: Metainfo, piece: number): Promise<Uint8Array> {
    const offset = piece * pieceLengthBytes;
    const bytes = new Uint8Array(Math.min(pieceLengthBytes, lengthBytes - offset));
    const file = await open(this.#dataPath, 'r');
    try {
      const { bytesRead } = await file.read(bytes, 0, bytes.length, offset);
      if (bytesRead < bytes.length) {
        throw new BlockswarmError('ERR_IO', `${this.#dataPath} was cut short while it was read`);
      }
    } finally {
      await file.close();
    }
    return bytes;
  }

  /** Waits for something, each time at most as long as patience lasts. */
  async #until(ready: () => boolean, what: string): Promise<void> {
    const { signal, timeoutSeconds, peerNode } = this.#options;
    const endMs = performance.now() + timeoutSeconds * 1000;
    while (!ready()) {
      signal.throwIfAborted();
      if (this.#failure) throw this.#failure;
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) {
        throw new BlockswarmError(
          'ERR_NO_PEERS',
          `waited ${timeoutSeconds} s for ${what}. Name ${peerNode.whomToName}, or give the catalogue as a file.`,
        );
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#wake = null;
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
    this.#wake?.();
  }
}
