/** The program itself, as a user runs it: `node dist/cli/main.js …` with a state folder of its own. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Test } from 'tap';
import { type Finished, Program, type ProgramOptions, runProgram } from './program.js';
import { tempFolder } from './temp.js';

/** The compiled program; `npm test` and `npm run build` make it. */
export const programPath = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** Runs a command to its end. */
export function cli(t: Test, args: readonly string[], options: ProgramOptions = {}): Promise<Finished> {
  return runProgram(t, process.execPath, [compiled(), ...args], withState(t, options));
}

/** Starts a command and lets it run. */
export function startCli(t: Test, args: readonly string[], options: ProgramOptions = {}): Program {
  return new Program(t, process.execPath, [compiled(), ...args], withState(t, options));
}

/** The result of a command that must succeed, run with `--json`. */
export async function cliJson<Result>(
  t: Test,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Result> {
  const { code, signal, stdout, stderr } = await cli(t, [...args, '--json'], options);
  if (code !== 0)
    throw new Error(`\`blockswarm ${args.join(' ')}\` failed (${signal ?? code})\n${stdout}${stderr}`);
  return JSON.parse(stdout) as Result;
}

/** What `seed` says when peers may come. */
export interface SeedReady {
  /** `host:port`. */
  readonly listen: string;
  readonly torrents: number;
  readonly catalogueInfoHashV1: string | null;
}

export interface RunningSeed extends SeedReady {
  readonly program: Program;
}

/** Starts `blockswarm seed` on a free port of loopback; resolves when it is ready. It lives as long as its test. */
export async function startSeed(
  t: Test,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<RunningSeed> {
  const fixed = ['seed', '--listen', '127.0.0.1:0', '--json'];
  const program = startCli(t, [...fixed, ...args], options);
  const [line] = await program.printed(/^\{.*"event":"ready".*\}$/m);
  return { program, ...(JSON.parse(line) as SeedReady) };
}

function compiled(): string {
  if (!existsSync(programPath)) throw new Error(`${programPath} is missing: run \`npm run build\``);
  return programPath;
}

/** State is never the user's, nor that of another test. */
function withState(t: Test, options: ProgramOptions): ProgramOptions {
  if (options.env?.['XDG_STATE_HOME'] !== undefined) return options;
  return { ...options, env: { ...options.env, XDG_STATE_HOME: tempFolder(t) } };
}
