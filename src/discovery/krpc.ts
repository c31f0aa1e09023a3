/**
 * The messages of the DHT (KRPC: BEP 5, with the fields of BEP 32, 42 and 43). Bytes in, values out: what is returned
 * has an id, a transaction and a kind of the right type and size; other fields are asked for by type and size when
 * they are needed.
 */
import { type BencodeDict, type BencodeValue, decode, type Encodable, encode, isDict } from '../bencode.js';
import { ID_BYTES } from './node-id.js';

/** Longest datagram read: what fits an Ethernet frame, with room to spare. */
export const MAX_DATAGRAM_BYTES = 2048;
/** Ours have 4; what others choose is repeated to them. */
const MAX_TRANSACTION_BYTES = 32;
const MAX_METHOD_BYTES = 32;
const LIMITS = { maxBytes: MAX_DATAGRAM_BYTES, maxDepth: 10, maxTokens: 500 };

/** Errors of BEP 5 and BEP 44, by code. */
export const KRPC_ERRORS = {
  203: 'Protocol Error',
  204: 'Method Unknown',
  205: 'message (v field) too big',
  206: 'invalid signature',
  207: 'salt (salt field) too big',
  301: 'the CAS hash mismatched, re-read value and try again',
  302: 'sequence number less than current',
} as const;

export type KrpcErrorCode = keyof typeof KRPC_ERRORS;

export interface KrpcQuery {
  readonly kind: 'query';
  readonly transaction: Uint8Array;
  readonly method: string;
  readonly id: Uint8Array;
  readonly args: BencodeDict;
  /** BEP 43: it answers nobody, and is not worth knowing. */
  readonly readOnly: boolean;
}

export interface KrpcReply {
  readonly kind: 'reply';
  readonly transaction: Uint8Array;
  readonly id: Uint8Array;
  readonly values: BencodeDict;
  /** Where the sender sees us (BEP 42), compact. */
  readonly ip: Uint8Array | null;
}

export interface KrpcError {
  readonly kind: 'error';
  readonly transaction: Uint8Array;
  readonly code: number;
}

export type KrpcMessage = KrpcQuery | KrpcReply | KrpcError;

/** A message, or `null` for anything else. Never throws. */
export function parseKrpc(payload: Uint8Array): KrpcMessage | null {
  let message: BencodeValue;
  try {
    message = decode(payload, LIMITS);
  } catch {
    return null;
  }
  if (!isDict(message)) return null;
  const transaction = bytesOf(message, 't', 1, MAX_TRANSACTION_BYTES);
  if (transaction === null) return null;
  switch (textOf(message, 'y', 1)) {
    case 'q':
      return query(message, transaction);
    case 'r': {
      const values = message.get('r');
      const id = isDict(values) ? idOf(values, 'id') : null;
      if (!isDict(values) || id === null) return null;
      return { kind: 'reply', transaction, id, values, ip: bytesOf(message, 'ip', 6, 18) };
    }
    case 'e': {
      const error = message.get('e');
      const code = Array.isArray(error) ? error[0] : null;
      return { kind: 'error', transaction, code: typeof code === 'number' ? code : 0 };
    }
    default:
      return null;
  }
}

function query(message: BencodeDict, transaction: Uint8Array): KrpcQuery | null {
  const args = message.get('a');
  const method = textOf(message, 'q', MAX_METHOD_BYTES);
  const id = isDict(args) ? idOf(args, 'id') : null;
  if (!isDict(args) || id === null || method === null) return null;
  return { kind: 'query', transaction, method, id, args, readOnly: message.get('ro') === 1 };
}

export type KrpcFields = ReadonlyMap<string, Encodable>;

export function encodeQuery(
  transaction: Uint8Array,
  method: string,
  args: KrpcFields,
  readOnly: boolean,
): Uint8Array {
  const message = new Map<string, Encodable>([
    ['a', args],
    ['q', method],
    ['t', transaction],
    ['y', 'q'],
  ]);
  return encode(readOnly ? message.set('ro', 1) : message);
}

/** `ip`: where we see the one who asked (BEP 42), compact. */
export function encodeReply(transaction: Uint8Array, values: KrpcFields, ip: Uint8Array): Uint8Array {
  return encode(
    new Map<string, Encodable>([
      ['ip', ip],
      ['r', values],
      ['t', transaction],
      ['y', 'r'],
    ]),
  );
}

export function encodeError(transaction: Uint8Array, code: KrpcErrorCode): Uint8Array {
  return encode(
    new Map<string, Encodable>([
      ['e', [code, KRPC_ERRORS[code]]],
      ['t', transaction],
      ['y', 'e'],
    ]),
  );
}

/** A field that is a byte string of so many bytes, or `null`. */
export function bytesOf(dict: BencodeDict, key: string, min: number, max: number): Uint8Array | null {
  const value = dict.get(key);
  return value instanceof Uint8Array && value.length >= min && value.length <= max ? value : null;
}

/** A field that is an id or an infohash, or `null`. */
export function idOf(dict: BencodeDict, key: string): Uint8Array | null {
  return bytesOf(dict, key, ID_BYTES, ID_BYTES);
}

/** A field that is an integer, or `null`. */
export function integerOf(dict: BencodeDict, key: string): number | null {
  const value = dict.get(key);
  return typeof value === 'number' ? value : null;
}

function textOf(dict: BencodeDict, key: string, maxBytes: number): string | null {
  const value = bytesOf(dict, key, 1, maxBytes);
  return value === null ? null : Buffer.from(value).toString('latin1');
}
