/** Peers in the test's own process that serve catalogues, honest or not, and claim things at the rendezvous. */
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import { CatalogueReader, catalogueHead, catalogueRecord } from '../../src/chain/catalogue.js';
import { privacyOf } from '../../src/connector/privacy.js';
import type { PeerAddress } from '../../src/connector.js';
import type { HybridTorrent } from '../../src/metainfo/hybrid.js';
import { fileExtents, type Network, Store } from '../../src/native.js';
import { catalogueTorrent } from '../../src/node/catalogue-torrent.js';
import { PeerNode } from '../../src/node/peer-node.js';
import { Rendezvous } from '../../src/node/rendezvous.js';
import type { CatalogueClaim } from '../../src/wire/bs-catalogue.js';
import { tempFolder } from './temp.js';

export interface CataloguePeer {
  readonly node: PeerNode;
  readonly rendezvous: Rendezvous;
  /** Serves a catalogue file's bytes under the name of `count` segments; returns what an honest peer claims of it. */
  serve(bytes: Uint8Array, count: number): Promise<CatalogueClaim & { torrent: HybridTorrent }>;
}

/** A node at the rendezvous, which knows some nodes of the DHT. */
export function cataloguePeer(t: Test, network: Network, dht: readonly PeerAddress[] | null): CataloguePeer {
  const node = new PeerNode({
    addressLists: null,
    privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
    peers: [],
    dht,
  });
  t.teardown(() => node.close());
  const folder = tempFolder(t);
  let files = 0;
  return {
    node,
    rendezvous: Rendezvous.at(node, network),
    serve: async (bytes, count) => {
      const path = join(folder, `${files++}.dat`);
      writeFileSync(path, bytes);
      const torrent = await catalogueTorrent(path, bytes.length, network.name, count);
      const store = Store.overExtents(torrent, fileExtents(path, bytes.length));
      store.setServableAll();
      node.addContent(torrent, store);
      return { ...torrent, count, work: workOf(bytes, network), torrent };
    },
  };
}

/** The work of the headers, as far as they are good. */
function workOf(bytes: Uint8Array, network: Network): Uint8Array {
  const reader = new CatalogueReader(network, Date.now() / 1000);
  try {
    reader.push(bytes);
  } catch {
    // What came before counts.
  }
  const height = reader.chain.height();
  return height < 0 ? new Uint8Array(32).fill(1) : reader.chain.workAt(height);
}

/** A catalogue cut into its records: headers and both metainfos of each segment. */
export interface CatalogueParts {
  readonly headers: Uint8Array;
  readonly blocks: Uint8Array;
  readonly spent: Uint8Array;
}

export function catalogueParts(bytes: Uint8Array, network: Network): CatalogueParts[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts: CatalogueParts[] = [];
  for (let at = 12; at < bytes.length; ) {
    const headersEnd = at + 80 * network.interval;
    const blocksEnd = headersEnd + 4 + view.getUint32(headersEnd, true);
    const spentEnd = blocksEnd + 4 + view.getUint32(blocksEnd, true);
    parts.push({
      headers: bytes.subarray(at, headersEnd),
      blocks: bytes.subarray(headersEnd + 4, blocksEnd),
      spent: bytes.subarray(blocksEnd + 4, spentEnd),
    });
    at = spentEnd;
  }
  return parts;
}

export function joinParts(parts: readonly CatalogueParts[], network: Network): Uint8Array {
  const records = parts.map(({ headers, blocks, spent }) => catalogueRecord(headers, blocks, spent));
  return Buffer.concat([catalogueHead(network), ...records]);
}
