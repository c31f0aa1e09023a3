// libtorrent from PyPI for the tests, in a virtual environment in the cache.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder, keyOf } from './cache.mjs';
import { output, run, say } from './run.mjs';

const libtorrent = '2.1.1';

/** The Python that can `import libtorrent`. */
export function ensureLibtorrent() {
  const folder = cacheFolder('peers', `libtorrent-${libtorrent}-${keyOf(output('python3', ['-VV']) ?? '')}`);
  const python = join(folder, 'bin', 'python');
  if (existsSync(join(folder, 'done'))) return python;
  say(`installing libtorrent ${libtorrent} for the tests`);
  run('python3', ['-m', 'venv', folder]);
  run(python, ['-m', 'pip', 'install', '--quiet', `libtorrent==${libtorrent}`]);
  run(python, [
    '-c',
    `import libtorrent; open(${JSON.stringify(join(folder, 'done'))}, 'w').write(libtorrent.__version__)`,
  ]);
  return python;
}
