// Files as after a restart of the machine: not in memory.
import { execFileSync } from 'node:child_process';

/** Drops files from the page cache; fails when they stay. */
export function dropFromPageCache(paths) {
  const script = new URL('cold.py', import.meta.url).pathname;
  const { cachedShare } = JSON.parse(execFileSync('python3', [script, ...paths], { encoding: 'utf8' }));
  if (cachedShare > 0.01)
    throw new Error(`${Math.round(100 * cachedShare)} % of ${paths} stays in the page cache`);
}
