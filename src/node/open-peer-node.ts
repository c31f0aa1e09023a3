/**
 * The node of a job, as its user wants the world to be met: the one place where choices become addresses, lists and
 * records, so that no command forgets one.
 */
import { randomBytes } from 'node:crypto';
import { type Privacy, privacyOf } from '../connector/privacy.js';
import { AddressLists } from './address-lists.js';
import { type DhtChoice, dhtNodes, resolveAll, resolveLearnt } from './addresses.js';
import { DhtRecord } from './dht-record.js';
import { I2pKeys } from './i2p-keys.js';
import { PeerNode, type PeerNodeOptions } from './peer-node.js';
import { type PeeringOptions, peering } from './peering.js';
import { QuotaRecord } from './quota-record.js';
import type { Report } from './report.js';

/** What a job's options say of peers. */
export interface PeerNodeChoice extends DhtChoice, PeeringOptions {
  /** `host:port` of peers that are asked for every torrent. */
  readonly peer?: readonly string[];
}

export interface PeerNodeNeeds extends Pick<PeerNodeOptions, 'wake' | 'webSeeds'> {
  readonly choice: PeerNodeChoice;
  /** When it was decided already. */
  readonly privacy?: Privacy;
  /** Further peers, as in `PeerNodeChoice`, that a link named: those that cannot be met are passed over. */
  readonly peers?: readonly string[];
  /** State folders: the quota's use and the DHT's nodes are written down in each. */
  readonly folders: readonly string[];
  readonly signal: AbortSignal;
  readonly report: Report;
}

/**
 * Listens; resolves when peers may come.
 * @throws BlockswarmError ERR_USAGE, ERR_PRIVACY, ERR_ADDRESS, ERR_CONFIG, ERR_PORT_IN_USE, ERR_LISTEN
 */
export async function openPeerNode(needs: PeerNodeNeeds): Promise<PeerNode> {
  const { choice, peers = [], folders, signal, report, wake, webSeeds } = needs;
  const { privacy = privacyOf(choice, randomBytes) } = needs;
  return new PeerNode({
    ...peering(choice),
    privacy,
    addressLists: await AddressLists.open(choice, report, signal),
    peers: [
      ...(await resolveAll(choice.peer, privacy, signal)),
      ...(await resolveLearnt(peers, privacy, signal, report)),
    ],
    ...(choice.i2pKeys !== undefined && { i2pKeys: await I2pKeys.open(choice.i2pKeys) }),
    dht: await dhtNodes(choice, privacy, signal, report),
    quotaRecord: await QuotaRecord.open(choice.quota, folders, report),
    dhtRecord: await DhtRecord.open(folders, report),
    ...(wake && { wake }),
    ...(webSeeds !== undefined && { webSeeds }),
    report,
  });
}
