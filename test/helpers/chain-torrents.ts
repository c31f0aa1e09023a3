/** The torrents of a data directory as our code makes them, and as `.torrent` files for other programs. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { HybridTorrent } from '../../src/metainfo/hybrid.js';
import { catalogueTorrent } from '../../src/node/catalogue-torrent.js';
import { type SegmentTorrents, Source } from '../../src/node/source.js';
import { toHex } from '../../src/units.js';
import type { TorrentFacts } from './libtorrent.js';
import { tempFolder } from './temp.js';

const quiet = { progress: () => {}, warn: () => {}, event: () => {} };

export interface ChainTorrents {
  readonly segments: readonly SegmentTorrents[];
  readonly blocks: readonly HybridTorrent[];
  readonly spent: readonly HybridTorrent[];
  /** The catalogue of the first segment, of the first two, … */
  readonly catalogues: readonly HybridTorrent[];
  /** The file of the last one. */
  readonly catalogueBytes: Uint8Array;
}

/** Scans and hashes a data directory, or only a `blocks` folder. */
export async function chainTorrents(
  t: Test,
  network: string,
  datadir: string,
  blocks?: string,
): Promise<ChainTorrents> {
  const { signal } = new AbortController();
  const options = { signal, report: quiet };
  const source = await Source.open({ datadir, network, blocks }, signal);
  const segments = await source.segments(options);
  const { bytes, endBytes } = await source.catalogue(source.sealed, options);
  const path = join(tempFolder(t), 'catalogue.dat');
  writeFileSync(path, bytes);
  const catalogues: HybridTorrent[] = [];
  for (const [i, end] of endBytes.entries()) {
    catalogues.push(await catalogueTorrent(path, end, network, i + 1, signal));
  }
  return {
    segments,
    blocks: segments.map(({ blocks }) => blocks),
    spent: segments.flatMap(({ spent }) => spent ?? []),
    catalogues,
    catalogueBytes: bytes,
  };
}

/** Writes `NAME.torrent` for each into a folder; returns their paths. */
export function writeTorrents(folder: string, torrents: readonly HybridTorrent[]): string[] {
  return torrents.map(({ name, metainfoBytes }) => {
    const path = join(folder, `${name}.torrent`);
    writeFileSync(path, metainfoBytes);
    return path;
  });
}

/** What is compared with other programs and with the vectors. */
export function facts({ name, lengthBytes, infoHashV1, infoHashV2 }: HybridTorrent): TorrentFacts {
  return {
    name,
    lengthBytes,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
  };
}
