import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { enginePath, withoutSample } from '../../helpers/engine.js';
import { tempFolder } from '../../helpers/temp.js';

const program = fileURLToPath(new URL('../../helpers/full-disk.ts', import.meta.url));

/** Runs a command in a mount namespace with a small file system at `folder`. */
function onSmallDisk(folder: string, ...command: string[]) {
  const mount = 'mount -t tmpfs -o size=120m none "$1" && shift && exec "$@"';
  return spawnSync('unshare', ['-rm', 'sh', '-c', mount, 'sh', folder, ...command], { encoding: 'utf8' });
}

const mayMount = onSmallDisk('/mnt', 'true').status === 0;
const skip = withoutSample() || (!mayMount && 'no mount namespace may be made here (unshare -rm)');

t.test('a full disk is named, loses nothing that was flushed, and is recovered from', { skip }, async (t) => {
  const folder = tempFolder(t);
  const run = (when: string) => {
    const { stdout, stderr } = onSmallDisk(
      folder,
      process.execPath,
      ...process.execArgv,
      program,
      folder,
      enginePath(),
      when,
    );
    return stdout.trim().split('\n').concat(stderr.trim()).filter(Boolean);
  };
  t.same(run('later'), ['ERR_DISK_FULL', 'ERR_DISK_FULL', 'ERR_DISK_FULL', '14131']);
  t.same(run('start'), ['ERR_DISK_FULL']);
});
