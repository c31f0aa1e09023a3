/** What we answer to whom: the questions of BEP 5, 32, 44 and 51. Decides; sends nothing. */
import type { BencodeDict, Encodable } from '../bencode.js';
import type { PeerAddress } from '../connector.js';
import {
  type AddressFamily,
  addressFamily,
  compactBytes,
  encodeCompactAddress,
} from '../wire/compact-address.js';
import { encodeCompactNodes, NODES_FIELD, nodeBytes } from './compact-nodes.js';
import { itemTarget } from './dht-item.js';
import { itemFields, parseItem } from './item-fields.js';
import type { ItemStore } from './item-store.js';
import {
  bytesOf,
  encodeError,
  encodeReply,
  idOf,
  integerOf,
  type KrpcErrorCode,
  type KrpcQuery,
  MAX_DATAGRAM_BYTES,
} from './krpc.js';
import type { PeerStore } from './peer-store.js';
import { MAX_REPLY_BYTES, type ReplyAllowance } from './reply-allowance.js';
import type { RoutingTable } from './routing-table.js';
import type { WriteTokens } from './write-token.js';

export interface Responder {
  /** Of each family that we speak; the one asked for by `want` (BEP 32). */
  readonly tables: (family: AddressFamily) => RoutingTable | null;
  readonly peers: PeerStore;
  readonly items: ItemStore;
  readonly tokens: WriteTokens;
  readonly allowance: ReplyAllowance;
  /** BEP 51: kept for the time that we name. */
  readonly sampled: () => readonly Uint8Array[];
}

/** A reply, and a larger one for when the address was proven that asked. */
export interface Response {
  readonly payload: Uint8Array;
  readonly ifProven: Uint8Array | null;
}

/** Most peers in a reply. */
export const MAX_REPLY_PEERS = 50;
/** BEP 51: how long a sample stays the same. */
export const SAMPLE_INTERVAL_MS = 10 * 60_000;
const MAX_NODES = 8;
/** `8:nodes6` and the lengths of strings, at most. */
const FIELD_BYTES = 14;

type Fields = Map<string, Encodable>;

/** `null` for what is not worth an answer. */
export function respond(
  responder: Responder,
  query: KrpcQuery,
  from: PeerAddress,
  questionBytes: number,
): Response | null {
  const family = addressFamily(from);
  const own = responder.tables(family);
  if (!own) return null;
  const { allowance, tokens } = responder;
  const { args, transaction } = query;
  const target = idOf(args, 'info_hash') ?? idOf(args, 'target');
  const token = bytesOf(args, 'token', 1, MAX_DATAGRAM_BYTES);
  const isAllowed = token !== null && target !== null && tokens.isValid(token, from.host, target);
  if (isAllowed) allowance.prove(from.host);
  const limit = allowance.bytesFor(from.host, questionBytes);
  const ip = encodeCompactAddress(from);
  const reply = (fields: Fields) => encodeReply(transaction, fields.set('id', own.id), ip);
  const only = (payload: Uint8Array): Response | null =>
    payload.length > limit ? null : { payload, ifProven: null };
  const refuse = (code: KrpcErrorCode) => only(encodeError(transaction, code));
  const room = (fields: Fields) => limit - reply(fields).length;

  switch (query.method) {
    case 'ping':
      return only(reply(new Map()));
    case 'find_node': {
      if (!target) return refuse(203);
      const fields: Fields = new Map();
      addNodes(responder, fields, args, family, target, room(fields));
      return only(reply(fields));
    }
    case 'get_peers': {
      if (!target) return refuse(203);
      const fields: Fields = new Map([['token', tokens.make(from.host, target)]]);
      const found = responder.peers.values(target, MAX_REPLY_PEERS);
      const size = compactBytes(family) + 3;
      // Peers are what is wanted, but who gets no nodes cannot go on.
      const most = Math.floor((room(fields) - FIELD_BYTES - 2 * nodeBytes(family)) / size);
      if (found.length > 0 && most > 0) fields.set('values', found.slice(0, most));
      addNodes(responder, fields, args, family, target, room(fields));
      return only(reply(fields));
    }
    case 'announce_peer': {
      const port = integerOf(args, 'implied_port') === 1 ? from.port : integerOf(args, 'port');
      if (!target || port === null || port < 1 || port > 65535 || !isAllowed) return refuse(203);
      responder.peers.add(target, { host: from.host, port });
      return only(reply(new Map()));
    }
    case 'sample_infohashes': {
      if (!target) return refuse(203);
      const { peers } = responder;
      const fields: Fields = new Map<string, Encodable>([
        ['interval', SAMPLE_INTERVAL_MS / 1000],
        ['num', peers.size],
        ['samples', new Uint8Array()],
      ]);
      const sampled = responder.sampled();
      const most = Math.max(0, Math.floor((room(fields) - FIELD_BYTES - 2 * nodeBytes(family)) / 20));
      fields.set('samples', Buffer.concat(sampled.slice(0, most)));
      addNodes(responder, fields, args, family, target, room(fields));
      return only(reply(fields));
    }
    case 'get': {
      if (!target) return refuse(203);
      const fields: Fields = new Map([['token', tokens.make(from.host, target)]]);
      const item = responder.items.get(target);
      const known = integerOf(args, 'seq');
      if (item?.seq !== undefined) fields.set('seq', item.seq);
      // Whoever has it already wants to know of a newer one only.
      const isNews = item && (item.seq === undefined || known === null || item.seq > known);
      const whole = new Map([...fields, ...(isNews ? itemFields(item) : [])]);
      const fits = reply(whole).length <= limit;
      const chosen = fits ? whole : fields;
      addNodes(responder, chosen, args, family, target, room(chosen));
      const payload = reply(chosen);
      if (fits) return only(payload);
      addNodes(responder, whole, args, family, target, MAX_REPLY_BYTES - reply(whole).length);
      return payload.length > limit ? null : { payload, ifProven: reply(whole) };
    }
    case 'put': {
      const item = parseItem(args);
      const given = bytesOf(args, 'token', 1, MAX_DATAGRAM_BYTES);
      if (!item || !given) return refuse(203);
      if (!tokens.isValid(given, from.host, itemTarget(item))) return refuse(203);
      allowance.prove(from.host);
      const refused = responder.items.put(item, from.host, integerOf(args, 'cas'));
      return refused === null ? only(reply(new Map())) : refuse(refused);
    }
    default:
      return refuse(204);
  }
}

/** Adds the nodes nearest to a target, of the families that are wanted, as many as there is room for. */
function addNodes(
  { tables }: Responder,
  fields: Fields,
  args: BencodeDict,
  family: AddressFamily,
  target: Uint8Array,
  roomBytes: number,
): void {
  const wanted = args.get('want');
  const names = Array.isArray(wanted)
    ? wanted.map((name) => (name instanceof Uint8Array ? Buffer.from(name).toString('latin1') : ''))
    : [];
  const families = (['ipv4', 'ipv6'] as const).filter((each) =>
    names.includes(each === 'ipv4' ? 'n4' : 'n6'),
  );
  let left = roomBytes;
  for (const each of families.length > 0 ? families : [family]) {
    const most = Math.min(MAX_NODES, Math.floor((left - FIELD_BYTES) / nodeBytes(each)));
    const nodes = most > 0 ? (tables(each)?.closest(target, most) ?? []) : [];
    // An empty list says that the question was understood.
    if (nodes.length === 0 && (each !== family || left < FIELD_BYTES)) continue;
    const compact = encodeCompactNodes(nodes);
    fields.set(NODES_FIELD[each], compact);
    left -= FIELD_BYTES + compact.length;
  }
}
