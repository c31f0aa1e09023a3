/**
 * Fetches a torrent into a folder: its info dictionary when only the infohash is known, then its pieces. What is on
 * disk is safe at any moment, and the next run goes on from there.
 */
import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { privacyOf } from '../connector/privacy.js';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { MAX_METAINFO_BYTES, parseMetainfo } from '../metainfo/metainfo.js';
import { isWebSeedUrl } from '../metainfo/peer-sources.js';
import { ResumeDb } from '../native.js';
import { shownUrl } from '../swarm/web-seeds.js';
import { sameBytes, toHex } from '../units.js';
import type { BlockedCounts } from './address-lists.js';
import type { Reach } from './discovery.js';
import { openPeerNode, type PeerNodeChoice } from './open-peer-node.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { StateFolder } from './state.js';
import { TorrentDownload } from './torrent-download.js';
import { readBounded } from './torrent-file.js';
import { readTorrentSource, type TorrentSource } from './torrent-source.js';
import { writeWholeFile } from './whole-file.js';

export interface GetOptions extends PeerNodeChoice {
  /** A .torrent file, a magnet link, or an infohash (40 or 64 hex digits). */
  readonly source: string;
  /** The folder that the torrent's file or folder comes into; made when missing. */
  readonly out: string;
  readonly stateDir: string;
  /** Gives up after this long without a new piece. */
  readonly timeoutSeconds: number;
  /** Globs: see `globMatcher`. Files that match are fetched, the others not; none: what a magnet link selects, or all. */
  readonly select?: readonly string[];
  readonly sequential?: boolean;
  /** URLs of HTTP servers with the content, beside those that the torrent names. */
  readonly webSeed?: readonly string[];
  /** Off: no web seed is asked. */
  readonly webSeeds?: boolean;
  /** Hash what is on disk also where an earlier run recorded it. */
  readonly check?: boolean;
  /** Called when all is done and reported, while peers are still served; they are until it resolves. */
  readonly finished?: (result: GetResult) => Promise<void>;
}

export interface GetResult extends Reach {
  readonly name: string;
  readonly infoHashV1: string | null;
  readonly infoHashV2: string | null;
  /** Where the torrent's file or folder is. */
  readonly content: string;
  readonly lengthBytes: number;
  /** Of the files that were fetched. */
  readonly selectedBytes: number;
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  readonly seconds: number;
  /** How many peers sent us pieces. */
  readonly peers: number;
  /** How many web seeds did. */
  readonly webSeeds: number;
  /** What the user's lists of addresses came to; null without any. */
  readonly blocked: BlockedCounts | null;
}

const SHOW_MS = 200;

/**
 * Runs the whole job; resolves when all is checked and on the medium.
 * @throws BlockswarmError with any code that `exitCode` maps; ERR_INTERRUPTED when the signal fired
 */
export async function get(options: GetOptions, signal: AbortSignal, report: Report): Promise<GetResult> {
  const closers: (() => Promise<void> | void)[] = [];
  try {
    return await run(options, signal, report, closers);
  } catch (error) {
    if (!signal.aborted) throw error;
    const message = 'interrupted; run the same command to go on where this ended';
    throw new BlockswarmError('ERR_INTERRUPTED', message, { cause: error });
  } finally {
    for (const close of closers.reverse()) await (async () => close())().catch(() => {});
  }
}

async function run(
  options: GetOptions,
  signal: AbortSignal,
  report: Report,
  closers: (() => Promise<void> | void)[],
): Promise<GetResult> {
  const startedMs = performance.now();
  const privacy = privacyOf(options, randomBytes);
  const given = await readTorrentSource(options.source, signal);
  await mkdir(options.out, { recursive: true });
  const state = StateFolder.open(options.stateDir, options.out);
  closers.push(() => state.close());
  const source = await withSavedInfo(given, state.path, signal);
  const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
  closers.push(() => resumeDb.close());
  const peerNode = await openPeerNode({
    choice: options,
    privacy,
    peers: source.peers,
    folders: [state.path],
    webSeeds: options.webSeeds === false ? null : checkWebSeeds(options.webSeed ?? []),
    ...{ signal, report },
  });
  closers.push(() => peerNode.close());
  const { out: root, timeoutSeconds, check = false } = options;
  const download = new TorrentDownload({
    source,
    root,
    resumeDb,
    peerNode,
    select: options.select ?? [],
    isSequential: options.sequential ?? false,
    believe: !check,
    signal,
    report,
    timeoutSeconds,
    keepMetainfo: given.metainfo
      ? null
      : (metainfoBytes) => writeWholeFile(torrentPath(state.path, given), metainfoBytes, true),
  });
  closers.push(() => download.close());
  const { metainfo, selectedBytes } = await download.complete();
  for (const warning of resumeDb.warnings()) report.warn(warning);
  const { infoHashV1, infoHashV2, name, lengthBytes } = metainfo;
  const { downloadedBytes, uploadedBytes } = peerNode.stats();
  const result = {
    name,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
    content: join(root, name),
    lengthBytes,
    selectedBytes,
    downloadedBytes,
    uploadedBytes,
    seconds: (performance.now() - startedMs) / 1000,
    peers: peerNode.provenPeers,
    webSeeds: peerNode.provenWebSeeds,
    blocked: peerNode.blocked,
    ...peerNode.reach,
  };
  const ticker = setInterval(() => download.showSeeding(), SHOW_MS);
  try {
    await options.finished?.(result);
  } finally {
    clearInterval(ticker);
  }
  return result;
}

function checkWebSeeds(urls: readonly string[]): readonly string[] {
  const wrong = urls.find((url) => !isWebSeedUrl(url));
  if (wrong === undefined) return urls;
  throw new BlockswarmError('ERR_USAGE', `not an http or https URL: \`${shownUrl(wrong)}\``);
}

/** An info dictionary, and piece layers, that an earlier run fetched save asking for them again. */
async function withSavedInfo(
  source: TorrentSource,
  folder: string,
  signal: AbortSignal,
): Promise<TorrentSource> {
  if (source.metainfo) return source;
  const bytes = await readBounded(torrentPath(folder, source), MAX_METAINFO_BYTES + 1, signal).catch(
    () => null,
  );
  if (!bytes) return source;
  try {
    const metainfo = parseMetainfo(bytes, { needsLayers: false });
    return isOf(metainfo, source) ? { ...source, metainfo } : source;
  } catch {
    return source;
  }
}

function isOf(metainfo: Metainfo, { infoHashV1, infoHashV2 }: TorrentSource): boolean {
  const same = (wanted: Uint8Array | null, found: Uint8Array | null) =>
    wanted === null || (found !== null && sameBytes(wanted, found));
  return same(infoHashV1, metainfo.infoHashV1) && same(infoHashV2, metainfo.infoHashV2);
}

function torrentPath(folder: string, { infoHashV1, infoHashV2 }: TorrentSource): string {
  return join(folder, `${toHex(infoHashV1 ?? infoHashV2 ?? new Uint8Array())}.torrent`);
}
