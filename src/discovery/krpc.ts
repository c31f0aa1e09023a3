/**
 * What a DHT datagram must look like before `bittorrent-dht` sees it (BEP 5), and what may leave.
 *
 * The package trusts types: a number where it expects bytes makes it throw half-way through its own bookkeeping. So
 * only messages of the kinds we serve, with every field of the right type and size, are let in.
 */

import { type BencodeDict, type BencodeValue, decode, encode, isDict } from '../bencode.js';

/** Longest datagram read: what fits an Ethernet frame, with room to spare. */
export const MAX_DATAGRAM_BYTES = 2048;
/** Most peers in a reply of ours: about 400 bytes, so that a spoofed question is not worth asking. */
export const MAX_REPLY_PEERS = 50;

const LIMITS = { maxBytes: MAX_DATAGRAM_BYTES, maxDepth: 10, maxTokens: 500 };
const ID_BYTES = 20;
const NODE_BYTES = 26;
const PEER_BYTES = 6;
const MAX_NODES = 32;
const MAX_TOKEN_BYTES = 64;
const MAX_TRANSACTION_BYTES = 16;

/** Whether a datagram is a query that we answer or a reply that we can read. */
export function isSoundKrpc(payload: Uint8Array): boolean {
  let message: BencodeValue;
  try {
    message = decode(payload, LIMITS);
  } catch {
    return false;
  }
  if (!isDict(message)) return false;
  switch (text(message.get('y'))) {
    case 'q':
      return isSoundQuery(message);
    case 'r':
      // Ours are 2 bytes: another length is no answer to anything.
      return isBytes(message.get('t'), 2, 2) && isSoundReply(message.get('r'));
    case 'e':
      return isBytes(message.get('t'), 2, 2) && Array.isArray(message.get('e'));
    default:
      return false;
  }
}

function isSoundQuery(message: BencodeDict): boolean {
  const args = message.get('a');
  if (!isBytes(message.get('t'), 1, MAX_TRANSACTION_BYTES) || !isDict(args) || !isId(args.get('id')))
    return false;
  switch (text(message.get('q'))) {
    case 'ping':
      return true;
    case 'find_node':
      return isId(args.get('target'));
    case 'get_peers':
      return isId(args.get('info_hash'));
    case 'announce_peer':
      return (
        isId(args.get('info_hash')) &&
        isBytes(args.get('token'), 1, MAX_TOKEN_BYTES) &&
        isIntegerOrAbsent(args.get('port')) &&
        isIntegerOrAbsent(args.get('implied_port'))
      );
    default:
      // `get` and `put` (BEP 44) among them: we store nobody's items.
      return false;
  }
}

function isSoundReply(reply: BencodeValue | undefined): boolean {
  if (!isDict(reply) || !isId(reply.get('id'))) return false;
  const nodes = reply.get('nodes');
  const token = reply.get('token');
  const values = reply.get('values');
  return (
    (nodes === undefined || (isBytes(nodes, 0, MAX_NODES * NODE_BYTES) && nodes.length % NODE_BYTES === 0)) &&
    (token === undefined || isBytes(token, 0, MAX_TOKEN_BYTES)) &&
    (values === undefined ||
      (Array.isArray(values) && values.every((value) => isBytes(value, PEER_BYTES, PEER_BYTES))))
  );
}

/**
 * Our own message, cut to what may leave, or `null` when nothing may: `bittorrent-dht` answers with every peer it
 * knows, which is neither a datagram nor fair to whoever's address the question carried. `values` come in random
 * order already.
 */
export function boundReply(payload: Uint8Array): Uint8Array | null {
  // Shorter ones cannot hold too many peers.
  if (payload.length <= PEER_BYTES * MAX_REPLY_PEERS) return payload;
  let message: BencodeValue;
  try {
    message = decode(payload, { maxBytes: 1024 * 1024, maxDepth: 10, maxTokens: 100_000 });
  } catch {
    return null;
  }
  const reply = isDict(message) ? message.get('r') : undefined;
  const values = isDict(reply) ? reply.get('values') : undefined;
  if (isDict(message) && isDict(reply) && Array.isArray(values) && values.length > MAX_REPLY_PEERS) {
    return encode(new Map(message).set('r', new Map(reply).set('values', values.slice(0, MAX_REPLY_PEERS))));
  }
  return payload.length <= MAX_DATAGRAM_BYTES ? payload : null;
}

function isId(value: BencodeValue | undefined): boolean {
  return isBytes(value, ID_BYTES, ID_BYTES);
}

function isBytes(value: BencodeValue | undefined, min: number, max: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length >= min && value.length <= max;
}

function isIntegerOrAbsent(value: BencodeValue | undefined): boolean {
  return value === undefined || typeof value === 'number';
}

function text(value: BencodeValue | undefined): string | null {
  return value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : null;
}
