/** Makes a torrent of files on disk. */

import { BlockswarmError } from '../errors.js';
import { buildMetainfo } from '../metainfo/build.js';
import type { TorrentKind } from '../metainfo/info-dict.js';
import { formatMagnet } from '../metainfo/magnet.js';
import type { Metainfo } from '../metainfo/metainfo.js';
import { isTrackerUrl, isWebSeedUrl } from '../metainfo/peer-sources.js';
import { planTorrent, type TorrentPlan } from '../metainfo/plan.js';
import { hashTorrent } from '../native.js';
import { type ContentTreeOptions, contentName, readContentTree } from './content-tree.js';
import type { Report } from './report.js';
import { checkWritable, writeWholeFile } from './whole-file.js';

export interface MakeOptions extends Omit<ContentTreeOptions, 'without'> {
  /** Default: the file's or folder's; needed for several paths. */
  readonly name?: string | undefined;
  readonly kind: TorrentKind;
  readonly pieceLengthBytes: number | 'auto';
  readonly trackerTiers: readonly (readonly string[])[];
  readonly webSeeds: readonly string[];
  readonly private: boolean;
  readonly source: string | null;
  readonly comment: string | null;
  readonly createdBy: string | null;
  /** Unix seconds. */
  readonly creationDate: number | null;
  /** Default: the torrent's name with `.torrent`, in the working folder. */
  readonly out?: string | undefined;
  /** Replace the file that is there. */
  readonly force: boolean;
  /** Plan only. */
  readonly dryRun: boolean;
  readonly threads?: number | undefined;
  readonly uncached?: boolean | undefined;
}

export interface MakeResult {
  readonly plan: TorrentPlan;
  readonly out: string;
  /** `null` after a dry run. */
  readonly made: {
    readonly metainfo: Metainfo;
    readonly magnet: string;
    readonly metainfoLengthBytes: number;
  } | null;
}

/**
 * Lists, plans, hashes and writes. Nothing is written before all is hashed, and then whole.
 * @throws BlockswarmError ERR_USAGE, ERR_CONFIG, ERR_METAINFO, ERR_IO, ERR_DISK_FULL
 */
export async function makeTorrent(
  options: MakeOptions,
  signal: AbortSignal,
  report: Report,
): Promise<MakeResult> {
  checkUrls(options);
  const name = contentName(options);
  const out = options.out ?? `${name}.torrent`;
  const tree = await readContentTree({ ...options, without: out }, signal, report);
  const plan = planTorrent({ ...options, ...tree, name });
  for (const warning of plan.warnings) report.warn(warning);
  if (options.dryRun) return { plan, out, made: null };
  await checkWritable(out, options.force);
  const files = plan.files.map(({ path, padding, lengthBytes, symlinkTarget }) => ({
    path: padding || symlinkTarget !== null ? '' : tree.locate(path),
    lengthBytes,
  }));
  const total = plan.files.reduce((sum, file) => sum + (file.padding ? 0 : file.lengthBytes), 0);
  const hashes = await hashTorrent(
    { ...plan, files },
    {
      threads: options.threads,
      uncached: options.uncached,
      progress: (done) => report.progress({ stage: 'hashing', done, total, unit: 'bytes' }),
      signal,
    },
  ).catch((cause: unknown) => {
    if (!signal.aborted) throw cause;
    throw new BlockswarmError('ERR_INTERRUPTED', 'interrupted; no torrent was written', { cause });
  });
  const { metainfo, metainfoBytes } = buildMetainfo(plan, hashes, options);
  await writeWholeFile(out, metainfoBytes, options.force);
  const magnet = formatMagnet({ ...metainfo, trackers: metainfo.trackerTiers.flat() });
  return { plan, out, made: { metainfo, magnet, metainfoLengthBytes: metainfoBytes.length } };
}

function checkUrls({ trackerTiers, webSeeds }: MakeOptions): void {
  const wrong = trackerTiers.flat().find((url) => !isTrackerUrl(url));
  if (wrong !== undefined) throw new BlockswarmError('ERR_USAGE', `not a tracker's URL: ${wrong}`);
  const wrongSeed = webSeeds.find((url) => !isWebSeedUrl(url));
  if (wrongSeed !== undefined) throw new BlockswarmError('ERR_USAGE', `not a web seed's URL: ${wrongSeed}`);
}
