/**
 * A folder of segment files, as `export` writes them or as their torrents were downloaded, as a source of torrents. Without
 * a catalogue nothing says which chain they are of but their own headers, so these are judged from genesis on: the
 * segments from the first one on without a gap can be used.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { segmentHeights } from '../chain/segment.js';
import { BlockswarmError } from '../errors.js';
import { makeHybrid, PIECE_LENGTH_BYTES } from '../metainfo/hybrid.js';
import { parseFileName, type SegmentKind, segmentFileName } from '../metainfo/segment.js';
import { HeaderChain, type Network, networkParams, SegmentFiles } from '../native.js';
import type { Report } from './report.js';
import type { ChainHeaders, HashOptions, HeightRange, SegmentSource, SegmentTorrent } from './source.js';

/** Names in the folder: each segment has two files, and a mainnet of today some five hundred segments. */
const MAX_NAMES = 1_000_000;
const HEADER_BYTES = 80;

/** The segments of which a folder has a file. */
export interface FoundSegments {
  readonly blocks: ReadonlySet<number>;
  readonly spent: ReadonlySet<number>;
}

/** @throws BlockswarmError ERR_IO, ERR_DATADIR_EMPTY when there is no blocks file of the network */
export async function findSegmentFiles(folder: string, network: string): Promise<FoundSegments> {
  const names = await readdir(folder).catch((cause: Error) => {
    throw new BlockswarmError('ERR_IO', `cannot read ${folder}: ${cause.message}`, { cause });
  });
  const found = { blocks: new Set<number>(), spent: new Set<number>() };
  for (const name of names.slice(0, MAX_NAMES)) {
    const parsed = parseFileName(name);
    if (parsed?.network === network && parsed.kind !== 'catalogue') found[parsed.kind].add(parsed.number);
  }
  if (found.blocks.size > 0) return found;
  const example = segmentFileName(network, 0, 'blocks');
  throw new BlockswarmError(
    'ERR_DATADIR_EMPTY',
    `${folder} holds no blocks file of ${network} (${example}, …)`,
  );
}

export class SegmentFolder implements SegmentSource, ChainHeaders {
  readonly network: Network;
  readonly path: string;
  readonly #chain: HeaderChain;
  readonly #files: SegmentFiles[] = [];

  private constructor(network: Network, path: string) {
    this.network = network;
    this.path = path;
    this.#chain = new HeaderChain(network.name);
  }

  /**
   * Looks at the heads of all blocks, and judges the headers. What cannot be used is said.
   * @throws BlockswarmError ERR_IO, ERR_DATADIR_EMPTY, ERR_NETWORK_UNKNOWN, ERR_BLOCK_DAMAGED, ERR_HEADERS
   */
  static async open(
    path: string,
    networkName: string,
    signal: AbortSignal,
    report: Report,
  ): Promise<SegmentFolder> {
    const network = networkParams(networkName);
    const found = await findSegmentFiles(path, network.name);
    const folder = new SegmentFolder(network, path);
    let reason = '';
    for (let index = 0; found.blocks.has(index) && reason === ''; index++) {
      report.progress({ stage: 'reading', done: index, total: found.blocks.size, unit: 'segments' });
      try {
        await folder.#add(index, found.spent.has(index), signal);
      } catch (error) {
        if (index === 0 || !(error instanceof BlockswarmError)) throw error;
        reason = error.message;
      }
    }
    const rest = found.blocks.size - folder.count;
    if (folder.count === 0) {
      const text = `${path} has no segment 0: without it nothing says which chain the others are of. Name a catalogue (--catalogue)`;
      throw new BlockswarmError('ERR_DATADIR_EMPTY', text);
    }
    if (rest > 0) {
      const what = reason ? `cannot be used: ${reason}` : 'is missing';
      report.warn(
        `segment ${folder.count} ${what}. ${rest} segments from there on are not seeded; a catalogue (--catalogue) would do without it`,
      );
    }
    return folder;
  }

  /** Segments from the first one on. */
  get count(): number {
    return this.#files.length;
  }

  headers(first: number, end: number): Uint8Array {
    const { interval } = this.network;
    const parts: Uint8Array[] = [];
    for (let height = first; height < end; ) {
      const index = Math.floor(height / interval);
      const until = Math.min(end, (index + 1) * interval);
      const headers = this.#at(index).headers();
      const from = (height - index * interval) * HEADER_BYTES;
      parts.push(headers.subarray(from, from + (until - height) * HEADER_BYTES));
      height = until;
    }
    return Buffer.concat(parts);
  }

  blocks(index: number, options: HashOptions): Promise<SegmentTorrent> {
    return this.#torrent(index, 'blocks', options);
  }

  spent(index: number, options: HashOptions): Promise<SegmentTorrent> {
    return this.#torrent(index, 'spent', options);
  }

  heightsAt(index: number): HeightRange {
    return segmentHeights(index, this.network.interval);
  }

  async #add(index: number, hasSpent: boolean, signal: AbortSignal): Promise<void> {
    const { name } = this.network;
    const place = (kind: SegmentKind) => join(this.path, segmentFileName(name, index, kind));
    const files = await SegmentFiles.open(
      name,
      index,
      place('blocks'),
      hasSpent ? place('spent') : null,
      signal,
    );
    const fault = this.#chain.append(files.headers(), Date.now() / 1000);
    if (fault) {
      const { firstHeight } = segmentHeights(index, this.network.interval);
      const text = `${place('blocks')}: header ${fault.height} (block ${fault.height - firstHeight} of the file): ${fault.rule}: ${fault.message}`;
      throw new BlockswarmError('ERR_HEADERS', text);
    }
    this.#files.push(files);
  }

  #at(index: number): SegmentFiles {
    const files = this.#files[index];
    if (!files) throw new BlockswarmError('ERR_SEGMENT_RANGE', `${this.path} has no segment ${index}`);
    return files;
  }

  async #torrent(
    index: number,
    kind: SegmentKind,
    { signal, resumeDb }: HashOptions,
  ): Promise<SegmentTorrent> {
    const files = this.#at(index);
    const { extents, hashes, isRemembered } = await files.hashed(
      kind,
      PIECE_LENGTH_BYTES,
      resumeDb ?? null,
      signal,
    );
    const name = segmentFileName(this.network.name, index, kind);
    return {
      ...makeHybrid({ name, pieceLengthBytes: PIECE_LENGTH_BYTES, ...hashes }),
      extents,
      isRemembered,
    };
  }
}
