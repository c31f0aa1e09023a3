// Our own native programs for benchmarks, built by cargo.
import { execFileSync } from 'node:child_process';
import { root } from '../scripts/cache.mjs';

/**
 * The path of a workspace member's program, built when it is not up to date; with `rustflags` in a target folder of its
 * own, so that nothing else is built anew.
 */
export function cargoProgram(name, { rustflags, targetDir } = {}) {
  const args = ['build', '--release', '--locked', '-p', name, '--message-format=json-render-diagnostics'];
  if (targetDir) args.push('--target-dir', targetDir);
  const messages = execFileSync('cargo', args, {
    cwd: root,
    env: rustflags ? { ...process.env, RUSTFLAGS: rustflags } : process.env,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const built = messages
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  const path = built.find(({ executable, target }) => executable && target.name === name)?.executable;
  if (!path) throw new Error(`cargo built no program ${name}`);
  return path;
}
