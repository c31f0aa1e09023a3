// Bitcoin Core, built once from the source that libbitcoinkernel-sys vendors, in one cmake tree in the
// cache: the engine's archive (needed by the addon), and bitcoind (needed by tests). Cargo gets the
// archive through its `links` override, so no cargo profile builds the engine again.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { cacheFolder, keepNewest, keyOf, root } from './cache.mjs';
import { fail, output, run, say } from './run.mjs';

const flags = {
  CMAKE_BUILD_TYPE: 'Release',
  CMAKE_POSITION_INDEPENDENT_CODE: 'ON', // the archive goes into a shared object
  BUILD_KERNEL_LIB: 'ON',
  BUILD_SHARED_LIBS: 'OFF',
  BUILD_BITCOIN_BIN: 'OFF',
  BUILD_CLI: 'OFF',
  BUILD_TESTS: 'OFF',
  BUILD_BENCH: 'OFF',
  BUILD_KERNEL_TEST: 'OFF',
  BUILD_TX: 'OFF',
  BUILD_UTIL: 'OFF',
  BUILD_UTIL_CHAINSTATE: 'OFF',
  BUILD_WALLET_TOOL: 'OFF',
  BUILD_FUZZ_BINARY: 'OFF',
  ENABLE_WALLET: 'OFF',
  ENABLE_EXTERNAL_SIGNER: 'OFF',
  ENABLE_IPC: 'OFF',
  INSTALL_MAN: 'OFF',
  WITH_CCACHE: 'OFF',
  WITH_EMBEDDED_ASMAP: 'OFF',
};

/** The vendored source: fetched by cargo, checked against Cargo.lock. */
function vendoredSource() {
  run('cargo', ['fetch', '--locked', '--quiet']);
  const metadata = JSON.parse(
    output('cargo', ['metadata', '--format-version', '1', '--locked', '--offline']) ?? 'null',
  );
  const crate = metadata?.packages.find(({ name }) => name === 'libbitcoinkernel-sys');
  if (!crate) fail('cargo does not know libbitcoinkernel-sys: is Cargo.lock intact?');
  return { source: join(dirname(crate.manifest_path), 'bitcoin'), version: crate.version };
}

/** The place of the archive and of bitcoind; builds what is missing. */
export function ensureEngine({ bitcoind }) {
  const { source, version } = vendoredSource();
  const compiler = output('c++', ['--version'])?.split('\n')[0] ?? '';
  const folder = cacheFolder('engine', `${version}-${keyOf(compiler, JSON.stringify(flags))}`);
  const build = join(folder, 'build');
  const archive = join(folder, 'lib', 'libbitcoinkernel.a');
  const daemon = join(build, 'bin', 'bitcoind');
  const configure = (withDaemon) => {
    const defines = Object.entries({ ...flags, BUILD_DAEMON: withDaemon ? 'ON' : 'OFF' });
    run('cmake', [
      '-S',
      source,
      '-B',
      build,
      '-Wno-dev',
      ...defines.map(([name, value]) => `-D${name}=${value}`),
    ]);
  };
  const compile = (target) =>
    run('cmake', ['--build', build, '--parallel', String(availableParallelism()), '--target', target]);
  if (!existsSync(archive)) {
    say("building Bitcoin Core's engine (once; about 3 minutes on 2 cores)");
    configure(bitcoind);
    compile('bitcoinkernel');
    run('cmake', ['--install', build, '--prefix', folder, '--component', 'libbitcoinkernel']);
  }
  const stamp = join(folder, 'bitcoind.done');
  if (bitcoind && !existsSync(stamp)) {
    say('building bitcoind for the tests (once; about 8 minutes on 2 cores)');
    configure(true);
    compile('bitcoind');
    writeFileSync(stamp, version);
  }
  return { libDir: dirname(archive), bitcoind: existsSync(stamp) ? daemon : null };
}

/** Writes .cargo/config.toml: the archive, and a target folder in the cache, for every cargo call. */
export function configureCargo(libDir) {
  const lock = readFileSync(join(root, 'Cargo.lock'), 'utf8');
  const target = cacheFolder('target', keyOf(lock, output('rustc', ['-vV']) ?? ''));
  keepNewest(dirname(target), 3);
  const triple = (output('rustc', ['-vV']) ?? '').match(/host: (\S+)/)?.[1];
  const cxx = process.platform === 'darwin' ? 'c++' : 'stdc++';
  const config = `# written by scripts/setup.mjs
[build]
target-dir = ${JSON.stringify(target)}

[target.${triple}."libbitcoinkernel.a"]
rustc-link-search = [${JSON.stringify(`native=${libDir}`)}]
rustc-link-lib = ["static=bitcoinkernel", "dylib=${cxx}"]
`;
  const path = join(root, '.cargo', 'config.toml');
  mkdirSync(dirname(path), { recursive: true });
  if (!existsSync(path) || readFileSync(path, 'utf8') !== config) writeFileSync(path, config);
}
