/**
 * Adopts segments: fetches those that are rarest, as far as they fit into a disk budget, and seeds them. What an earlier
 * run adopted stays adopted, and counts.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { ResumeDb } from '../native.js';
import { CatalogueClient, type CatalogueClientOptions } from './catalogue-client.js';
import { judgeWhole } from './chain-check.js';
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
    /** `chain`: each block agrees with its header. What is in a spent file no header commits to. */
    readonly proven: 'chain' | 'bytes';
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
        try {
          downloads.push(await adoptFile(each, { ...options, client, resumeDb: db }, signal, report));
          adopted.push(each);
        } catch (error) {
          // Nobody has it now, or it is not what it should be: the others may be had all the same.
          if (!(error instanceof BlockswarmError) || !/^ERR_(NO_PEERS|TIMEOUT|TORRENT_BAD)$/.test(error.code))
            throw error;
          failed.push({ name: each.torrent.name, reason: error.message });
          report.warn(`${each.torrent.name} was not adopted: ${error.message}`);
        }
      }
    };
    const db = resumeDb;
    await Promise.all(Array.from({ length: fetchesAtATime }, () => work(db)));
    const result = {
      network: network.name,
      folder: out,
      budgetBytes: sizeBytes,
      adopted: adopted.map(({ kind, torrent, distributedCopies }) => ({
        name: torrent.name,
        lengthBytes: torrent.lengthBytes,
        copies: distributedCopies,
        proven: kind === 'blocks' ? ('chain' as const) : ('bytes' as const),
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

/**
 * Fetches a file and keeps serving it. Blocks are held against the headers; a file that is none of the chain's is deleted.
 * @throws BlockswarmError as `TorrentDownload.complete`
 */
async function adoptFile(
  { index, kind, torrent }: TorrentHealth,
  { out, timeoutSeconds, client, resumeDb }: AdoptOptions & { client: CatalogueClient; resumeDb: ResumeDb },
  signal: AbortSignal,
  report: Report,
): Promise<TorrentDownload> {
  const { network, peerNode, catalogue } = client;
  const segment = { network, chain: catalogue.reader.chain, index };
  // What was recorded is believed at first. When it is wrong the disk may have lost it: then all is hashed.
  for (const believe of [true, false]) {
    const download = new TorrentDownload({
      source: sourceOf(torrent),
      root: out,
      resumeDb,
      peerNode,
      select: [],
      isSequential: false,
      believe,
      signal,
      report,
      timeoutSeconds,
      keepMetainfo: null,
    });
    let fault: BlockswarmError | null = null;
    try {
      const { store } = await download.complete();
      if (kind === 'blocks') fault = await judgeWhole(store, torrent, segment, signal);
      if (fault === null) return download;
    } catch (error) {
      await download.close();
      throw error;
    }
    await download.close();
    if (!believe) {
      await rm(join(out, torrent.name), { force: true });
      throw fault;
    }
  }
  throw new BlockswarmError('ERR_NATIVE', 'a file was neither adopted nor refused');
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
