/** What becomes of block files that the node deletes: kept within a budget, or missed by the torrents over them. */
import { type Datadir, HashPace, type KeptFiles } from '../native.js';
import { formatBytes } from '../units.js';
import type { Report } from './report.js';

export interface PrunedFilesOptions {
  readonly datadir: Datadir;
  /** Where files are kept. */
  readonly folder: string;
  /** Bytes of them; 0: none is kept. */
  readonly keepBytes: number;
  readonly report: Report;
  readonly signal: AbortSignal;
}

/** Files come back as well, as when a disk does: looked for from time to time. */
const SURVEY_MS = 60_000;

export class PrunedFiles {
  readonly #datadir: Datadir;
  readonly #keeper: KeptFiles | null;
  readonly #report: Report;
  /** What is only held open is lost with us: it is copied as fast as it goes. */
  readonly #pace = new HashPace(0, 1);
  #gone: number;
  #surveyedAtMs = Number.NEGATIVE_INFINITY;
  /** Files may not hold what they did. */
  #isInDoubt = false;
  #told = '';

  private constructor(datadir: Datadir, keeper: KeptFiles | null, report: Report) {
    this.#datadir = datadir;
    this.#keeper = keeper;
    this.#report = report;
    this.#gone = datadir.goneFiles();
  }

  /** What an earlier run kept is read from then on. @throws BlockswarmError ERR_IO, ERR_DISK_FULL */
  static async open({
    datadir,
    folder,
    keepBytes,
    report,
    signal,
  }: PrunedFilesOptions): Promise<PrunedFiles> {
    const keeper = keepBytes > 0 ? await datadir.keepFiles(folder, keepBytes) : null;
    const files = new PrunedFiles(datadir, keeper, report);
    await files.#keep(signal);
    return files;
  }

  /** Bytes on disk of files that the node has deleted: what we keep, and what is only open here. */
  get heldBytes(): { readonly keptBytes: number; readonly unlinkedBytes: number } {
    const keptBytes = this.#keeper?.kept().reduce((sum, { diskBytes }) => sum + diskBytes, 0) ?? 0;
    return { keptBytes, unlinkedBytes: this.#datadir.unlinkedBytes() };
  }

  /**
   * Looks once, behind a scan. `survey` is called when files went, were let go, or are in doubt, and from time to time:
   * torrents then look at theirs. @throws `signal.reason`
   */
  async look(
    nowMs: number,
    survey: (isInDoubt: boolean) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const isNews = await this.#keep(signal);
    const gone = this.#datadir.goneFiles();
    const isInDoubt = this.#isInDoubt;
    if (isNews || isInDoubt || gone !== this.#gone || nowMs - this.#surveyedAtMs >= SURVEY_MS) {
      this.#isInDoubt = false;
      this.#gone = gone;
      this.#surveyedAtMs = nowMs;
      await survey(isInDoubt);
    }
    this.#tell();
  }

  /** Files were cut, written over, or exchanged: the next look has them surveyed. */
  doubt(): void {
    this.#isInDoubt = true;
  }

  /** What is not kept yet is kept no more. */
  close(): void {
    this.#keeper?.release();
  }

  async #keep(signal: AbortSignal): Promise<boolean> {
    if (!this.#keeper) return false;
    const report = this.#report;
    const { kept, dropped, errors } = await this.#keeper.round(this.#pace, signal);
    for (const { path, diskBytes, survives } of kept) {
      const how = survives ? '' : '; it is only held open, and gone when this program ends';
      report.event(
        { event: 'kept', path, diskBytes, survives },
        `${path}: kept though the node has deleted it${how}`,
      );
    }
    for (const path of dropped) {
      report.event({ event: 'dropped', path }, `${path}: kept no longer, to make room`);
    }
    for (const error of errors) report.warn(`a file that the node has deleted cannot be copied: ${error}`);
    return kept.length + dropped.length > 0;
  }

  #tell(): void {
    const { keptBytes, unlinkedBytes } = this.heldBytes;
    const news = `${keptBytes} ${unlinkedBytes}`;
    if (news === this.#told || (this.#told === '' && keptBytes + unlinkedBytes === 0)) return;
    this.#told = news;
    const text =
      `files that the node has deleted take ${formatBytes(keptBytes)} of what may be kept` +
      `${unlinkedBytes > 0 ? `, ${formatBytes(unlinkedBytes)} of files without a name` : ''}`;
    this.#report.event({ event: 'space-held', keptBytes, unlinkedBytes }, text);
  }
}
