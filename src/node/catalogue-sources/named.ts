/** Sources of catalogues by the names that users give them. */
import { BlockswarmError } from '../../errors.js';
import type { Network } from '../../native.js';
import { fromHex } from '../../units.js';
import { isInfoHash } from '../catalogue-fetch.js';
import type { PeerNode } from '../peer-node.js';
import { Rendezvous } from '../rendezvous.js';
import { DatadirSource } from './datadir.js';
import { DhtItemSource } from './dht-item.js';
import { FileSource } from './file.js';
import { InfoHashSource } from './infohash.js';
import { KnownSource } from './known.js';
import { RendezvousSource } from './rendezvous.js';
import type { CatalogueSource } from './source.js';
import { UrlSource } from './url.js';

/** Where to look when the user names nothing. */
const defaults = ['rendezvous', 'known'];

export interface SourceNeeds {
  readonly network: Network;
  readonly peerNode: PeerNode;
  readonly stateDir: string;
  /** What `datadir` alone means; null where nothing does. */
  readonly datadir: string | null;
}

/**
 * `rendezvous`, `known`, `dht:KEY` (32 bytes, hex), `datadir[:DIR]`, `http(s)://…`, an infohash (40 or 64 hex digits), or a file.
 * @throws BlockswarmError ERR_USAGE
 */
export function catalogueSources(
  names: readonly string[] | undefined,
  needs: SourceNeeds,
): CatalogueSource[] {
  const each = [...new Set(names && names.length > 0 ? names : defaults)];
  return each.map((name) => sourceOf(name, needs));
}

function sourceOf(name: string, { network, peerNode, stateDir, datadir }: SourceNeeds): CatalogueSource {
  if (name === 'rendezvous') return new RendezvousSource(Rendezvous.at(peerNode, network));
  if (name === 'known') return new KnownSource();
  if (name === 'datadir' || name.startsWith('datadir:')) {
    const path = name.slice('datadir:'.length) || datadir;
    if (!path) throw new BlockswarmError('ERR_USAGE', '--catalogue datadir needs a folder: datadir:DIR');
    return new DatadirSource(path, stateDir);
  }
  if (name.startsWith('dht:')) {
    const publicKey = fromHex(name.slice('dht:'.length), 32);
    if (!publicKey) throw new BlockswarmError('ERR_USAGE', '--catalogue dht:KEY expects 64 hex digits');
    return new DhtItemSource(publicKey);
  }
  if (/^https?:\/\//i.test(name)) return new UrlSource(name);
  if (isInfoHash(name)) return new InfoHashSource(name);
  return new FileSource(name);
}
