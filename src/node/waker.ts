/** Lets a loop rest until there is something to do. */

/** A timer of Node's cannot run longer. */
const MAX_MS = 2 ** 31 - 1;

export class Waker {
  #isAwake = false;
  #end: (() => void) | null = null;

  /** There is something to do, now or when the next rest would begin. */
  wake(): void {
    this.#isAwake = true;
    this.#end?.();
  }

  /** Resolves after the time, when it is woken or was since the last rest, or when the signal fires. */
  async rest(ms: number, signal: AbortSignal): Promise<void> {
    // No `AbortSignal.any`: each leaves something behind at a signal that lives as long as the process.
    if (!this.#isAwake && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, Math.min(Math.max(0, ms), MAX_MS));
        this.#end = () => {
          clearTimeout(timer);
          resolve();
        };
        signal.addEventListener('abort', this.#end);
      });
      if (this.#end) signal.removeEventListener('abort', this.#end);
      this.#end = null;
    }
    this.#isAwake = false;
  }
}
