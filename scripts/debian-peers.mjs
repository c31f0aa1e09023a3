// aria2 and transmission for the tests, new enough to read hybrid torrents: aria2 before 1.37 computes a wrong
// infohash for them, transmission before 4 refuses them, because `file tree` has an empty key (BEP 52). Where the
// system's own are older, those of Debian 13 are unpacked into the cache and run with their own libraries;
// nothing is installed.
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { output, run, say } from './run.mjs';

const release = 'trixie';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const peers = {
  aria2: { program: 'aria2c', debian: 'aria2', enough: /aria2 version (1\.(3[7-9]|[4-9]\d)|[2-9])/ },
  transmission: {
    program: 'transmission-daemon',
    debian: 'transmission-daemon',
    enough: /transmission-daemon ([4-9]|\d\d)\./,
  },
};

/** The commands of both, or '' where none can be had: their tests are then skipped. */
export function ensureDebianPeers() {
  const found = {};
  for (const [name, { program, enough }] of Object.entries(peers)) {
    // transmission-daemon prints its version on stderr
    const version = output('sh', ['-c', `${program} --version 2>&1`]) ?? '';
    found[name] = enough.test(version) ? program : fromDebian(program);
  }
  return found;
}

function fromDebian(program) {
  const machine = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch];
  if (!machine || !existsSync(keyring) || output('apt-get', ['--version']) === null) return '';
  const folder = cacheFolder('peers', `debian-${release}`);
  const root = join(folder, 'root');
  if (!existsSync(join(folder, 'done'))) {
    say(`unpacking aria2 and transmission of Debian ${release} for the tests`);
    if (!unpack(folder, root)) return '';
    writeFileSync(join(folder, 'done'), release);
  }
  const libraries = join(root, 'usr', 'lib', machine);
  const loader = readdirSync(libraries).find((name) => /^ld-linux.*\.so\.\d$/.test(name));
  const command = join(folder, program);
  writeFileSync(
    command,
    `#!/bin/sh\nexec "${libraries}/${loader}" --library-path "${libraries}" "${root}/usr/bin/${program}" "$@"\n`,
  );
  chmodSync(command, 0o755);
  return command;
}

/**
 * Lets apt, with state of its own and nothing taken for installed, fetch the packages and all that they need.
 * False when no Debian mirror is known.
 */
function unpack(folder, root) {
  const apt = join(folder, 'apt');
  mkdirSync(join(apt, 'lists', 'partial'), { recursive: true });
  mkdirSync(join(apt, 'cache', 'archives', 'partial'), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  // The mirror that this system uses already.
  const uris = (
    output('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Identifier: Packages']) ?? ''
  ).split('\n');
  const mirror = uris.find((uri) => /\/debian\/?$/.test(uri));
  if (!mirror) return false;
  writeFileSync(join(apt, 'sources.list'), `deb [signed-by=${keyring}] ${mirror} ${release} main\n`);
  const settings = {
    'Dir::Etc::sourcelist': join(apt, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State': apt,
    'Dir::State::lists': join(apt, 'lists'),
    'Dir::State::status': join(apt, 'status'),
    'Dir::Cache': join(apt, 'cache'),
    'APT::Install-Recommends': 'false',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  run('apt-get', [...options, '-q', 'update']);
  run('apt-get', [
    ...options,
    '-qq',
    'install',
    '--download-only',
    '-y',
    ...Object.values(peers).map(({ debian }) => debian),
  ]);
  mkdirSync(root, { recursive: true });
  const archives = join(apt, 'cache', 'archives');
  for (const name of readdirSync(archives)) {
    if (name.endsWith('.deb')) run('dpkg-deb', ['-x', join(archives, name), root]);
  }
  rmSync(apt, { recursive: true });
  return true;
}
