/** What a person may give for a torrent: a .torrent file, a magnet link, or a bare infohash. */
import type { InfoHashes } from '../metainfo/infohash.js';
import { parseInfoHash } from '../metainfo/infohash.js';
import { type FileRange, isMagnet, parseMagnet } from '../metainfo/magnet.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { readTorrentFile } from './torrent-file.js';

export interface TorrentSource extends InfoHashes {
  /** `null`: its info dictionary comes from peers. */
  readonly metainfo: Metainfo | null;
  /** To show until the real one is known; not proven by anything. */
  readonly name: string | null;
  /** In tiers (BEP 12); a link's have no order. */
  readonly trackerTiers: readonly (readonly string[])[];
  readonly webSeeds: readonly string[];
  /** `host:port` of peers to begin with. */
  readonly peers: readonly string[];
  /** The files that the link asks for (BEP 53); `null` for all. */
  readonly selectedFiles: readonly FileRange[] | null;
}

/** @throws BlockswarmError ERR_IO, ERR_BENCODE, ERR_METAINFO */
export async function readTorrentSource(text: string, signal: AbortSignal): Promise<TorrentSource> {
  if (isMagnet(text)) {
    const { trackers, ...link } = parseMagnet(text);
    return { ...link, trackerTiers: trackers.map((url) => [url]), metainfo: null };
  }
  const nothing = { name: null, trackerTiers: [], webSeeds: [], peers: [], selectedFiles: null };
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/i.test(text)) {
    return { ...nothing, ...parseInfoHash(text), metainfo: null };
  }
  const metainfo = await readTorrentFile(text, signal);
  const { infoHashV1, infoHashV2, name, trackerTiers, webSeeds } = metainfo;
  return { ...nothing, infoHashV1, infoHashV2, metainfo, name, trackerTiers, webSeeds };
}
