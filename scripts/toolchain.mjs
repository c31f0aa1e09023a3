// What must be on the machine before anything is built. System packages are installed where that is
// allowed (root on Debian or Ubuntu); otherwise the missing ones are named with the command to run.
import { existsSync } from 'node:fs';
import { fail, output, run, say } from './run.mjs';

const rustFloor = [1, 90];

/** Each row: what it is for, how to see that it is there, and Debian's package. */
const packages = {
  build: [
    ['cmake', () => runs('cmake', ['--version']), 'cmake'],
    ['a C++20 compiler', () => runs('c++', ['--version']), 'g++'],
    ['make', () => runs('make', ['--version']), 'make'],
    ['Boost headers', () => existsSync('/usr/include/boost/version.hpp'), 'libboost-dev'],
  ],
  test: [
    ['libevent (for bitcoind)', () => existsSync('/usr/include/event2/event.h'), 'libevent-dev'],
    ['pkg-config (for bitcoind)', () => runs('pkg-config', ['--version']), 'pkg-config'],
    ['zstd', () => runs('zstd', ['--version']), 'zstd'],
    ['Python with venv', () => runs('python3', ['-c', 'import venv, ensurepip']), 'python3-venv'],
  ],
};

/** Whether a program is there and answers. */
function runs(command, args) {
  return output(command, args) !== null;
}

/** Checks the toolchains and installs what may be installed; `wants` is a list of the groups above. */
export function ensureToolchain(wants) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 17)) {
    fail(
      `Node.js ${process.versions.node} is too old: 20.17 or newer is needed (24 is recommended). Install it from nodejs.org or with your version manager.`,
    );
  }
  const rust = output('rustc', ['--version'])?.match(/rustc (\d+)\.(\d+)/);
  const rustCommand = 'curl --proto "=https" --tlsv1.2 -sSf https://sh.rustup.rs | sh';
  if (!rust || !runs('cargo', ['--version'])) fail(`Rust is missing. Install it with: ${rustCommand}`);
  if (Number(rust[1]) === rustFloor[0] && Number(rust[2]) < rustFloor[1]) {
    fail(
      `${rust[0]} is too old: ${rustFloor.join('.')} or newer is needed. Update it with: rustup update stable`,
    );
  }
  const missing = () => wants.flatMap((group) => packages[group]).filter(([, present]) => !present());
  const lacking = missing();
  if (lacking.length === 0) return;
  const names = lacking.map(([, , debian]) => debian);
  const install = `apt-get install -y --no-install-recommends ${names.join(' ')}`;
  if (process.getuid?.() !== 0 || !runs('apt-get', ['--version'])) {
    fail(`missing: ${lacking.map(([what]) => what).join(', ')}. On Debian or Ubuntu run: sudo ${install}`);
  }
  say(`installing ${names.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['update', '-q'], { env });
  run('apt-get', install.split(' ').slice(1), { env });
  const still = missing();
  if (still.length > 0)
    fail(`still missing after the installation: ${still.map(([what]) => what).join(', ')}`);
}
