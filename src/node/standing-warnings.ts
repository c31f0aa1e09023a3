/** What is wrong with block files, told once: not what is only half written when it is looked at. */
export class StandingWarnings {
  readonly #warn: (text: string) => void;
  #before = new Set<string>();
  #told: Set<string>;

  /** `told`: what was told at the start. */
  constructor(warn: (text: string) => void, told: readonly string[]) {
    this.#warn = warn;
    this.#told = new Set(told);
  }

  /** Tells what two looks in a row have found; what is gone may be told again. */
  look(found: readonly string[]): void {
    const now = new Set(found);
    this.#told = new Set(found.filter((text) => this.#told.has(text)));
    for (const text of now) {
      if (!this.#before.has(text) || this.#told.has(text)) continue;
      this.#told.add(text);
      this.#warn(text);
    }
    this.#before = now;
  }
}
