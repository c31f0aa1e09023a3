// Peers that Debian packages. aria2 and transmission for the tests must be new enough to read hybrid torrents: aria2
// before 1.37 computes a wrong infohash for them, transmission before 4 refuses them, because `file tree` has an empty
// key (BEP 52). Where the system's own are older, and always for benchmarks, those of Debian 13 are unpacked into the
// cache and run with their own libraries; nothing is installed.
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { attempt, output, run, say } from './run.mjs';

const release = 'trixie';
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';
const forTests = {
  packages: ['aria2', 'transmission-daemon'],
  folder: `debian-${release}`,
  execute: run,
};
/** The tests of trackers, and of Tor's control port, are skipped without them. */
const forTrackers = { packages: ['opentracker'], folder: `debian-${release}-trackers`, execute: attempt };
const forTor = { packages: ['tor'], folder: `debian-${release}-tor`, execute: attempt };
/** Benchmarks go on without a peer. */
const forBenchmarks = {
  packages: ['mktorrent', 'transmission-cli', 'transmission-daemon'],
  folder: `debian-${release}-benchmarks`,
  execute: attempt,
};
/** What the tests need, by name: the program, and how a version that is new enough speaks of itself. */
const peers = {
  aria2: ['aria2c', /aria2 version (1\.(3[7-9]|[4-9]\d)|[2-9])/],
  transmission: ['transmission-daemon', /transmission-daemon ([4-9]|\d\d)\./],
};

/** The command of each, of a tracker and of Tor, or '' where none can be had: their tests are then skipped. */
export function ensureDebianPeers() {
  const found = {};
  for (const [name, [program, enough]] of Object.entries(peers)) {
    // transmission-daemon prints its version on stderr
    const version = output('sh', ['-c', `${program} --version 2>&1`]) ?? '';
    found[name] = enough.test(version) ? program : fromDebian(program, forTests);
  }
  const tor = output('tor', ['--version']) === null ? fromDebian('tor', forTor) : 'tor';
  return { ...found, opentracker: fromDebian('opentracker', forTrackers), tor };
}

/** The command of a program that benchmarks are held against, or '' where it cannot be had. */
export function ensureBenchmarkPeer(program) {
  return fromDebian(program, forBenchmarks);
}

function fromDebian(program, { packages, folder: name, execute }) {
  const machine = { x64: 'x86_64-linux-gnu', arm64: 'aarch64-linux-gnu' }[process.arch];
  if (!machine || !existsSync(keyring) || output('apt-get', ['--version']) === null) return '';
  const folder = cacheFolder('peers', name);
  const root = join(folder, 'root');
  if (!existsSync(join(folder, 'done'))) {
    say(`unpacking ${packages.join(', ')} of Debian ${release}`);
    if (!unpack(folder, root, packages, execute)) return '';
    writeFileSync(join(folder, 'done'), release);
  }
  const libraries = join(root, 'usr', 'lib', machine);
  const loader = readdirSync(libraries).find((name) => /^ld-linux.*\.so\.\d$/.test(name));
  const command = join(folder, program);
  writeFileSync(
    command,
    `#!/bin/sh\nexec "${libraries}/${loader}" --library-path "${libraries}:${join(root, 'usr', 'lib')}" "${root}/usr/bin/${program}" "$@"\n`,
  );
  chmodSync(command, 0o755);
  return command;
}

/**
 * Lets apt, with state of its own and nothing taken for installed, fetch the packages and all that they need.
 * False when no Debian mirror is known or `execute` came back with a failure.
 */
function unpack(folder, root, packages, execute) {
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
  const download = [...options, '-qq', 'install', '--download-only', '-y', ...packages];
  if (!execute('apt-get', [...options, '-q', 'update']) || !execute('apt-get', download)) return false;
  mkdirSync(root, { recursive: true });
  const archives = join(apt, 'cache', 'archives');
  for (const name of readdirSync(archives)) {
    if (name.endsWith('.deb') && !execute('dpkg-deb', ['-x', join(archives, name), root])) return false;
  }
  rmSync(apt, { recursive: true });
  return true;
}
