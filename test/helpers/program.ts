/**
 * Other programs in tests: started in a process group of their own, bounded in time, and killed with all
 * their children when the test ends, however it ends.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Test } from 'tap';

export interface ProgramOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** After this long the program is killed; `DEFAULT_TIMEOUT_MS` when absent. */
  readonly timeoutMs?: number;
}

export interface Finished {
  /** `null` when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Before tap ends the test's own process, which would leave it behind; on a busy machine a whole test takes minutes. */
const DEFAULT_TIMEOUT_MS = 280_000;

const running = new Set<Program>();
// A test process that is ended from outside does not run its teardowns.
process.on('exit', () => {
  for (const program of running) program.kill('SIGKILL');
});

export class Program {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  readonly #command: string;
  readonly #waiting = new Set<() => void>();
  #stdout = '';
  #stderr = '';
  #ended = false;

  constructor(t: Test, command: string, args: readonly string[], options: ProgramOptions = {}) {
    this.#command = [command, ...args].join(' ');
    this.child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    running.add(this);
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => this.#take(text, ''));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => this.#take('', text));
    this.child.stdin?.on('error', () => {}); // it may end without reading
    const timer = setTimeout(() => this.kill('SIGKILL'), options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    this.finished = new Promise((resolve, reject) => {
      this.child.once('error', reject);
      this.child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    }).finally(() => {
      clearTimeout(timer);
      running.delete(this);
      this.#ended = true;
      this.#take('', '');
    }) as Promise<Finished>;
    this.finished.catch(() => {}); // told to whoever waits for it
    t.teardown(async () => {
      this.kill('SIGKILL');
      await this.finished.catch(() => {});
    });
  }

  /** What it has printed so far. */
  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** The first match in what it prints on stdout; rejects with all its output when it ends without one. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stdout);
      if (match) return match;
      if (this.#ended) {
        const { code, signal } = await this.finished;
        throw new Error(
          `\`${this.#command}\` ended (${signal ?? code}) before ${pattern}\n${this.#stdout}${this.#stderr}`,
        );
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Sends a signal to it and to all that it has started. */
  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    if (this.child.pid === undefined || this.#ended) return;
    try {
      process.kill(-this.child.pid, signal);
    } catch {
      // it has just ended
    }
  }

  /** Asks it to end and waits. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Finished> {
    if (this.child.pid === undefined) await once(this.child, 'spawn');
    this.kill(signal);
    return this.finished;
  }

  #take(stdout: string, stderr: string): void {
    this.#stdout += stdout;
    this.#stderr += stderr;
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }
}

/** Runs a program to its end. */
export async function runProgram(
  t: Test,
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<Finished> {
  const program = new Program(t, command, args, options);
  program.child.stdin?.end();
  return program.finished;
}

/** Runs a program that must succeed; returns its stdout. */
export async function outputOf(
  t: Test,
  command: string,
  args: readonly string[],
  options: ProgramOptions = {},
): Promise<string> {
  const { code, signal, stdout, stderr } = await runProgram(t, command, args, options);
  if (code !== 0)
    throw new Error(`\`${command} ${args.join(' ')}\` failed (${signal ?? code})\n${stdout}${stderr}`);
  return stdout;
}
