/** What is to be proven of a chain, and what was (DESIGN §2). */
import type { CoinCulprit, ValidationPlan, ValidationVerdict } from '../native.js';

/** What can be proven; `chain` always is. */
export type Level = 'chain' | 'scripts' | 'set';

/** What is to be proven, of which blocks and with what. */
export interface ProofOptions {
  readonly levels: ReadonlySet<Level>;
  /** The first height; 0 when absent. */
  readonly firstHeight?: number | undefined;
  /** The height behind the last; of the hints or the snapshot, or of what is held, when absent. */
  readonly endHeight?: number | undefined;
  readonly hints?: string | undefined;
  readonly snapshot?: string | undefined;
  /** The coins before the first block, when that is not genesis. */
  readonly startSnapshot?: string | undefined;
  readonly threads?: number | undefined;
}

/** Levels that hold for heights. */
export interface Proven {
  readonly firstHeight: number;
  readonly endHeight: number;
  readonly levels: readonly Level[];
}

export interface Validated extends Omit<ValidationVerdict, 'set' | 'warnings'> {
  readonly network: string;
  readonly path: string;
  readonly seconds: number;
  readonly proven: readonly Proven[];
  /** Which coins do not add up, when the set is not proven: at most ten, the lowest height first. */
  readonly culprits: readonly CoinCulprit[];
  /** The segments that come to something else than `sums` says; null when that was not looked at. */
  readonly differingSegments: readonly number[] | null;
}

export function planOf(options: ProofOptions, recordPath: string): ValidationPlan {
  const { levels, firstHeight = 0, endHeight = null, startSnapshot = null, threads = 0 } = options;
  const { hints = null, snapshot = null } = levels.has('set') ? options : {};
  const scripts = levels.has('scripts');
  return { firstHeight, endHeight, scripts, hints, snapshot, startSnapshot, threads, recordPath };
}

export function provenOf(verdict: ValidationVerdict, asked: ReadonlySet<Level>): Proven[] {
  const { firstHeight, provenEndHeight: endHeight, set } = verdict;
  if (endHeight <= firstHeight) return [];
  const levels: Level[] = ['chain'];
  if (asked.has('scripts')) levels.push('scripts');
  if (set) levels.push('set');
  return [{ firstHeight, endHeight, levels }];
}
