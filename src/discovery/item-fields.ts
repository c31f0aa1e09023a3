/** An item in the fields of a message (BEP 44): of a `put`, or of the reply to a `get`. */
import { type BencodeDict, decode, type Encodable, encode } from '../bencode.js';
import { type DhtItem, isMutable, PUBLIC_KEY_BYTES, SIGNATURE_BYTES } from './dht-item.js';
import { bytesOf, integerOf, MAX_DATAGRAM_BYTES } from './krpc.js';

/** `null` when there is none, or a part is missing. Whether it is signed, and how long it is, is not judged here. */
export function parseItem(
  fields: BencodeDict,
  salt = bytesOf(fields, 'salt', 1, MAX_DATAGRAM_BYTES),
): DhtItem | null {
  const decoded = fields.get('v');
  if (decoded === undefined) return null;
  // The decoder takes nothing but the canonical form: these are the bytes that came.
  const value = encode(decoded);
  if (!fields.has('k')) return { value };
  const publicKey = bytesOf(fields, 'k', PUBLIC_KEY_BYTES, PUBLIC_KEY_BYTES);
  const signature = bytesOf(fields, 'sig', SIGNATURE_BYTES, SIGNATURE_BYTES);
  const seq = integerOf(fields, 'seq');
  if (!publicKey || !signature || seq === null || seq < 0) return null;
  return { value, publicKey, signature, seq, ...(salt?.length && { salt }) };
}

/** Without the salt, which only a `put` says. */
export function itemFields(item: DhtItem): Map<string, Encodable> {
  const fields = new Map<string, Encodable>([['v', decode(item.value)]]);
  if (!isMutable(item)) return fields;
  return fields.set('k', item.publicKey).set('seq', item.seq).set('sig', item.signature);
}
