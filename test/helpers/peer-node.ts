/** A node of ours in the test's own process, with one torrent. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Test } from 'tap';
import { privacyOf } from '../../src/connector/privacy.js';
import { parseMetainfo } from '../../src/metainfo/metainfo.js';
import { PeerNode, type PeerNodeOptions } from '../../src/node/peer-node.js';
import type { PeeringOptions } from '../../src/node/peering.js';
import { openStore, placeBelow } from '../../src/node/torrent-content.js';
import type { Swarm } from '../../src/swarm/swarm.js';
import type { SwarmOptions } from '../../src/swarm/swarm-options.js';

export interface OwnPeer {
  readonly node: PeerNode;
  readonly swarm: Swarm;
  /** `host:port`. */
  readonly text: string;
  /** Resolves when it has everything, on disk. */
  complete(): Promise<void>;
  /** Resolves when the condition holds; looks ten times a second until the test's time is over. */
  until(condition: (swarm: Swarm) => boolean): Promise<void>;
}

export async function startPeer(
  t: Test,
  torrent: string,
  folder: string,
  options: Partial<SwarmOptions> = {},
  peering: PeeringOptions & Partial<Pick<PeerNodeOptions, 'dht'>> = {},
): Promise<OwnPeer> {
  const metainfo = parseMetainfo(readFileSync(torrent));
  const store = await openStore(metainfo, placeBelow(folder, metainfo), {});
  await store.recheck();
  const node = new PeerNode({
    addressLists: null,
    privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
    peers: [],
    dht: null,
    ...peering,
  });
  t.teardown(() => node.close());
  const swarm = node.addContent(metainfo, store, options);
  const until = async (condition: (swarm: Swarm) => boolean) => {
    while (!condition(swarm)) await new Promise((resolve) => setTimeout(resolve, 100));
  };
  return {
    node,
    swarm,
    text: `${node.address.host}:${node.address.port}`,
    complete: async () => {
      await until(({ state }) => state === 'seeding');
      await store.flush();
    },
    until,
  };
}
