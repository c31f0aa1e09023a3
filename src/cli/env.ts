/** The world around a command. */
import { BlockswarmError } from '../errors.js';

/**
 * What a command may touch of the world around it. Passed in, so that tests run whole commands in memory.
 */
export interface Env {
  /** The arguments after the program's name. */
  readonly args: readonly string[];
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly homeDir: string;
  /** Data for programs and people: results only. */
  readonly out: (text: string) => void;
  /** Progress, warnings, errors. */
  readonly err: (text: string) => void;
  /** Columns of the terminal behind `err`, or 0 when it is none. */
  readonly errColumns: number;
  /** Fires when the user asks to stop (SIGINT, SIGTERM). */
  readonly signal: AbortSignal;
  /** The Node program and the file of this program's entry, to start more of it. */
  readonly pid: number;
  readonly execPath: string;
  readonly programPath: string;
}

/** `--state-dir`, or the place that the XDG base directory rules give. */
export function stateDir(env: Env, option: string | undefined): string {
  if (option !== undefined) return option;
  const base = env.variables['XDG_STATE_HOME'];
  return `${base?.startsWith('/') ? base : `${env.homeDir}/.local/state`}/blockswarm`;
}

/** Where Core keeps its data when nothing else is said, as on Linux and the BSDs. */
export function coreDatadir({ homeDir }: Env): string {
  return `${homeDir}/.bitcoin`;
}

/** Resolves when the user asks to stop. */
export function stopped({ signal }: Env): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** For `catch` of a job that keeps nothing when the user stops it. */
export function nothingKept({ signal }: Env, outcome: string): (cause: unknown) => never {
  return (cause) => {
    if (!signal.aborted) throw cause;
    throw new BlockswarmError('ERR_INTERRUPTED', `interrupted; ${outcome}`, { cause });
  };
}
