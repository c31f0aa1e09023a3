import { randomBytes } from 'node:crypto';
import type { Test } from 'tap';
import { privacyOf } from '../../src/connector/privacy.js';
import { formatPeerAddress, type PeerAddress } from '../../src/connector.js';
import { PeerNode } from '../../src/node/peer-node.js';

/** A DHT node on loopback by which those of a test meet; closed at its end. */
export interface DhtHub {
  readonly address: PeerAddress;
  /** What makes a command begin there. */
  readonly options: readonly string[];
}

export function dhtHub(t: Test): DhtHub {
  const privacy = privacyOf({ listen: '127.0.0.1:0' }, randomBytes);
  const node = new PeerNode({ addressLists: null, privacy, peers: [], dht: [] });
  t.teardown(() => node.close());
  return { address: node.address, options: ['--dht-bootstrap', formatPeerAddress(node.address)] };
}
