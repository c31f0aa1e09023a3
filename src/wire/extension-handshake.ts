/**
 * The extension handshake of BEP 10: the dictionary that two peers exchange as extension message 0, saying which
 * extensions they know and under which ids they want them.
 *
 * Bytes in, values out. What a peer says is a result and never throws: a dictionary that is not one gives `null`, a
 * field that makes no sense is as if it were absent.
 */

import {
  type BencodeDict,
  type BencodeValue,
  bytesText,
  decode,
  type Encodable,
  encode,
  isDict,
} from '../bencode.js';

/** Longest handshake read. libtorrent's is about 200 bytes. */
export const MAX_HANDSHAKE_BYTES = 16 * 1024;
/** Most extensions read. */
export const MAX_EXTENSIONS = 64;
/** Longest metadata believed (as libtorrent). */
export const MAX_METADATA_BYTES = 4 * 1024 * 1024;

const MAX_CLIENT_CHARACTERS = 128;
const MAX_REQUEST_QUEUE = 65_535;

export interface ExtensionHandshake {
  /** `m`: name of an extension to the id, 1 to 255, under which the sender wants its messages; 0 turns it off. */
  readonly extensions: ReadonlyMap<string, number>;
  /** `v`: client name and version. */
  readonly client: string | null;
  /** `p`: the TCP port the sender listens on. */
  readonly listenPort: number | null;
  /** `yourip`: the receiver's address as the sender sees it, 4 or 16 bytes. */
  readonly yourIp: Uint8Array | null;
  /** `reqq`: how many requests the sender keeps in its queue. */
  readonly requestQueue: number | null;
  /** `metadata_size` (BEP 9): length of the info dictionary. */
  readonly metadataBytes: number | null;
  /** `upload_only` (BEP 21): whether the sender wants nothing. */
  readonly uploadOnly: boolean | null;
  /** `e`: whether the sender prefers encrypted connections. */
  readonly prefersEncryption: boolean | null;
}

/** Writes a handshake; what is left out or `null` is not sent. */
export function encodeExtensionHandshake(handshake: Partial<ExtensionHandshake>): Uint8Array {
  const dict = new Map<string, Encodable>([['m', new Map(handshake.extensions ?? [])]]);
  const { client, listenPort, yourIp, requestQueue, metadataBytes, uploadOnly } = handshake;
  if (handshake.prefersEncryption) dict.set('e', 1);
  if (client) dict.set('v', client);
  if (listenPort) dict.set('p', listenPort);
  if (yourIp) dict.set('yourip', yourIp);
  if (requestQueue) dict.set('reqq', requestQueue);
  if (metadataBytes) dict.set('metadata_size', metadataBytes);
  if (uploadOnly != null) dict.set('upload_only', Number(uploadOnly));
  return encode(dict);
}

/**
 * Reads a handshake, or gives `null` when it is malformed: the peer can be closed for it. A field is `null` where it is
 * absent: a second handshake changes only what it mentions.
 */
export function parseExtensionHandshake(payload: Uint8Array): ExtensionHandshake | null {
  const dict = readDict(payload);
  if (dict === null) return null;
  const m = dict.get('m');
  if (m !== undefined && (!isDict(m) || m.size > MAX_EXTENSIONS)) return null;
  const extensions = new Map<string, number>();
  for (const [name, id] of m ?? []) {
    if (isIntegerIn(id, 0, 255) && name !== '') extensions.set(name, id);
  }
  const client = dict.get('v');
  const yourIp = dict.get('yourip');
  return {
    extensions,
    client: client instanceof Uint8Array ? readableText(client) : null,
    listenPort: integerIn(dict.get('p'), 1, 65_535),
    yourIp: yourIp instanceof Uint8Array && (yourIp.length === 4 || yourIp.length === 16) ? yourIp : null,
    requestQueue: integerIn(dict.get('reqq'), 1, MAX_REQUEST_QUEUE),
    metadataBytes: integerIn(dict.get('metadata_size'), 1, MAX_METADATA_BYTES),
    uploadOnly: flag(dict.get('upload_only')),
    prefersEncryption: flag(dict.get('e')),
  };
}

function readDict(payload: Uint8Array): BencodeDict | null {
  try {
    const value = decode(payload, { maxBytes: MAX_HANDSHAKE_BYTES, maxDepth: 4, maxTokens: 512 });
    return isDict(value) ? value : null;
  } catch {
    return null;
  }
}

function isIntegerIn(value: BencodeValue | undefined, min: number, max: number): value is number {
  return typeof value === 'number' && value >= min && value <= max;
}

function integerIn(value: BencodeValue | undefined, min: number, max: number): number | null {
  return isIntegerIn(value, min, max) ? value : null;
}

function flag(value: BencodeValue | undefined): boolean | null {
  const number = integerIn(value, 0, 1);
  return number === null ? null : number === 1;
}

/** Text that is fit for a terminal or a log: no control characters, not too long. */
function readableText(bytes: Uint8Array): string | null {
  if (bytes.length > MAX_CLIENT_CHARACTERS) return null;
  return bytesText(bytes)?.replace(/\p{C}/gu, '') ?? null;
}
