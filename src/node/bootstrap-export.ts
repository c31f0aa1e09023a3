/**
 * The blocks of a data directory in one file, in the order of heights, as `bitcoind -loadblock` reads them. Up to the
 * tip: the node that takes them judges them itself. A run that was ended goes on in the `.part` file.
 */
import { rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BlockswarmError } from '../errors.js';
import { checkFreeSpace } from './free-space.js';
import type { Report } from './report.js';
import { Source, type SourceOptions } from './source.js';
import { checkWritable, syncFolder } from './whole-file.js';

export interface BootstrapExportOptions extends SourceOptions {
  /** A file, or the path of a pipe. */
  readonly file: string;
  /** The file is a pipe or a device: it is written as it is. */
  readonly isStream: boolean;
  /** A file that is there is replaced. */
  readonly force?: boolean | undefined;
}

export interface BootstrapExportResult {
  readonly network: string;
  readonly file: string;
  /** Blocks, genesis included. */
  readonly blocks: number;
  readonly lengthBytes: number;
}

/**
 * @throws BlockswarmError as `Source.open`; ERR_BLOCK_PRUNED, ERR_DATADIR_EMPTY, ERR_BLOCK_DAMAGED, ERR_DATADIR_UNREADABLE, ERR_USAGE,
 *   ERR_DISK_FULL, ERR_IO
 */
export async function exportBootstrap(
  options: BootstrapExportOptions,
  signal: AbortSignal,
  report: Report,
): Promise<BootstrapExportResult> {
  const { file, isStream, force = false } = options;
  if (!isStream) await checkWritable(file, force);
  const source = await Source.open(options, signal);
  const { datadir, network } = source;
  for (const warning of datadir.warnings()) report.warn(warning);
  source.refuseWithoutChain();
  const blocks = source.height + 1;
  const lengthBytes = datadir.recordsLength(0, blocks);
  if (lengthBytes === null) {
    throw new BlockswarmError('ERR_DATADIR_EMPTY', `${source.blocksDir} holds no chain from genesis on`);
  }
  const part = isStream ? file : `${file}.part`;
  if (!isStream) {
    const thereBytes = (await stat(part).catch(() => null))?.size ?? 0;
    await checkFreeSpace(dirname(file), lengthBytes - thereBytes, file);
  }
  const progress = (done: number) =>
    report.progress({ stage: 'exporting', done, total: lengthBytes, unit: 'bytes' });
  await datadir.writeRecords(0, blocks, part, { isStream, progress, signal });
  if (!isStream) {
    await rename(part, file);
    await syncFolder(dirname(file));
  }
  return { network: network.name, file, blocks, lengthBytes };
}
