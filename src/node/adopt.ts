/**
 * Adopts segments: fetches those that are rarest, as far as they fit into a disk budget, and seeds them. What an earlier
 * run adopted stays adopted, and counts.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { ResumeDb } from '../native.js';
import { CatalogueClient, type CatalogueClientOptions } from './catalogue-client.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { swarmHealth, type TorrentHealth } from './swarm-health.js';
import { TorrentDownload } from './torrent-download.js';
import type { TorrentSource } from './torrent-source.js';

export interface AdoptOptions extends CatalogueClientOptions {
  /** Bytes that may be taken on disk. */
  readonly sizeBytes: number;
  /** Where the files are kept. */
  readonly out: string;
  readonly watchSeconds: number;
  /** Called when all is fetched, while it is served; it is until this resolves. */
  readonly finished?: (result: AdoptResult) => Promise<void>;
}

export interface AdoptResult {
  readonly network: string;
  readonly folder: string;
  readonly budgetBytes: number;
  readonly adopted: readonly {
    readonly name: string;
    readonly lengthBytes: number;
    readonly copies: number;
  }[];
  /** Chosen, and not had in time. */
  readonly failed: readonly { readonly name: string; readonly reason: string }[];
  readonly lengthBytes: number;
}

const fetchesAtATime = 4;

/** @throws BlockswarmError as `CatalogueClient.open`; ERR_DISK_FULL, ERR_IO, ERR_INTERRUPTED */
export async function adopt(
  options: AdoptOptions,
  signal: AbortSignal,
  report: Report,
): Promise<AdoptResult> {
  const { out, sizeBytes, watchSeconds } = options;
  const client = await CatalogueClient.open(options, out, signal, report);
  const downloads: TorrentDownload[] = [];
  let resumeDb: ResumeDb | null = null;
  try {
    resumeDb = await ResumeDb.open(join(client.state.path, resumeFileName));
    const { peerNode, catalogue, network } = client;
    const { records } = catalogue.reader;
    const health = await swarmHealth({ peerNode, records, watchSeconds, signal, report });
    const chosen = await choose(health, sizeBytes, out);
    const failed: { name: string; reason: string }[] = [];
    const adopted: TorrentHealth[] = [];
    const queue = [...chosen];
    const work = async (db: ResumeDb) => {
      for (let each = queue.shift(); each; each = queue.shift()) {
        const { torrent } = each;
        const download = new TorrentDownload({
          source: sourceOf(torrent),
          root: out,
          resumeDb: db,
          peerNode,
          select: [],
          isSequential: false,
          believe: true,
          signal,
          report,
          timeoutSeconds: options.timeoutSeconds,
          keepMetainfo: null,
        });
        downloads.push(download);
        try {
          await download.complete();
          adopted.push(each);
        } catch (error) {
          // Nobody has it now: the others may be had all the same.
          if (!(error instanceof BlockswarmError) || !/^ERR_(NO_PEERS|TIMEOUT|TORRENT_BAD)$/.test(error.code))
            throw error;
          failed.push({ name: torrent.name, reason: error.message });
          report.warn(`${torrent.name} was not adopted: ${error.message}`);
        }
      }
    };
    const db = resumeDb;
    await Promise.all(Array.from({ length: fetchesAtATime }, () => work(db)));
    const result = {
      network: network.name,
      folder: out,
      budgetBytes: sizeBytes,
      adopted: adopted.map(({ torrent, distributedCopies }) => ({
        name: torrent.name,
        lengthBytes: torrent.lengthBytes,
        copies: distributedCopies,
      })),
      failed,
      lengthBytes: adopted.reduce((sum, { torrent }) => sum + torrent.lengthBytes, 0),
    };
    await options.finished?.(result);
    return result;
  } finally {
    for (const download of downloads) await download.close();
    await client.close();
    await resumeDb?.close();
  }
}

function sourceOf(metainfo: Metainfo): TorrentSource {
  const { infoHashV1, infoHashV2, name } = metainfo;
  const nothing = { trackerTiers: [], webSeeds: [], peers: [], selectedFiles: null };
  return { infoHashV1, infoHashV2, name, metainfo, ...nothing };
}

/** What is here already first, then the rarest that can be had, as far as the budget goes. */
async function choose(
  health: readonly TorrentHealth[],
  sizeBytes: number,
  out: string,
): Promise<TorrentHealth[]> {
  const here = new Set<TorrentHealth>();
  for (const each of health) if (await stat(join(out, each.torrent.name)).catch(() => null)) here.add(each);
  // At random among equals: not everybody adopts the same.
  const rest = health
    .filter((each) => !here.has(each) && each.distributedCopies >= 1)
    .map((each) => ({ each, luck: Math.random() }))
    .sort((a, b) => a.each.distributedCopies - b.each.distributedCopies || a.luck - b.luck)
    .map(({ each }) => each);
  let leftBytes = sizeBytes;
  return [...here, ...rest].filter((each) => {
    const fits = each.torrent.lengthBytes <= leftBytes;
    if (fits) leftBytes -= each.torrent.lengthBytes;
    return fits;
  });
}
