/**
 * Bencoding (BEP 3), the only decoder that sees bytes from outside.
 *
 * Strict: only the canonical form is accepted (sorted unique keys, no leading zeros, no `-0`, nothing after the
 * end), so that `encode(decode(bytes))` is `bytes`. Bounded in bytes, depth and number of values, so that no
 * input makes it slow or large. Everything it refuses is `ERR_BENCODE` with the offset.
 *
 * Values: integers are `number` when safe, else `bigint` (64 bits at most); byte strings are `Uint8Array` views
 * into the input; dictionaries are `Map`s whose keys are *latin1* strings, one character for each byte, so that any
 * bytes survive and string order is byte order. `keyText` and `textKey` turn UTF-8 keys into text and back.
 */

import { BlockswarmError } from './errors.js';

export type BencodeValue = number | bigint | Uint8Array | BencodeValue[] | BencodeDict;

/** A dictionary; keys are latin1 strings (one character a byte). */
export type BencodeDict = Map<string, BencodeValue>;

/** What `encode` takes: as `BencodeValue`, and a `string` is written as its UTF-8 bytes. */
export type Encodable =
  | number
  | bigint
  | string
  | Uint8Array
  | readonly Encodable[]
  | ReadonlyMap<string, Encodable>;

export interface BencodeLimits {
  /** Longest input, in bytes. */
  maxBytes: number;
  /** Deepest nesting of lists and dictionaries; 0 allows none. */
  maxDepth: number;
  /** Most values altogether; lists and dictionaries count as one each, keys not at all. */
  maxTokens: number;
  /** Takes dictionaries whose keys are not sorted, for what is only read: each key is still there once. */
  anyKeyOrder?: boolean;
}

/** Enough for any message of a peer; a `.torrent` brings its own limits. */
export const DEFAULT_LIMITS: Readonly<BencodeLimits> = {
  maxBytes: 4 * 1024 * 1024,
  maxDepth: 16,
  maxTokens: 10_000,
};

const INT_MIN = -(2n ** 63n);
const INT_MAX = 2n ** 64n - 1n;
// The longest integers in 64 bits, -9223372036854775808 and 18446744073709551615, have 20 characters.
const INT_MAX_CHARACTERS = 20;

const DIGIT_0 = 0x30;
const DIGIT_9 = 0x39;
const COLON = 0x3a;
const DICT = 0x64;
const END = 0x65;
const INTEGER = 0x69;
const LIST = 0x6c;

/**
 * Decodes one value that fills `bytes` exactly.
 *
 * @throws BlockswarmError ERR_BENCODE
 */
export function decode(bytes: Uint8Array, limits: Partial<BencodeLimits> = {}): BencodeValue {
  const { value, endOffset } = decodePrefix(bytes, limits);
  if (endOffset !== bytes.length) throw fault(endOffset, 'bytes after the end');
  return value;
}

/**
 * Decodes the value at the start of `bytes` and tells where it ends: BEP 9 puts a payload behind a dictionary.
 * `maxBytes` bounds the value, not what follows it.
 *
 * @throws BlockswarmError ERR_BENCODE
 */
export function decodePrefix(
  bytes: Uint8Array,
  limits: Partial<BencodeLimits> = {},
): { value: BencodeValue; endOffset: number } {
  const reader = new Reader(bytes, { ...DEFAULT_LIMITS, ...limits });
  const value = reader.value(0);
  return { value, endOffset: reader.offset };
}

/**
 * Decodes a dictionary that fills `bytes` one level deep: its values stay bencoded, as views into the input. All of it
 * is checked, within the limits, but takes no memory: for a `.torrent`, of which not everything is wanted, and the info
 * dictionary as it was hashed.
 *
 * @throws BlockswarmError ERR_BENCODE, also when it is not a dictionary
 */
export function decodeShallow(
  bytes: Uint8Array,
  limits: Partial<BencodeLimits> = {},
): Map<string, Uint8Array> {
  const reader = new Reader(bytes, { ...DEFAULT_LIMITS, ...limits });
  const values = reader.shallowDict();
  if (reader.offset !== bytes.length) throw fault(reader.offset, 'bytes after the end');
  return values;
}

/** Whether a decoded value is a dictionary. */
export function isDict(value: BencodeValue | undefined): value is BencodeDict {
  return value instanceof Map;
}

/** The text of a key whose bytes are UTF-8, or `null` when they are not. */
export function keyText(key: string): string | null {
  return bytesText(Buffer.from(key, 'latin1'));
}

/** The key whose bytes are the UTF-8 of `text`. */
export function textKey(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of a byte string that is UTF-8, or `null` when it is not. */
export function bytesText(bytes: Uint8Array): string | null {
  try {
    return utf8.decode(bytes);
  } catch {
    return null;
  }
}

/**
 * Encodes a value canonically.
 *
 * @throws TypeError when a part has no encoding (a fraction, more than 64 bits, a key that is not latin1)
 */
export function encode(value: Encodable): Uint8Array {
  const parts: Uint8Array[] = [];
  write(value, parts);
  const bytes = new Uint8Array(parts.reduce((total, part) => total + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

/** Where bytes of the input are. */
type Span = [start: number, end: number];

class Reader {
  offset = 0;
  private readonly bytes: Uint8Array;
  private readonly buffer: Buffer;
  private readonly limits: BencodeLimits;
  private readonly end: number;
  private tokens = 0;

  constructor(bytes: Uint8Array, limits: BencodeLimits) {
    this.bytes = bytes;
    this.buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.limits = limits;
    this.end = Math.min(bytes.length, limits.maxBytes);
  }

  value(depth: number): BencodeValue {
    const head = this.head(depth);
    if (head === INTEGER) return this.integer();
    if (head === LIST) return this.list(depth + 1);
    if (head === DICT) return this.dict(depth + 1);
    const [start, end] = this.string();
    return this.bytes.subarray(start, end);
  }

  /** The outermost dictionary, its values as they lie in the input. */
  shallowDict(): Map<string, Uint8Array> {
    if (this.head(0) !== DICT) throw this.fault('expected a dictionary');
    const dict = new Map<string, Uint8Array>();
    for (let key = this.firstKey(); key !== null; key = this.nextKey(key)) {
      const start = this.offset;
      this.skip(1);
      dict.set(this.text(key), this.bytes.subarray(start, this.offset));
    }
    return dict;
  }

  /** Moves behind a value, which is checked as by `value` but not built. */
  private skip(depth: number): void {
    const head = this.head(depth);
    if (head === INTEGER) {
      this.integer();
    } else if (head === LIST) {
      this.offset += 1;
      while (this.peek() !== END) this.skip(depth + 1);
      this.offset += 1;
    } else if (head === DICT) {
      for (let key = this.firstKey(); key !== null; key = this.nextKey(key)) this.skip(depth + 1);
    } else {
      this.string();
    }
  }

  /** Counts the value that begins here and returns its first byte. */
  private head(depth: number): number {
    if (++this.tokens > this.limits.maxTokens) throw this.fault(`more than ${this.limits.maxTokens} values`);
    const head = this.peek();
    if (head === INTEGER || (head >= DIGIT_0 && head <= DIGIT_9)) return head;
    if (head !== LIST && head !== DICT) throw this.fault('expected a value');
    if (depth >= this.limits.maxDepth) throw this.fault(`deeper than ${this.limits.maxDepth}`);
    return head;
  }

  private list(depth: number): BencodeValue[] {
    const list: BencodeValue[] = [];
    this.offset += 1;
    while (this.peek() !== END) list.push(this.value(depth));
    this.offset += 1;
    return list;
  }

  private dict(depth: number): BencodeDict {
    const dict: BencodeDict = new Map();
    for (let key = this.firstKey(); key !== null; key = this.nextKey(key)) {
      const text = this.text(key);
      if (this.limits.anyKeyOrder && dict.has(text)) throw fault(key[0], 'keys not unique');
      dict.set(text, this.value(depth));
    }
    return dict;
  }

  /** Enters a dictionary; `null` behind its end when it is empty. */
  private firstKey(): Span | null {
    this.offset += 1;
    return this.nextKey(null);
  }

  /** The key here, which must come after the one before it; `null` behind the dictionary's end. */
  private nextKey(previous: Span | null): Span | null {
    const keyOffset = this.offset;
    if (this.peek() === END) {
      this.offset += 1;
      return null;
    }
    const key = this.string();
    if (this.limits.anyKeyOrder) return key;
    if (previous !== null && this.buffer.compare(this.buffer, ...previous, ...key) <= 0) {
      throw fault(keyOffset, 'keys not sorted or not unique');
    }
    return key;
  }

  private text([start, end]: Span): string {
    return this.buffer.toString('latin1', start, end);
  }

  /** Reads a byte string and returns where its bytes are. */
  private string(): Span {
    const start = this.offset;
    let length = 0;
    for (let byte = this.peek(); byte !== COLON; byte = this.peek()) {
      if (byte < DIGIT_0 || byte > DIGIT_9) throw this.fault('expected a string length');
      if (length === 0 && this.offset > start) throw this.fault('string length with a leading zero');
      length = length * 10 + byte - DIGIT_0;
      // Stops here, at the latest after as many digits as the input's length has.
      if (length > this.end - start) throw this.fault('string longer than the input');
      this.offset += 1;
    }
    if (this.offset === start) throw this.fault('expected a string length');
    const first = this.offset + 1;
    if (length > this.end - first) throw this.fault('string longer than the input');
    this.offset = first + length;
    return [first, first + length];
  }

  private integer(): number | bigint {
    const start = this.offset + 1;
    let end = start;
    while (end < this.end && this.bytes[end] !== END) {
      if (end - start >= INT_MAX_CHARACTERS) throw this.fault('integer of more than 64 bits');
      end += 1;
    }
    if (end >= this.end) throw this.fault('input ends inside an integer');
    const text = this.buffer.toString('latin1', start, end);
    if (!/^(?:0|-?[1-9][0-9]*)$/.test(text)) throw this.fault('malformed integer');
    this.offset = end + 1;
    const small = Number(text);
    if (Number.isSafeInteger(small)) return small;
    const big = BigInt(text);
    if (big < INT_MIN || big > INT_MAX) throw fault(start - 1, 'integer of more than 64 bits');
    return big;
  }

  private peek(): number {
    const byte = this.offset < this.end ? this.bytes[this.offset] : undefined;
    if (byte !== undefined) return byte;
    throw this.fault(
      this.end < this.bytes.length
        ? `longer than ${this.limits.maxBytes} bytes`
        : 'input ends inside a value',
    );
  }

  private fault(what: string): BlockswarmError {
    return fault(this.offset, what);
  }
}

function fault(offset: number, what: string): BlockswarmError {
  return new BlockswarmError('ERR_BENCODE', `bencoding: ${what} at offset ${offset}`);
}

function write(value: Encodable, parts: Uint8Array[]): void {
  if (typeof value === 'string') {
    writeString(Buffer.from(value, 'utf8'), parts);
  } else if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new TypeError(`"value" expected a safe integer, got ${value}`);
    parts.push(Buffer.from(`i${value === 0 ? 0 : value}e`, 'latin1'));
  } else if (typeof value === 'bigint') {
    if (value < INT_MIN || value > INT_MAX) throw new TypeError(`"value" expected 64 bits, got ${value}`);
    parts.push(Buffer.from(`i${value}e`, 'latin1'));
  } else if (value instanceof Uint8Array) {
    writeString(value, parts);
  } else if (value instanceof Map) {
    parts.push(Buffer.from('d', 'latin1'));
    for (const key of [...value.keys()].sort(byCodeUnit)) {
      const bytes = Buffer.from(key, 'latin1');
      if (bytes.toString('latin1') !== key)
        throw new TypeError(`key expected latin1, got ${JSON.stringify(key)}`);
      writeString(bytes, parts);
      write(value.get(key), parts);
    }
    parts.push(Buffer.from('e', 'latin1'));
  } else if (Array.isArray(value)) {
    parts.push(Buffer.from('l', 'latin1'));
    for (const item of value) write(item, parts);
    parts.push(Buffer.from('e', 'latin1'));
  } else {
    throw new TypeError(`"value" has no encoding: ${typeof value}`);
  }
}

function writeString(bytes: Uint8Array, parts: Uint8Array[]): void {
  parts.push(Buffer.from(`${bytes.length}:`, 'latin1'), bytes);
}

function byCodeUnit(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
