/** What a DHT node keeps for its next start: its ids, and nodes to begin with. Bencoded. */
import { type BencodeValue, decode, encode, isDict } from '../bencode.js';
import type { AddressFamily } from '../wire/compact-address.js';
import {
  encodeCompactNodes,
  NODES_FIELD,
  type NodeInfo,
  nodeBytes,
  parseCompactNodes,
} from './compact-nodes.js';
import { bytesOf, idOf } from './krpc.js';

export interface DhtFamilyState {
  readonly id: Uint8Array | null;
  readonly nodes: readonly NodeInfo[];
}

export type DhtState = Readonly<Record<AddressFamily, DhtFamilyState>>;

export const NO_DHT_STATE: DhtState = { ipv4: { id: null, nodes: [] }, ipv6: { id: null, nodes: [] } };

/** Of each family. */
const MAX_NODES = 300;
export const MAX_DHT_STATE_BYTES = 64 * 1024;
const ID_FIELD = { ipv4: 'id', ipv6: 'id6' } as const;

export function encodeDhtState(state: DhtState): Uint8Array {
  const fields = new Map<string, Uint8Array>();
  for (const family of ['ipv4', 'ipv6'] as const) {
    const { id, nodes } = state[family];
    if (id) fields.set(ID_FIELD[family], id);
    if (nodes.length > 0) fields.set(NODES_FIELD[family], encodeCompactNodes(nodes.slice(0, MAX_NODES)));
  }
  return encode(fields);
}

/** @throws BlockswarmError ERR_BENCODE. What is missing, or of the wrong size, is left out. */
export function parseDhtState(bytes: Uint8Array): DhtState {
  const fields: BencodeValue = decode(bytes, { maxBytes: MAX_DHT_STATE_BYTES, maxDepth: 1, maxTokens: 16 });
  if (!isDict(fields)) return NO_DHT_STATE;
  const of = (family: AddressFamily): DhtFamilyState => {
    const nodes = bytesOf(fields, NODES_FIELD[family], nodeBytes(family), MAX_DHT_STATE_BYTES);
    return {
      id: idOf(fields, ID_FIELD[family]),
      nodes: nodes ? parseCompactNodes(nodes, family, MAX_NODES) : [],
    };
  };
  return { ipv4: of('ipv4'), ipv6: of('ipv6') };
}
