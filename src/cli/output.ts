/**
 * Results on stdout: one JSON object with `--json`, a stream of them with `--json-lines`, text otherwise.
 * Everything else goes to stderr.
 */
import type { Env } from './env.js';
import { printable } from './printable.js';
import { ProgressLine } from './progress.js';

export interface OutputOptions {
  readonly json?: boolean;
  readonly jsonLines?: boolean;
  readonly quiet?: boolean;
}

/** The version of every JSON object's shape. */
const schema = 1;

/** JSON of a result: `schema` first; integers over 2^53 are strings. */
export function toJson(value: object): string {
  return JSON.stringify({ schema, ...value }, (_key, item) => {
    if (typeof item === 'bigint') return item > Number.MAX_SAFE_INTEGER ? String(item) : Number(item);
    if (typeof item === 'number' && Number.isInteger(item) && !Number.isSafeInteger(item))
      return String(item);
    return item;
  });
}

export class Output {
  readonly progress: ProgressLine;
  readonly #env: Env;
  readonly #options: OutputOptions;

  constructor(env: Env, options: OutputOptions) {
    this.#env = env;
    this.#options = options;
    const silent = options.json === true || options.jsonLines === true || options.quiet === true;
    this.progress = new ProgressLine(env, silent);
  }

  /** Whether stdout is a stream of JSON objects. */
  get isStream(): boolean {
    return this.#options.jsonLines === true;
  }

  /** The one result of a command; in a stream it is the event `result`, unless it has a name of its own. */
  result(value: object, text: () => string): void {
    this.progress.clear();
    const { json, jsonLines } = this.#options;
    if (jsonLines) this.#env.out(`${toJson({ event: 'result', ...value })}\n`);
    else this.#env.out(json ? `${toJson(value)}\n` : `${printable(text())}\n`);
  }

  /** An event of a stream: a line of JSON with `--json-lines`, else a line on stderr when there is a text for it. */
  event(value: { readonly event: string; readonly [key: string]: unknown }, text: string): void {
    if (this.#options.jsonLines) this.#env.out(`${toJson(value)}\n`);
    else if (text !== '') this.note(text);
  }

  /** A remark for a person. */
  note(text: string): void {
    if (this.#options.quiet || this.#options.json) return;
    this.progress.clear();
    this.#env.err(`${printable(text)}\n`);
  }

  /** A warning: shown whatever the options are, and an event of a stream. */
  warn(text: string): void {
    this.progress.clear();
    if (this.isStream) this.#env.out(`${toJson({ event: 'warning', message: text })}\n`);
    this.#env.err(`warning: ${printable(text)}\n`);
  }
}
