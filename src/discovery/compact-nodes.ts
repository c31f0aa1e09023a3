/** Compact node info: an id and an address, 26 bytes in `nodes` (BEP 5), 38 in `nodes6` (BEP 32). */
import type { PeerAddress } from '../connector.js';
import {
  type AddressFamily,
  addressFamily,
  compactBytes,
  encodeCompactAddress,
  parseCompactAddress,
} from '../wire/compact-address.js';
import { ID_BYTES } from './node-id.js';

/** A node of the DHT. */
export interface NodeInfo extends PeerAddress {
  readonly id: Uint8Array;
}

/** The field of a message that holds nodes of a family. */
export const NODES_FIELD = { ipv4: 'nodes', ipv6: 'nodes6' } as const;

export function nodeBytes(family: AddressFamily): number {
  return ID_BYTES + compactBytes(family);
}

export function encodeCompactNodes(nodes: readonly NodeInfo[]): Uint8Array {
  return Buffer.concat(nodes.flatMap((node) => [node.id, encodeCompactAddress(node)]));
}

/** The first nodes of a list, `most` at most; those without a usable address are left out. Copies. */
export function parseCompactNodes(bytes: Uint8Array, family: AddressFamily, most: number): NodeInfo[] {
  const size = nodeBytes(family);
  const nodes: NodeInfo[] = [];
  for (let at = 0; at + size <= bytes.length && at < most * size; at += size) {
    const address = parseCompactAddress(bytes.subarray(at + ID_BYTES, at + size), family);
    // A mapped IPv4 address is none of the other family.
    if (address !== null && addressFamily(address) === family) {
      nodes.push({ id: bytes.slice(at, at + ID_BYTES), ...address });
    }
  }
  return nodes;
}
