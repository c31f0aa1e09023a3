/** Whole commands in memory: what a command prints and its exit code, without a process. */
import type { Env } from '../../src/cli/env.js';
import { run } from '../../src/cli/program.js';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs a command. */
export async function runInMemory(args: readonly string[], more: Partial<Env> = {}): Promise<Ran> {
  let out = '';
  let err = '';
  const env: Env = {
    args,
    variables: {},
    homeDir: '/nonexistent',
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    errColumns: 0,
    signal: new AbortController().signal,
    pid: 1,
    execPath: '/nonexistent',
    programPath: '/nonexistent',
    ...more,
  };
  const code = await run(env);
  return { code, out, err };
}

/** The JSON result of a command, whatever its exit code. */
export async function jsonInMemory(args: readonly string[]): Promise<Record<string, unknown>> {
  return JSON.parse((await runInMemory([...args, '--json'])).out) as Record<string, unknown>;
}
