// Where compiled things live: outside the checkout, keyed by versions and lock files, shared by every clone.
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const cacheDir =
  process.env['BLOCKSWARM_CACHE_DIR'] ??
  join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'blockswarm');

/** A short digest of strings, for the name of a cache folder. */
export function keyOf(...parts) {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 16);
}

/** Makes and returns a folder of the cache; its time says when it was last used. */
export function cacheFolder(...parts) {
  const folder = join(cacheDir, ...parts);
  mkdirSync(folder, { recursive: true });
  utimesSync(folder, new Date(), new Date());
  return folder;
}

/** Keeps the `count` entries of a cache folder that were used last: lock files change, disks fill. */
export function keepNewest(folder, count) {
  const entries = readdirSync(folder).map((name) => ({ name, time: statSync(join(folder, name)).mtimeMs }));
  for (const { name } of entries.sort((a, b) => b.time - a.time).slice(count)) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/** A digest of all files below some paths: has anything changed since? */
export function fingerprint(...paths) {
  const hash = createHash('sha256').update(process.version);
  const visit = (path) => {
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) for (const name of readdirSync(path).sort()) visit(join(path, name));
    else hash.update(`${path}\0`).update(stat ? readFileSync(path) : '');
  };
  for (const path of paths) visit(join(root, path));
  return hash.digest('hex');
}

/** Runs `build` unless the stamp file says that it was done for this very state, and its product is still there. */
export function onceFor(state, stampPath, isThere, build) {
  let stamp = '';
  try {
    stamp = readFileSync(stampPath, 'utf8');
  } catch {
    // no stamp yet: build
  }
  if (stamp === state && isThere()) return false;
  build();
  writeFileSync(stampPath, state);
  return true;
}
