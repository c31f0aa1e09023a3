/**
 * The largest memory of a process and its descendants, as the sum of their proportional set sizes: shared
 * pages count once, not once for each process. Linux only.
 */
import { readdirSync, readFileSync } from 'node:fs';

const sampleMs = 100;

export class PeakMemory {
  /** Null until it was measured, and where the system does not tell. */
  peakBytes: number | null = null;
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#sample(), sampleMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #sample(): void {
    const sizes = family(this.#pid).map(proportionalBytes);
    if (sizes[0] === null) return;
    const bytes = sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
    this.peakBytes = Math.max(this.peakBytes ?? 0, bytes);
  }
}

/** A process and its descendants. One that ends meanwhile has none. */
function family(pid: number): number[] {
  const pids = [pid];
  try {
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const children = readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8');
      for (const child of children.split(' ').filter(Boolean)) pids.push(...family(Number(child)));
    }
  } catch {
    // Gone.
  }
  return pids;
}

/** Null when it ended meanwhile, when it may not be looked at, and where the system does not tell. */
function proportionalBytes(pid: number): number | null {
  try {
    const match = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'));
    return match ? Number(match[1]) * 1024 : null;
  } catch {
    return null;
  }
}
