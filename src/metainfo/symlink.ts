/**
 * Symlinks of a torrent (BEP 47). A link may lead only to a file or folder of the torrent, by way of at most 40 links:
 * one that leaves the folder, leads nowhere or in a circle is none.
 */

/** A file of a torrent: what it is called in the metainfo and on disk, and where it leads when it is a link. */
export interface LinkableFile {
  readonly rawPath: readonly string[];
  readonly path: readonly string[];
  /** The `symlink path`, from the torrent's folder. */
  readonly rawTarget: readonly string[] | null;
}

/** As many as Linux follows. */
const MAX_HOPS = 40;

interface Place {
  readonly id: number;
  readonly name: string;
  target: readonly string[] | null;
}

/** The safe path that each file links to, from the torrent's folder; `null` for what is no link, or no sound one. */
export function resolveSymlinks(files: readonly LinkableFile[]): (readonly string[] | null)[] {
  if (files.every((file) => file.rawTarget === null)) return files.map(() => null);
  const places = mapPlaces(files);
  return files.map(({ rawTarget }) => rawTarget && resolve(rawTarget, places));
}

/** All files and folders by `<folder's id>/<raw name>`; the torrent's folder is 0. */
function mapPlaces(files: readonly LinkableFile[]): Map<string, Place> {
  const places = new Map<string, Place>();
  for (const { rawPath, path, rawTarget } of files) {
    // A path that was shortened is not where its names say.
    if (path.length !== rawPath.length) continue;
    let folder = 0;
    for (const [depth, raw] of rawPath.entries()) {
      const key = `${folder}/${raw}`;
      let place = places.get(key);
      if (place === undefined) {
        const target = depth === rawPath.length - 1 ? rawTarget : null;
        place = { id: places.size + 1, name: path[depth] ?? '', target };
        places.set(key, place);
      }
      folder = place.id;
    }
  }
  return places;
}

function resolve(target: readonly string[], places: ReadonlyMap<string, Place>): readonly string[] | null {
  const safe: string[] = [];
  const ahead = [...target].reverse();
  let folder = 0;
  let hops = 0;
  while (ahead.length > 0) {
    // Parts of links on the way lie above the target's own ones.
    const own = ahead.length === target.length - safe.length;
    const place = places.get(`${folder}/${ahead.pop()}`);
    if (place === undefined) return null;
    if (own) safe.push(place.name);
    folder = place.id;
    if (place.target === null) continue;
    if (++hops > MAX_HOPS) return null;
    ahead.push(...[...place.target].reverse());
    folder = 0;
  }
  return folder === 0 ? null : safe;
}
