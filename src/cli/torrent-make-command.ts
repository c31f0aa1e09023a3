/** `blockswarm torrent make`. */
import { BlockswarmError } from '../errors.js';
import type { TorrentKind } from '../metainfo/info-dict.js';
import { type MakeOptions, type MakeResult, makeTorrent } from '../node/torrent-make.js';
import { formatBytes, formatDuration, formatRate, toHex } from '../units.js';
import { jobReport } from './job-report.js';
import type { Output } from './output.js';
import type { CommandContext } from './program.js';
import { version } from './version.js';

interface Options
  extends Pick<
    MakeOptions,
    'name' | 'out' | 'include' | 'exclude' | 'followSymlinks' | 'threads' | 'uncached'
  > {
  readonly v1?: boolean;
  readonly v2?: boolean;
  readonly hybrid?: boolean;
  readonly pieceLength: number | 'auto';
  readonly tracker?: readonly string[];
  readonly webSeed?: readonly string[];
  readonly private?: boolean;
  readonly source?: string;
  readonly comment?: string;
  readonly date: boolean;
  readonly force?: boolean;
  readonly dryRun?: boolean;
}

export async function torrentMakeCommand({
  env,
  output,
  options,
  args,
}: CommandContext<Options>): Promise<void> {
  const startedMs = performance.now();
  const result = await makeTorrent(
    {
      ...options,
      paths: args,
      kind: kindOf(options),
      pieceLengthBytes: options.pieceLength,
      trackerTiers: (options.tracker ?? []).map((tier) => tier.split(',')),
      webSeeds: options.webSeed ?? [],
      private: options.private ?? false,
      source: options.source ?? null,
      comment: options.comment ?? null,
      createdBy: `blockswarm ${version()}`,
      creationDate: options.date ? Math.floor(Date.now() / 1000) : null,
      force: options.force ?? false,
      dryRun: options.dryRun ?? false,
    },
    env.signal,
    jobReport(output),
  );
  if (result.made === null) showPlan(output, result);
  else showMade(output, result, result.made, (performance.now() - startedMs) / 1000);
}

function kindOf(options: Options): TorrentKind {
  const kinds = (['v1', 'v2', 'hybrid'] as const).filter((kind) => options[kind]);
  if (kinds.length > 1) throw new BlockswarmError('ERR_USAGE', 'one of --v1, --v2 and --hybrid at most');
  return kinds[0] ?? 'hybrid';
}

function planJson({ plan, out }: MakeResult) {
  const files = plan.files.filter((file) => !file.padding);
  return {
    name: plan.name,
    kind: plan.kind,
    lengthBytes: files.reduce((sum, file) => sum + file.lengthBytes, 0),
    fileCount: files.length,
    pieceLengthBytes: plan.pieceLengthBytes,
    pieces: plan.pieceCount,
    out,
  };
}

function sizeLine(plan: ReturnType<typeof planJson>): string {
  const { fileCount, lengthBytes, pieces, pieceLengthBytes } = plan;
  return `${counted(fileCount, 'file')}, ${formatBytes(lengthBytes)} in ${counted(pieces, 'piece')} of ${formatBytes(pieceLengthBytes)}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

function showPlan(output: Output, made: MakeResult): void {
  const { infoLengthBytes, layersLengthBytes, files, multiFile } = made.plan;
  const plan = planJson(made);
  const result = {
    ...plan,
    infoLengthBytes,
    metainfoLengthBytes: infoLengthBytes + layersLengthBytes,
    files: files
      .filter((file) => !file.padding)
      .map(({ path, lengthBytes, symlinkTarget }) => ({
        path: path.join('/'),
        lengthBytes,
        ...(symlinkTarget && { symlinkTarget: symlinkTarget.join('/') }),
      })),
  };
  output.result(result, () =>
    [
      `${plan.name} (${plan.kind}) would be made; nothing was hashed or written`,
      `  content  ${sizeLine(plan)}`,
      `  info     ${formatBytes(infoLengthBytes)}, ${plan.out} about ${formatBytes(result.metainfoLengthBytes)}`,
      ...(multiFile ? result.files : []).map(
        ({ path, lengthBytes, symlinkTarget }) =>
          `  file     ${path}  ${symlinkTarget === undefined ? formatBytes(lengthBytes) : `-> ${symlinkTarget}`}`,
      ),
    ].join('\n'),
  );
}

function showMade(
  output: Output,
  result: MakeResult,
  { metainfo, magnet, metainfoLengthBytes }: NonNullable<MakeResult['made']>,
  seconds: number,
): void {
  const plan = planJson(result);
  const { infoHashV1, infoHashV2 } = metainfo;
  const json = {
    ...plan,
    metainfoLengthBytes,
    infoHashV1: infoHashV1 && toHex(infoHashV1),
    infoHashV2: infoHashV2 && toHex(infoHashV2),
    magnet,
    seconds,
  };
  output.result(json, () =>
    [
      `${plan.out}: ${plan.name} (${plan.kind})`,
      `  content  ${sizeLine(plan)}, in ${formatDuration(seconds * 1000)} (${formatRate(plan.lengthBytes / seconds)})`,
      ...(json.infoHashV1 ? [`  v1       ${json.infoHashV1}`] : []),
      ...(json.infoHashV2 ? [`  v2       ${json.infoHashV2}`] : []),
      `  magnet   ${magnet}`,
    ].join('\n'),
  );
}
