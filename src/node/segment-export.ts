/**
 * Segments written out as files of their own, each under the name that its torrent has. A file appears when it is whole
 * and every piece of it has the torrent's hashes; a run that was ended goes on in its `.part` file.
 */
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';
import type { SegmentKind } from '../metainfo/segment.js';
import { fileExtents, ResumeDb, Store } from '../native.js';
import { formatBytes } from '../units.js';
import { checkFreeSpace } from './free-space.js';
import type { Report } from './report.js';
import { resumeFileName, resumeKey } from './resume.js';
import { lacksSpent, type SegmentTorrent, Source, type SourceOptions } from './source.js';
import { StateFolder } from './state.js';
import { syncFolder } from './whole-file.js';

export interface SegmentExportOptions extends SourceOptions {
  /** The folder that the files come into; made when missing. */
  readonly to: string;
  readonly stateDir: string;
  /** Default: 0. */
  readonly firstSegment?: number | undefined;
  /** This one is exported, too. Default: the last one that is sealed. */
  readonly lastSegment?: number | undefined;
}

export interface ExportedFile {
  readonly segment: number;
  readonly kind: SegmentKind;
  readonly name: string;
  readonly lengthBytes: number;
  readonly infoHashV1: Uint8Array;
  readonly infoHashV2: Uint8Array;
  /** It was there already, and is right. */
  readonly wasThere: boolean;
}

export interface SegmentExportResult {
  readonly network: string;
  readonly folder: string;
  readonly files: readonly ExportedFile[];
  /** Segments whose undo data cannot be used: of these there is no spent file. */
  readonly withoutSpent: readonly number[];
}

/** Copied in one go: a task of its own, so that progress can be told and the job be stopped. */
const STEP_PIECES = 16;

/**
 * @throws BlockswarmError as `Source.open`, ERR_BLOCK_PRUNED, ERR_NOT_SEALED, ERR_USAGE, ERR_BLOCK_DAMAGED, ERR_STATE_LOCKED,
 *   ERR_DISK_FULL, ERR_IO
 */
export async function exportSegments(
  options: SegmentExportOptions,
  signal: AbortSignal,
  report: Report,
): Promise<SegmentExportResult> {
  const source = await Source.open(options, signal);
  for (const warning of source.datadir.warnings()) report.warn(warning);
  source.refuseWithoutChain();
  const { firstSegment: first = 0, lastSegment: last = source.sealed - 1 } = options;
  if (last < first && options.lastSegment !== undefined) {
    throw new BlockswarmError('ERR_USAGE', `segment ${last} is before segment ${first}`);
  }
  if (Math.max(first, last) >= source.sealed) {
    const text = `${source.sealed} segments are sealed (tip ${source.height}); there is no segment ${Math.max(first, last)} to export`;
    throw new BlockswarmError('ERR_NOT_SEALED', text);
  }
  await mkdir(options.to, { recursive: true });
  const state = StateFolder.open(options.stateDir, options.to);
  try {
    const resumeDb = await ResumeDb.open(join(state.path, resumeFileName));
    try {
      return await new SegmentExport({ source, resumeDb, folder: options.to, signal, report }).run(
        first,
        last,
      );
    } finally {
      for (const warning of resumeDb.warnings()) report.warn(warning);
      await resumeDb.close();
    }
  } finally {
    state.close();
  }
}

interface Parts {
  readonly source: Source;
  readonly resumeDb: ResumeDb;
  readonly folder: string;
  readonly signal: AbortSignal;
  readonly report: Report;
}

class SegmentExport {
  readonly #parts: Parts;
  readonly #files: ExportedFile[] = [];
  readonly #withoutSpent: number[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  async run(first: number, last: number): Promise<SegmentExportResult> {
    const { source, folder, report } = this.#parts;
    await this.#checkSpaceOfAll(first, last);
    for (let index = first; index <= last; index++) {
      await this.#export(index, 'blocks');
      await this.#export(index, 'spent').catch((error: unknown) => {
        if (!lacksSpent(error)) throw error;
        // What is missing for one segment often is for hundreds: the result counts them.
        if (this.#withoutSpent.length === 0) report.warn(error.message);
        this.#withoutSpent.push(index);
      });
      report.progress({
        stage: 'exporting',
        done: index + 1 - first,
        total: last + 1 - first,
        unit: 'segments',
      });
    }
    return { network: source.network.name, folder, files: this.#files, withoutSpent: this.#withoutSpent };
  }

  /** A disk that cannot take the blocks files alone is told at once; the rest is checked file by file. */
  async #checkSpaceOfAll(first: number, last: number): Promise<void> {
    const { source, folder } = this.#parts;
    let neededBytes = 0;
    for (let index = first; index <= last; index++) {
      const { lengthBytes } = source.datadir.blocksExtents(index);
      const path = join(folder, source.fileName(index, 'blocks'));
      neededBytes += lengthBytes - Math.min(lengthBytes, await onDisk(path));
    }
    const what = `the blocks files of segments ${first} to ${last}`;
    await checkFreeSpace(folder, neededBytes, what);
  }

  async #export(segment: number, kind: SegmentKind): Promise<void> {
    const { source, resumeDb, folder, signal, report } = this.#parts;
    const torrent = await source[kind](segment, { signal, report, resumeDb });
    const { name, lengthBytes, infoHashV1, infoHashV2 } = torrent;
    const wasThere = await this.#isThere(torrent);
    if (!wasThere) await this.#write(torrent);
    this.#files.push({ segment, kind, name, lengthBytes, infoHashV1, infoHashV2, wasThere });
    report.event(
      { event: 'exported', segment, kind, name, lengthBytes, wasThere },
      wasThere ? `${name} is there already` : `exported ${join(folder, name)}, ${formatBytes(lengthBytes)}`,
    );
  }

  /** Whether the file is whole and right: as an earlier run recorded it, or by its hashes. */
  async #isThere(torrent: SegmentTorrent): Promise<boolean> {
    const { folder, resumeDb, signal } = this.#parts;
    const path = join(folder, torrent.name);
    const found = await stat(path).catch(() => null);
    if (found?.size !== torrent.lengthBytes) return false;
    const store = Store.overExtents(torrent, fileExtents(path, torrent.lengthBytes));
    const key = resumeKey(torrent, path);
    const { toCheck } = await store.resume(resumeDb, key, signal);
    for (const [first, end] of toCheck) await store.verify(first, end, signal);
    if (store.servableCount() < torrent.pieceCount) return false;
    await store.save(resumeDb, key, false);
    return true;
  }

  async #write(torrent: SegmentTorrent): Promise<void> {
    const { folder, resumeDb, signal, report } = this.#parts;
    const { name, lengthBytes, pieceCount, pieceLengthBytes, extents } = torrent;
    const path = join(folder, name);
    const part = `${path}.part`;
    // Another torrent's, when it is longer.
    if (await onDisk(part).then((bytes) => bytes > lengthBytes)) await rm(part);
    await checkFreeSpace(folder, lengthBytes - (await onDisk(part)), name);
    const store = Store.openScratch(torrent, part);
    // What an earlier run left.
    await store.verify(0, pieceCount, signal);
    for (let first = 0; first < pieceCount; first += STEP_PIECES) {
      await store.fillFrom(extents, first, first + STEP_PIECES, signal);
      const done = Math.min(lengthBytes, (first + STEP_PIECES) * pieceLengthBytes);
      report.progress({ stage: 'exporting', done, total: lengthBytes, unit: 'bytes', detail: name });
    }
    await store.checkpoint();
    await rename(part, path);
    await syncFolder(folder);
    const whole = Store.overExtents(torrent, fileExtents(path, lengthBytes));
    whole.setServableAll();
    await whole.save(resumeDb, resumeKey(torrent, path), false);
  }
}

/** Bytes that a file takes already; sparse ones less than they are long. */
async function onDisk(path: string): Promise<number> {
  const found = await stat(path).catch(() => null);
  return found ? Math.min(found.size, found.blocks * 512) : 0;
}
