// Running other programs from the set-up scripts.
import { spawnSync } from 'node:child_process';
import { root } from './cache.mjs';

/** Says what is being done, on stderr: stdout belongs to the program that runs afterwards. */
export function say(text) {
  process.stderr.write(`[setup] ${text}\n`);
}

/** Ends the set-up with a message that names the remedy. */
export function fail(text) {
  process.stderr.write(`[setup] ${text}\n`);
  process.exit(1);
}

/** Runs a program, its output on stderr; ends the set-up when it fails. */
export function run(command, args, options) {
  return attempt(command, args, options) || process.exit(1);
}

/** Runs a program, its output on stderr; says it when it fails, and returns whether it did well. */
export function attempt(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ['ignore', 2, 2], ...options });
  if (!error && status === 0) return true;
  say(`\`${command} ${args.join(' ')}\` failed (${error?.message ?? `exit ${status}`})`);
  return false;
}

/** The output of a program, or null when it is missing or fails. */
export function output(command, args, options = {}) {
  const { status, stdout } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    ...options,
  });
  return status === 0 ? stdout : null;
}
