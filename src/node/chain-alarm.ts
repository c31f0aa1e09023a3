/**
 * What is done when the chain is another one than it was: a person is told, and on mainnet, where no reorganisation has
 * ever gone so deep, nothing more is sealed until that person says so.
 */
import type { ChainChange } from './chain-follower.js';
import type { Report } from './report.js';
import { type PauseRecord, pauseRecord, type SealingPause, shown } from './sealing-pause.js';

export interface ChainAlarmOptions {
  readonly network: string;
  readonly pause: SealingPause;
  readonly report: Report;
}

export class ChainAlarm {
  readonly #options: ChainAlarmOptions;
  #isPaused: boolean;
  #hasFailed = false;

  constructor(options: ChainAlarmOptions) {
    this.#options = options;
    const { record } = options.pause;
    this.#isPaused = record !== null;
    if (record) options.report.warn(pausedText(record));
  }

  /** No segment from this one on is to be sealed now. */
  get sealingEnd(): number {
    const { pause, report } = this.#options;
    const { record } = pause;
    if (this.#isPaused && !record) {
      this.#isPaused = false;
      report.event({ event: 'sealing-resumed' }, 'sealing goes on');
    }
    return record?.firstSegment ?? Number.POSITIVE_INFINITY;
  }

  /** Tells of a change, after so many torrents were withdrawn for it. */
  raise(change: ChainChange, withdrawnTorrents: number): void {
    const { network, report } = this.#options;
    const { kind, before, tip, forkHeight, isExact, firstSegment } = change;
    const depth = before.height - forkHeight;
    const event = {
      event: kind === 'reorganised' ? 'reorganisation' : 'chain-lost',
      depth,
      depthIsExact: isExact,
      forkHeight,
      before: shown(before),
      tip: tip && shown(tip),
      firstWithdrawnSegment: firstSegment,
      withdrawnTorrents,
    };
    const text = changeText(change);
    if (firstSegment === null) {
      // At the tip blocks come and go.
      report.event(event, kind === 'lost' ? text : '');
      return;
    }
    report.event(event, '');
    report.warn(text);
    const record =
      network === 'mainnet' && kind === 'reorganised' ? pauseRecord(network, change, Date.now()) : null;
    if (record) this.#pause(record);
  }

  /** Writes down that sealing is paused. Never rejects; false while it cannot be. */
  async writeDown(): Promise<boolean> {
    const { pause, report } = this.#options;
    try {
      await pause.write();
      this.#hasFailed = false;
      return true;
    } catch (error) {
      if (!this.#hasFailed)
        report.warn(`that sealing is paused cannot be written down: ${(error as Error).message}`);
      this.#hasFailed = true;
      return false;
    }
  }

  #pause(record: PauseRecord): void {
    const { pause, report } = this.#options;
    this.#isPaused = true;
    pause.begin(record);
    report.event({ event: 'sealing-paused', firstSegment: record.firstSegment }, '');
    report.warn(pausedText(record));
  }
}

function changeText({ kind, before, tip, forkHeight, isExact, firstSegment }: ChainChange): string {
  const [from, to] = [shown(before), tip && shown(tip)];
  const withdrawn = firstSegment === null ? '' : `; segments from ${firstSegment} on are not served any more`;
  if (kind === 'lost') {
    const end = to ? `end at height ${to.height}, block ${to.hash}` : 'hold no chain from genesis on';
    return `the block files ${end}; before, they held height ${from.height}, block ${from.hash}${withdrawn}`;
  }
  const depth = `${isExact ? '' : 'up to '}${from.height - forkHeight} blocks deep`;
  return (
    `a reorganisation ${depth}: the chain parted at height ${forkHeight}; its tip was ${from.hash} at height ` +
    `${from.height} and is ${to?.hash} at height ${to?.height}${withdrawn}`
  );
}

function pausedText({ firstSegment, depth, forkHeight }: PauseRecord): string {
  return (
    `nothing from segment ${firstSegment} on is sealed, because of a reorganisation ${depth} blocks deep above height ` +
    `${forkHeight}: when you know why, \`blockswarm seal resume --datadir …\` lets sealing go on`
  );
}
