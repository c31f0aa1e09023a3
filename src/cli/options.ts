/** Readers of options' values. */
import { readFileSync } from 'node:fs';
import { type ProxyLogin, proxyLogin } from '../connector/privacy.js';
import { BlockswarmError } from '../errors.js';
import type { Level } from '../node/proof.js';

/** `user:password`, the first line of a file. */
export function loginFile(path: string): ProxyLogin {
  const [line = ''] = readFileSync(path, 'utf8').split(/\r?\n/, 1);
  const colon = line.indexOf(':');
  if (colon < 0) throw new BlockswarmError('ERR_USAGE', `expected user:password in ${path}`);
  return proxyLogin(line.slice(0, colon), line.slice(colon + 1));
}

/** A password, the first line of a file. */
export function passwordFile(path: string): string {
  return readFileSync(path, 'utf8').split(/\r?\n/, 1)[0] ?? '';
}

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

const units: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40 };

/** Bytes a second: `0` (no limit), `500KiB`, `2 MiB`, `1G`; `/s` may follow. */
export function rate(text: string): number {
  const [, digits, unit = ''] = /^(\d{1,9}) ?(?:([kmg])(?:i?b)?)?(?:\/s)?$/i.exec(text) ?? [];
  if (digits !== undefined) return Number(digits) * (units[unit.toLowerCase()] ?? 1);
  throw new BlockswarmError('ERR_USAGE', `expected a rate such as 500KiB (a second), got \`${text}\``);
}

const maxQuotaBytes = 2 ** 50;

/** Bytes, at least one: `500GiB`, `2 TiB`, `1000000`. */
export function size(text: string): number {
  const [, digits = '', unit = ''] = /^(\d{1,16}) ?(?:([kmgt])(?:i?b)?)?$/i.exec(text) ?? [];
  const bytes = Number(digits) * (units[unit.toLowerCase()] ?? 1);
  if (bytes >= 1 && bytes <= maxQuotaBytes) return bytes;
  throw new BlockswarmError('ERR_USAGE', `expected a size such as 500GiB, up to 1024TiB, got \`${text}\``);
}

/** Bytes, or `0` for none. */
export function sizeOrNone(text: string): number {
  return text === '0' ? 0 : size(text);
}

const levels: readonly Level[] = ['chain', 'scripts', 'set'];

/** Some of `chain,scripts,set`, in any order. */
export function levelSet(text: string): ReadonlySet<Level> {
  const names = text.split(',').map((name) => name.trim());
  const known = levels.filter((level) => names.includes(level));
  if (known.length === names.length) return new Set(known);
  throw new BlockswarmError(
    'ERR_USAGE',
    `--prove expects some of chain,scripts,set, each once, got \`${text}\``,
  );
}
