/** Readers of options' values. */
import { BlockswarmError } from '../errors.js';

/** For options that may be given often. */
export function collect(value: string, all: readonly string[] = []): string[] {
  return [...all, value];
}

/** A reader of whole numbers from `least` to `most`. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (/^\d{1,9}$/.test(text) && number >= least && number <= most) return number;
    throw new BlockswarmError(
      'ERR_USAGE',
      `expected a whole number from ${least} to ${most}, got \`${text}\``,
    );
  };
}
