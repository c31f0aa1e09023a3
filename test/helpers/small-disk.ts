/** A program that sees a small file system of its own in one folder. */
import { spawnSync } from 'node:child_process';
import type { Test } from 'tap';
import { Program, type ProgramOptions } from './program.js';

/** `false`, or why no small file system can be made here. */
export function withoutMounts(): string | false {
  const mounted = spawnSync('unshare', ['-rm', 'sh', '-c', 'mount -t tmpfs none /mnt']).status === 0;
  return !mounted && 'no mount namespace may be made here (unshare -rm)';
}

/** Starts a command with `sizeMib` MiB mounted on `folder`, which nobody else sees. */
export function startOnSmallDisk(
  t: Test,
  folder: string,
  sizeMib: number,
  command: readonly string[],
  options: ProgramOptions = {},
): Program {
  const mount = `mount -t tmpfs -o size=${sizeMib}m none "$1" && shift && exec "$@"`;
  return new Program(t, 'unshare', ['-rm', 'sh', '-c', mount, 'sh', folder, ...command], options);
}
