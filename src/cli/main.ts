#!/usr/bin/env node
/** The program: hands the world to `run` and its result to the shell. */
import { homedir } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Env } from './env.js';
import { run } from './program.js';

const stop = new AbortController();
let signals = 0;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(name, () => {
    // The second time the user means it: what is on disk is safe at any moment.
    if (++signals > 1) process.exit(7);
    stop.abort();
  });
}
// A reader that goes away (`| head`) ends the program, quietly; a result that cannot be written is a failure.
process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
  if (code === 'EPIPE') process.exit(0);
  process.stderr.write(`blockswarm: cannot write to stdout: ${message}\n`);
  process.exit(code === 'ENOSPC' ? 6 : 1);
});
// Nobody reads the remarks any more: no reason to end the job.
process.stderr.on('error', () => {});
// A program of ours that started this one (the demo) is gone, however that came: nobody else would end this one.
process.on('disconnect', () => stop.abort());
process.channel?.unref();

const env: Env = {
  args: process.argv.slice(2),
  variables: process.env,
  homeDir: homedir(),
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  // A window may be made wider or narrower.
  get errColumns() {
    return process.stderr.isTTY && process.env['TERM'] !== 'dumb' ? (process.stderr.columns ?? 80) : 0;
  },
  signal: stop.signal,
  pid: process.pid,
  execPath: process.execPath,
  programPath: fileURLToPath(import.meta.url),
};

process.exitCode = await run(env);
