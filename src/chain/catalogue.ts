/**
 * The catalogue file (DESIGN §1): a magic, then for each segment its headers and the metainfo of its two
 * torrents. Catalogue n is a byte prefix of catalogue n + 1. Bytes in, values out: no file, no peer.
 *
 * The reader judges while bytes arrive and stops at the first bad record, so that a liar costs pieces,
 * not a catalogue: headers by every rule of DESIGN §2 (natively), each metainfo by the rule that makes it.
 */
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { parseSegmentMetainfo, type SegmentKind } from '../metainfo/segment.js';
import { HeaderChain, type Network } from '../native.js';
import { sameBytes, toHex } from '../units.js';

const magicText = 'bswarm1\n';
const headLengthBytes = 12;
const headerLengthBytes = 80;
/** DESIGN §1: a metainfo in a catalogue is at most 4 MiB. */
const maxMetainfoBytes = 4 * 2 ** 20;

/** The torrents of one segment. */
export interface CatalogueRecord {
  readonly index: number;
  readonly blocks: Metainfo;
  readonly spent: Metainfo;
}

/** The first 12 bytes: magic and network magic. */
export function catalogueHead(network: Network): Uint8Array {
  const head = new Uint8Array(headLengthBytes);
  new TextEncoder().encodeInto(magicText, head);
  head.set(network.magic, 8);
  return head;
}

/** One record: `80·interval` bytes of headers, then both metainfos behind their lengths. */
export function catalogueRecord(
  headers: Uint8Array,
  blocksMetainfo: Uint8Array,
  spentMetainfo: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(headers.length + 8 + blocksMetainfo.length + spentMetainfo.length);
  const view = new DataView(bytes.buffer);
  bytes.set(headers, 0);
  let offset = headers.length;
  for (const metainfo of [blocksMetainfo, spentMetainfo]) {
    view.setUint32(offset, metainfo.length, true);
    bytes.set(metainfo, offset + 4);
    offset += 4 + metainfo.length;
  }
  return bytes;
}

type Part = 'head' | 'headers' | SegmentKind;

/**
 * Reads a catalogue from its first byte on, in chunks of any size.
 * @throws BlockswarmError ERR_CATALOGUE (format, torrents), ERR_HEADERS (a header breaks a rule),
 *   ERR_NETWORK_MISMATCH (another network's catalogue). After a throw the records before the bad one
 *   stay readable and nothing more is accepted.
 */
export class CatalogueReader {
  /** The headers of all records so far; at a bad record also those of its headers that were good. */
  readonly chain: HeaderChain;
  readonly #network: Network;
  readonly #nowSeconds: number;
  readonly #records: CatalogueRecord[] = [];
  #part: Part = 'head';
  #blocks: Metainfo | null = null;
  /** Bytes that do not make a whole item yet: at most one metainfo and one chunk. */
  #rest: Uint8Array = new Uint8Array(0);
  #readBytes = 0;
  #failed = false;

  constructor(network: Network, nowSeconds: number) {
    this.#network = network;
    this.#nowSeconds = nowSeconds;
    this.chain = new HeaderChain(network.name);
  }

  /** Whole records read and found good. */
  get records(): readonly CatalogueRecord[] {
    return this.#records;
  }

  /** Takes the next bytes; judges every item that is now whole. */
  push(chunk: Uint8Array): void {
    if (this.#failed) throw new BlockswarmError('ERR_CATALOGUE', 'this catalogue was already found bad');
    try {
      this.#rest = this.#rest.length === 0 ? chunk : concat(this.#rest, chunk);
      while (this.#step()) {}
      // Copy: the chunk's memory belongs to the caller.
      this.#rest = this.#rest.slice();
    } catch (error) {
      this.#failed = true;
      throw error;
    }
  }

  /** Says that no bytes follow: a rest, or another number of records than `expected`, is an error. */
  finish(expected?: number): void {
    const count = this.#records.length;
    const whole = this.#part === 'headers' && this.#rest.length === 0 && this.#headersRead === 0;
    if (!whole) this.#fail(`it ends in the middle of record ${count}: it was cut short`);
    if (expected !== undefined && expected !== count) {
      this.#fail(`it holds ${count} records, but its name says ${expected}`);
    }
  }

  /** Headers of the record in progress. */
  get #headersRead(): number {
    return this.chain.height() + 1 - this.#records.length * this.#network.interval;
  }

  #take(lengthBytes: number): Uint8Array | null {
    if (this.#rest.length < lengthBytes) return null;
    const taken = this.#rest.subarray(0, lengthBytes);
    this.#rest = this.#rest.subarray(lengthBytes);
    this.#readBytes += lengthBytes;
    return taken;
  }

  #step(): boolean {
    switch (this.#part) {
      case 'head':
        return this.#readHead();
      case 'headers':
        return this.#readHeaders();
      default:
        return this.#readMetainfo(this.#part);
    }
  }

  #readHead(): boolean {
    const head = this.#take(headLengthBytes);
    if (!head) return false;
    const expected = catalogueHead(this.#network);
    if (!sameBytes(head.subarray(0, 8), expected.subarray(0, 8)))
      this.#fail('it does not start with "bswarm1"');
    if (!sameBytes(head, expected)) {
      throw new BlockswarmError(
        'ERR_NETWORK_MISMATCH',
        `the catalogue's network magic is ${toHex(head.subarray(8))}, but ${this.#network.name} has ${toHex(this.#network.magic)}`,
      );
    }
    this.#part = 'headers';
    return true;
  }

  #readHeaders(): boolean {
    const wanted = this.#network.interval - this.#headersRead;
    const whole = Math.min(wanted, Math.floor(this.#rest.length / headerLengthBytes));
    if (whole === 0) return false;
    const headers = this.#take(whole * headerLengthBytes);
    const fault = headers && this.chain.append(headers, this.#nowSeconds);
    if (fault) {
      throw new BlockswarmError(
        'ERR_HEADERS',
        `record ${this.#records.length} of the catalogue: header ${fault.height}: ${fault.rule}: ${fault.message}`,
      );
    }
    if (whole === wanted) this.#part = 'blocks';
    return whole === wanted;
  }

  #readMetainfo(kind: SegmentKind): boolean {
    if (this.#rest.length < 4) return false;
    const index = this.#records.length;
    const lengthBytes = new DataView(this.#rest.buffer, this.#rest.byteOffset).getUint32(0, true);
    if (lengthBytes > maxMetainfoBytes) {
      this.#fail(
        `the ${kind} metainfo of record ${index} claims ${lengthBytes} bytes; the limit is ${maxMetainfoBytes}`,
      );
    }
    const bytes = this.#rest.length >= 4 + lengthBytes ? this.#take(4 + lengthBytes) : null;
    if (!bytes) return false;
    let metainfo: Metainfo;
    try {
      // A copy of its own: the chunk around it is much larger, or the caller's.
      metainfo = parseSegmentMetainfo(bytes.slice(4), this.#network.name, index, kind);
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      this.#fail(`the ${kind} metainfo of record ${index}: ${reason}`, cause);
    }
    if (kind === 'blocks') {
      this.#blocks = metainfo;
      this.#part = 'spent';
    } else if (this.#blocks) {
      this.#records.push({ index, blocks: this.#blocks, spent: metainfo });
      this.#blocks = null;
      this.#part = 'headers';
    }
    return true;
  }

  #fail(reason: string, cause?: unknown): never {
    throw new BlockswarmError('ERR_CATALOGUE', `bad catalogue, at byte ${this.#readBytes}: ${reason}`, {
      cause,
    });
  }
}

/**
 * Refuses a header chain with less work than the floor: made-up headers are cheap at low difficulty.
 * @throws BlockswarmError ERR_CHAIN_WORK
 */
export function checkChainWork(chain: HeaderChain, floor: Uint8Array): void {
  const height = chain.height();
  const work = height < 0 ? new Uint8Array(32) : chain.workAt(height);
  if (Buffer.compare(work, floor) >= 0) return;
  throw new BlockswarmError(
    'ERR_CHAIN_WORK',
    `the header chain ends at height ${height} with work 0x${toHex(work)}, less than the floor 0x${toHex(floor)}. ` +
      'A shorter or test chain needs a lower floor (--min-chain-work HEX).',
  );
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a, 0);
  both.set(b, a.length);
  return both;
}
