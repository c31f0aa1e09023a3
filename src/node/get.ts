/**
 * Fetches a torrent into a folder: its info dictionary when only the infohash is known, then its pieces. What is on
 * disk is safe at any moment, and the next run goes on from there.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { parseInfo } from '../metainfo/metainfo.js';
import { ResumeDb } from '../native.js';
import { sameBytes, toHex } from '../units.js';
import { type DhtChoice, dhtNodes, linkChoice, resolveAll } from './addresses.js';
import { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { resumeFileName } from './resume.js';
import { StateFolder } from './state.js';
import { TorrentDownload } from './torrent-download.js';
import { readTorrentSource, type TorrentSource } from './torrent-source.js';
import { writeWholeFile } from './whole-file.js';

export interface GetOptions extends DhtChoice {
  /** A .torrent file, a magnet link, or an infohash (40 or 64 hex digits). */
  readonly source: string;
  /** The folder that the torrent's file or folder comes into; made when missing. */
  readonly out: string;
  readonly stateDir: string;
  readonly peer?: readonly string[];
  /** Gives up after this long without a new piece. */
  readonly timeoutSeconds: number;
  /** Hash what is on disk also where an earlier run recorded it. */
  readonly check?: boolean;
  /** Called when all is done and reported, while peers are still served; they are until it resolves. */
  readonly finished?: (result: GetResult) => Promise<void>;
}

export interface GetResult {
  readonly name: string;
  readonly infoHashV1: string | null;
  readonly infoHashV2: string | null;
  /** Where the torrent's file or folder is. */
  readonly content: string;
  readonly lengthBytes: number;
  readonly downloadedBytes: number;
  readonly uploadedBytes: number;
  readonly seconds: number;
  /** How many peers sent us pieces. */
  readonly peers: number;
}

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
  const given = await readTorrentSource(options.source, signal);
  await mkdir(options.out, { recursive: true });
  const state = StateFolder.open(options.stateDir, options.out);
  closers.push(() => state.close());
  const source = await withSavedInfo(given, state.path);
  const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
  closers.push(() => resumeDb.close());
  const peers = await resolveAll([...(options.peer ?? []), ...source.peers], signal);
  const peerNode = new PeerNode({
    listen: options.listen,
    peers,
    dht: await dhtNodes(options, signal, report),
    ...linkChoice(options),
  });
  closers.push(() => peerNode.close());
  const { out: root, timeoutSeconds, check = false } = options;
  const download = new TorrentDownload({
    source,
    root,
    resumeDb,
    peerNode,
    believe: !check,
    signal,
    report,
    timeoutSeconds,
    keepInfo: (metainfo) => writeWholeFile(infoPath(state.path, given), metainfo.infoBytes, true),
  });
  closers.push(() => download.close());
  const metainfo = await download.complete();
  for (const warning of resumeDb.warnings()) report.warn(warning);
  const { infoHashV1, infoHashV2, name, lengthBytes } = metainfo;
  const { downloadedBytes, uploadedBytes } = peerNode.stats();
  const result = {
    name,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
    content: join(root, name),
    lengthBytes,
    downloadedBytes,
    uploadedBytes,
    seconds: (performance.now() - startedMs) / 1000,
    peers: peerNode.provenPeers,
  };
  await options.finished?.(result);
  return result;
}

/** An info dictionary that an earlier run fetched saves asking for it again. */
async function withSavedInfo(source: TorrentSource, folder: string): Promise<TorrentSource> {
  if (source.metainfo) return source;
  const infoBytes = await readFile(infoPath(folder, source)).catch(() => null);
  if (!infoBytes) return source;
  try {
    const metainfo = parseInfo(infoBytes);
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

function infoPath(folder: string, { infoHashV1, infoHashV2 }: TorrentSource): string {
  return join(folder, `${toHex(infoHashV1 ?? infoHashV2 ?? new Uint8Array())}.info`);
}
