/**
 * What is done when the chain is another one than it was: a person is told, and on mainnet, where no reorganisation has
 * ever gone so deep, nothing more is sealed until that person says so.
 */
import type { ChainChange } from './chain-follower.js';
import {
  type Reorganisation,
  type ReorganisationRecord,
  reorganisation,
  shown,
} from './reorganisation-record.js';
import type { Report } from './report.js';

export interface ChainAlarmOptions {
  readonly network: string;
  readonly record: ReorganisationRecord;
  readonly report: Report;
}

export class ChainAlarm {
  readonly #options: ChainAlarmOptions;
  #isPaused: boolean;
  #hasFailed = false;

  constructor(options: ChainAlarmOptions) {
    this.#options = options;
    const { paused } = options.record;
    this.#isPaused = paused !== null;
    if (paused) options.report.warn(pausedText(paused));
  }

  /** No segment from this one on is to be sealed now. */
  get sealingEnd(): number {
    const { record, report } = this.#options;
    const { paused } = record;
    if (this.#isPaused && !paused) {
      this.#isPaused = false;
      report.event({ event: 'sealing-resumed' }, 'sealing goes on');
    }
    return paused?.firstSegment ?? Number.POSITIVE_INFINITY;
  }

  /** Tells of a change, after so many torrents were withdrawn for it. */
  raise(change: ChainChange, withdrawnTorrents: number): void {
    const { network, record, report } = this.#options;
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
    const isPaused = network === 'mainnet';
    const sinceSeconds = Math.floor(Date.now() / 1000);
    const kept = reorganisation(change, { network, sinceSeconds, isPaused });
    if (!kept) return;
    record.begin(kept);
    if (isPaused) this.#tellPaused();
  }

  /** Writes down the last reorganisation. Never rejects; false while it cannot be. */
  async writeDown(): Promise<boolean> {
    const { record, report } = this.#options;
    try {
      await record.write();
      this.#hasFailed = false;
      return true;
    } catch (error) {
      if (!this.#hasFailed)
        report.warn(`the reorganisation cannot be written down: ${(error as Error).message}`);
      this.#hasFailed = true;
      return false;
    }
  }

  #tellPaused(): void {
    const { record, report } = this.#options;
    const { paused } = record;
    if (!paused) return;
    this.#isPaused = true;
    report.event({ event: 'sealing-paused', firstSegment: paused.firstSegment }, '');
    report.warn(pausedText(paused));
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

function pausedText({ firstSegment, depth, forkHeight }: Reorganisation): string {
  return (
    `nothing from segment ${firstSegment} on is sealed, because of a reorganisation ${depth} blocks deep above height ` +
    `${forkHeight}: when you know why, \`blockswarm seal resume --datadir …\` lets sealing go on`
  );
}
