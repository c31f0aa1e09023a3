/**
 * A catalogue fetched from peers by the infohash of its torrent. Its pieces come strictly in order, not rarest first in
 * a window: every record is judged as soon as it is whole, so that a liar costs the pieces up to its first bad record,
 * and what lies behind a hole could not be judged.
 */
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CatalogueReader } from '../chain/catalogue.js';
import { BlockswarmError } from '../errors.js';
import { PIECE_LENGTH_BYTES } from '../metainfo/hybrid.js';
import { type Metainfo, parseInfo } from '../metainfo/metainfo.js';
import { parseFileName } from '../metainfo/segment.js';
import { type Network, Store } from '../native.js';
import { fromHex, sameBytes } from '../units.js';
import type { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { pieceWriteError } from './write-error.js';

export interface CatalogueFetchOptions {
  /** 40 or 64 hex digits. */
  readonly infoHash: string;
  readonly network: Network;
  /** Where the pieces and the info dictionary are kept between runs. */
  readonly folder: string;
  readonly peerNode: PeerNode;
  readonly signal: AbortSignal;
  readonly report: Report;
  /** Gives up after this long without a new piece. */
  readonly timeoutSeconds: number;
}

/** DESIGN §1: a metainfo is at most 4 MiB, and each record has two behind their lengths. */
const maxRecordMetainfoBytes = 2 * (4 + 4 * 2 ** 20);

/** Whether a text can be an infohash: v1 or v2. */
export function isInfoHash(text: string): boolean {
  return /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i.test(text);
}

/**
 * Fetches and judges a catalogue; afterwards it is served to others as long as the node lives.
 * @throws BlockswarmError ERR_NO_PEERS, ERR_CATALOGUE, ERR_HEADERS, ERR_NETWORK_MISMATCH, ERR_DISK_FULL, ERR_IO
 */
export async function fetchCatalogue(options: CatalogueFetchOptions): Promise<CatalogueReader> {
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

  constructor(options: CatalogueFetchOptions) {
    this.#options = options;
    const name = options.infoHash.toLowerCase();
    this.#hash = fromHex(name) ?? new Uint8Array();
    this.#dataPath = join(options.folder, `catalogue-${name}.dat`);
    this.#infoPath = join(options.folder, `catalogue-${name}.info`);
    this.#reader = new CatalogueReader(options.network, Date.now() / 1000);
  }

  async run(): Promise<CatalogueReader> {
    const { peerNode, signal, report } = this.#options;
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
    const aborted = () => this.#wake?.();
    signal.addEventListener('abort', aborted);
    try {
      const metainfo = await this.#known();
      for (let piece = 0; piece < metainfo.pieceCount; piece++) {
        await this.#until(() => swarm.has(piece), `piece ${piece} of the catalogue`);
        this.#reader.push(await this.#read(metainfo, piece));
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
      return this.#reader;
    } catch (error) {
      swarm.close();
      throw error;
    } finally {
      signal.removeEventListener('abort', aborted);
    }
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
    const headersBytes = 80 * network.interval;
    const count = named?.number ?? 0;
    const fits =
      metainfo.lengthBytes >= 12 + count * headersBytes &&
      metainfo.lengthBytes <= 12 + count * (headersBytes + maxRecordMetainfoBytes);
    if (
      named?.kind !== 'catalogue' ||
      count < 1 ||
      metainfo.pieceLengthBytes !== PIECE_LENGTH_BYTES ||
      !fits
    ) {
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
    return metainfo;
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
    const { signal, timeoutSeconds } = this.#options;
    const endMs = performance.now() + timeoutSeconds * 1000;
    while (!ready()) {
      signal.throwIfAborted();
      if (this.#failure) throw this.#failure;
      const leftMs = endMs - performance.now();
      if (leftMs <= 0) {
        throw new BlockswarmError(
          'ERR_NO_PEERS',
          `waited ${timeoutSeconds} s for ${what}. Name a peer (--peer HOST:PORT), a DHT node ` +
            '(--dht-bootstrap HOST:PORT), or give the catalogue as a file.',
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
