/** Makes the `.torrent` of a plan and the hashes of its content. */

import { type Encodable, encode } from '../bencode.js';
import { type ContentHashes, infoDict } from './info-dict.js';
import { MAX_METAINFO_BYTES, type Metainfo, parseMetainfo } from './metainfo.js';
import type { DhtNode } from './peer-sources.js';
import type { TorrentPlan } from './plan.js';

/** What a `.torrent` says beside the info dictionary: as in `Metainfo`. None of it changes an infohash. */
export interface OuterFields {
  readonly trackerTiers?: readonly (readonly string[])[];
  readonly webSeeds?: readonly string[];
  readonly nodes?: readonly DhtNode[];
  readonly comment?: string | null;
  readonly createdBy?: string | null;
  /** Unix seconds. */
  readonly creationDate?: number | null;
}

export interface MadeTorrent {
  readonly metainfo: Metainfo;
  readonly metainfoBytes: Uint8Array;
}

/**
 * Makes a torrent. It is parsed again, so what contradicts itself is refused.
 *
 * @throws BlockswarmError ERR_METAINFO
 */
export function buildMetainfo(
  plan: TorrentPlan,
  hashes: ContentHashes,
  fields: OuterFields = {},
): MadeTorrent {
  const { trackerTiers = [], webSeeds = [], nodes = [] } = fields;
  const torrent = new Map<string, Encodable>([['info', infoDict(plan, hashes)]]);
  const [first] = trackerTiers.flat();
  if (first !== undefined) torrent.set('announce', first);
  if (trackerTiers.flat().length > 1) torrent.set('announce-list', trackerTiers);
  if (webSeeds.length > 0) torrent.set('url-list', webSeeds);
  if (nodes.length > 0) {
    torrent.set(
      'nodes',
      nodes.map(({ host, port }) => [host, port]),
    );
  }
  if (fields.comment != null) torrent.set('comment', fields.comment);
  if (fields.createdBy != null) torrent.set('created by', fields.createdBy);
  if (fields.creationDate != null) torrent.set('creation date', fields.creationDate);
  if (plan.kind !== 'v1') torrent.set('piece layers', pieceLayers(plan, hashes));
  const metainfoBytes = encode(torrent);
  return { metainfo: parseMetainfo(metainfoBytes), metainfoBytes };
}

/**
 * The .torrent of an info dictionary that came from peers, with the piece layers as `Store.pieceLayers` has them when they
 * are known, and with nothing else. Null when it is longer than a .torrent may be.
 */
export function wrapInfo(
  { infoBytes, files, pieceLengthBytes }: Metainfo,
  layers: Uint8Array | null,
): Uint8Array | null {
  // As they came: the infohashes are of these very bytes.
  const parts = [Buffer.from('d4:info'), infoBytes];
  // Before layers of 64 MiB are copied.
  if (infoBytes.length + (layers?.length ?? 0) > MAX_METAINFO_BYTES) return null;
  if (layers !== null) {
    const byRoot = new Map<string, Uint8Array>();
    let offset = 0;
    for (const { lengthBytes, piecesRoot } of files) {
      if (piecesRoot === null || lengthBytes <= pieceLengthBytes) continue;
      const end = offset + Math.ceil(lengthBytes / pieceLengthBytes) * 32;
      byRoot.set(Buffer.from(piecesRoot).toString('latin1'), layers.subarray(offset, end));
      offset = end;
    }
    parts.push(Buffer.from('12:piece layers'), encode(byRoot));
  }
  const bytes = Buffer.concat([...parts, Buffer.from('e')]);
  return bytes.length <= MAX_METAINFO_BYTES ? bytes : null;
}

/** The layers of the files that are longer than a piece, by root. */
function pieceLayers(plan: TorrentPlan, hashes: ContentHashes): Map<string, Uint8Array> {
  const layers = new Map<string, Uint8Array>();
  for (const [i, file] of plan.files.entries()) {
    const found = hashes.files[i];
    if (found == null || file.lengthBytes <= plan.pieceLengthBytes) continue;
    layers.set(Buffer.from(found.piecesRoot).toString('latin1'), found.pieceLayer);
  }
  return layers;
}
