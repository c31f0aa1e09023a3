// A disk that gives no more than so many bytes a second to the programs that are run on it: a control group of Linux's
// (blkio of version 1, io of version 2), which takes root.
import { mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * The words before a command that give it such a disk, for files beside `path`; `close` when all commands have ended. Throws
 * where the system does not do it.
 */
export function slowDisk(path, bytesPerSecond) {
  const { dev } = statSync(path);
  const device = `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  const { mount, file, limit } = controller(device, bytesPerSecond);
  const group = join(mount, `blockswarm-bench-${process.pid}`);
  mkdirSync(group);
  const close = () => rmdirSync(group);
  try {
    writeFileSync(join(group, file), limit);
  } catch (error) {
    close();
    throw error;
  }
  const entered = `echo $$ > '${join(group, 'cgroup.procs')}' && exec "$@"`;
  return { command: ['sh', '-c', entered, 'sh'], close };
}

function controller(device, bytesPerSecond) {
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  const blkio = mounts.find(([, , type, flags]) => type === 'cgroup' && flags.split(',').includes('blkio'));
  if (blkio)
    return { mount: blkio[1], file: 'blkio.throttle.read_bps_device', limit: `${device} ${bytesPerSecond}` };
  const unified = mounts.find(([, , type]) => type === 'cgroup2');
  if (unified) return { mount: unified[1], file: 'io.max', limit: `${device} rbps=${bytesPerSecond}` };
  throw new Error('no control groups');
}
