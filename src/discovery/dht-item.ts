/**
 * Items of the DHT (BEP 44): an immutable one is found by the hash of its value; a mutable one by its public key and
 * salt, and proven by a signature over salt, sequence number and value.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import { decode, encode } from '../bencode.js';

/** A value that a node keeps for whoever asks. */
export interface DhtItem {
  /** Bencoded; at most 1000 bytes. */
  readonly value: Uint8Array;
  /** ed25519, 32 bytes: of a mutable item, as are all that follow. */
  readonly publicKey?: Uint8Array;
  /** Tells items of one key apart; at most 64 bytes. */
  readonly salt?: Uint8Array;
  /** The higher one wins. */
  readonly seq?: number;
  /** ed25519, 64 bytes. */
  readonly signature?: Uint8Array;
}

/** An item with a key and a signature, which may still be wrong. */
export type MutableItem = DhtItem & Required<Pick<DhtItem, 'publicKey' | 'seq' | 'signature'>>;

export const MAX_VALUE_BYTES = 1000;
export const MAX_SALT_BYTES = 64;
export const PUBLIC_KEY_BYTES = 32;
export const SIGNATURE_BYTES = 64;
const SEED_BYTES = 32;
/** Inside the two dictionaries of a message, whose other fields count as well. */
const VALUE_LIMITS = { maxBytes: MAX_VALUE_BYTES, maxDepth: 8, maxTokens: 450 };

// What stands before the 32 bytes of an ed25519 key in its DER forms (RFC 8410).
const PUBLIC_DER = Buffer.from('302a300506032b6570032100', 'hex');
const PRIVATE_DER = Buffer.from('302e020100300506032b657004220420', 'hex');

/** Under which hash, 20 bytes, an item is found. */
export function itemTarget(item: Pick<DhtItem, 'value' | 'publicKey' | 'salt'>): Uint8Array {
  if (item.publicKey) return mutableTarget(item.publicKey, item.salt);
  return createHash('sha1').update(item.value).digest();
}

/** Under which hash the mutable items of a key and salt are found. */
export function mutableTarget(publicKey: Uint8Array, salt: Uint8Array = new Uint8Array()): Uint8Array {
  return createHash('sha1').update(publicKey).update(salt).digest();
}

export function isMutable(item: DhtItem): item is MutableItem {
  return item.publicKey !== undefined && item.seq !== undefined && item.signature !== undefined;
}

/** The bytes that are signed. */
export function signedBytes({ value, salt, seq = 0 }: Pick<DhtItem, 'value' | 'salt' | 'seq'>): Uint8Array {
  const parts = [Buffer.from(`3:seqi${seq}e1:v`), value];
  if (salt?.length) parts.unshift(Buffer.from('4:salt'), encode(salt));
  return Buffer.concat(parts);
}

/**
 * A mutable item. `seed` is the 32 bytes of an ed25519 private key.
 * @throws RangeError for a value, salt, seed or seq that no node would take
 */
export function signItem(
  item: Required<Pick<DhtItem, 'value' | 'seq'>> & Pick<DhtItem, 'salt'>,
  seed: Uint8Array,
): MutableItem {
  const key = privateKey(seed);
  checkSizes(item);
  return { ...item, publicKey: publicKeyOf(seed), signature: sign(null, signedBytes(item), key) };
}

/** The 32 bytes of the public key. @throws RangeError when `seed` is not 32 bytes */
export function publicKeyOf(seed: Uint8Array): Uint8Array {
  const der = createPublicKey(privateKey(seed)).export({ format: 'der', type: 'spki' });
  return Uint8Array.from(der.subarray(PUBLIC_DER.length));
}

/** Whether a mutable item was signed by its key. */
export function isSigned(item: MutableItem): boolean {
  if (item.publicKey.length !== PUBLIC_KEY_BYTES || item.signature.length !== SIGNATURE_BYTES) return false;
  try {
    const der = Buffer.concat([PUBLIC_DER, item.publicKey]);
    const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
    return verify(null, signedBytes(item), key, item.signature);
  } catch {
    // Bytes that are no key sign nothing.
    return false;
  }
}

/**
 * Refuses what no node would take.
 * @throws RangeError
 */
export function checkItem(item: DhtItem): void {
  checkSizes(item);
  if (!isBencoded(item.value)) throw new RangeError('"value" expected canonical bencoding');
  const { publicKey, salt, seq, signature } = item;
  if (publicKey === undefined) {
    if (seq !== undefined || signature !== undefined || salt !== undefined)
      throw new RangeError('"salt", "seq" and "signature" are of items with a "publicKey"');
  } else if (!isMutable(item) || !isSigned(item)) {
    throw new RangeError('"signature" expected one of "publicKey" over salt, seq and value');
  }
}

function isBencoded(bytes: Uint8Array): boolean {
  try {
    decode(bytes, VALUE_LIMITS);
    return true;
  } catch {
    return false;
  }
}

function checkSizes({ value, salt, seq }: DhtItem): void {
  if (value.length === 0 || value.length > MAX_VALUE_BYTES)
    throw new RangeError(`"value" expected 1 to ${MAX_VALUE_BYTES} bytes, got ${value.length}`);
  if (salt !== undefined && salt.length > MAX_SALT_BYTES)
    throw new RangeError(`"salt" expected at most ${MAX_SALT_BYTES} bytes, got ${salt.length}`);
  if (seq !== undefined && (!Number.isSafeInteger(seq) || seq < 0))
    throw new RangeError(`"seq" expected a whole number, got ${seq}`);
}

function privateKey(seed: Uint8Array): KeyObject {
  if (seed.length !== SEED_BYTES) throw new RangeError(`"seed" expected ${SEED_BYTES} bytes`);
  return createPrivateKey({ key: Buffer.concat([PRIVATE_DER, seed]), format: 'der', type: 'pkcs8' });
}
