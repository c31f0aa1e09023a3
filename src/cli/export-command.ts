/** `blockswarm export`: segments as files of their own, or all blocks in one for `bitcoind -loadblock`. */
import { fstatSync } from 'node:fs';
import { usage } from '../errors.js';
import {
  type BootstrapExportOptions,
  type BootstrapExportResult,
  exportBootstrap,
} from '../node/bootstrap-export.js';
import {
  exportSegments,
  type SegmentExportOptions,
  type SegmentExportResult,
} from '../node/segment-export.js';
import { formatBytes, toHex } from '../units.js';
import { stateDir } from './env.js';
import { jobReport } from './job-report.js';
import type { OutputOptions } from './output.js';
import type { CommandContext } from './program.js';

interface Options
  extends Omit<SegmentExportOptions, 'to' | 'stateDir'>,
    Pick<BootstrapExportOptions, 'force'>,
    OutputOptions {
  readonly to?: string;
  readonly bootstrap?: string;
  readonly stateDir?: string;
}

const STDOUT = 1;

export async function exportCommand(context: CommandContext<Options>): Promise<void> {
  const { env, output, options } = context;
  const { to, bootstrap, firstSegment, lastSegment, force } = options;
  if ((to === undefined) === (bootstrap === undefined)) {
    throw usage('say what to export: --to DIR (segments) or --bootstrap FILE (all blocks)');
  }
  if (to !== undefined) {
    if (force) throw usage('--force belongs to --bootstrap');
    const settings = { ...options, to, stateDir: stateDir(env, options.stateDir) };
    const result = await exportSegments(settings, env.signal, jobReport(output));
    output.result(resultJson(result), () => segmentsText(result));
    return;
  }
  if (firstSegment !== undefined || lastSegment !== undefined) {
    throw usage('--first-segment and --last-segment belong to --to');
  }
  await bootstrapExport(context, bootstrap ?? '');
}

async function bootstrapExport(
  { env, output, options }: CommandContext<Options>,
  name: string,
): Promise<void> {
  const isStream = name === '-';
  if (isStream && (options.json || options.jsonLines)) {
    throw usage('--bootstrap - writes blocks to stdout: there is no room for --json');
  }
  if (isStream && fstatSync(STDOUT).isCharacterDevice()) {
    throw usage('--bootstrap - writes blocks to stdout, which is a terminal or a device: redirect it');
  }
  const file = isStream ? '/dev/stdout' : name;
  const result = await exportBootstrap({ ...options, file, isStream }, env.signal, jobReport(output));
  if (isStream) output.note(bootstrapText(result));
  else output.result(result, () => bootstrapText(result));
}

function resultJson({ network, folder, files, withoutSpent }: SegmentExportResult) {
  return {
    network,
    folder,
    lengthBytes: files.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0),
    files: files.map(({ infoHashV1, infoHashV2, ...file }) => ({
      ...file,
      infoHashV1: toHex(infoHashV1),
      infoHashV2: toHex(infoHashV2),
    })),
    withoutSpent,
  };
}

function segmentsText({ network, folder, files, withoutSpent }: SegmentExportResult): string {
  const segments = new Set(files.map(({ segment }) => segment)).size;
  const bytes = files.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const there = files.filter(({ wasThere }) => wasThere).length;
  const lines = [
    `${folder}: ${segments} segments of ${network}, ${files.length} files, ${formatBytes(bytes)}` +
      (there > 0 ? `; ${there} files were there already` : ''),
  ];
  if (withoutSpent.length > 0)
    lines.push(`  ${withoutSpent.length} segments have no spent file: see the warnings`);
  lines.push(
    `  every piece has the hashes of its torrent; \`blockswarm seed --segments ${folder}\` serves them`,
  );
  return lines.join('\n');
}

function bootstrapText({ network, file, blocks, lengthBytes }: BootstrapExportResult): string {
  return (
    `${file}: ${blocks} blocks of ${network}, heights 0 to ${blocks - 1}, ${formatBytes(lengthBytes)}\n` +
    '  each block is what its header commits to; `bitcoind -loadblock=FILE` takes and judges them'
  );
}
