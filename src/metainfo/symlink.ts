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
  /** Where it leads when it is a link. */
  readonly target: readonly string[] | null;
  /** The way there, once it was followed: once for all links that lead over it, however many they are. */
  way: Way | null;
}

/** A target, and how far it was followed. */
interface Way {
  readonly target: readonly string[];
  /** The names on disk of the parts that are found. */
  readonly safe: string[];
  /** Where it is. */
  id: number;
  /** Links on it, and on the ways of those. */
  hops: number;
  /** Where it leads: `null` while that is not known, and when it is nowhere. */
  endId: number | null;
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
        place = { id: places.size + 1, name: path[depth] ?? '', target, way: null };
        places.set(key, place);
      }
      folder = place.id;
    }
  }
  return places;
}

function resolve(target: readonly string[], places: ReadonlyMap<string, Place>): readonly string[] | null {
  const whole = begin(target);
  // No recursion: a torrent may chain as many links as it has files.
  const ways = [whole];
  for (let way = ways.at(-1); way !== undefined; way = ways.at(-1)) {
    const part = way.target[way.safe.length];
    if (part === undefined) {
      way.endId = way.id === 0 ? null : way.id;
      ways.pop();
      continue;
    }
    const place = places.get(`${way.id}/${part}`);
    if (place?.target && place.way === null) {
      place.way = begin(place.target);
      ways.push(place.way);
      continue;
    }
    if (place?.way) way.hops += 1 + place.way.hops;
    // A link that is still being followed has no end: a circle.
    const id = place?.way ? place.way.endId : place?.id;
    if (place === undefined || id == null || way.hops > MAX_HOPS) {
      ways.pop();
      continue;
    }
    way.safe.push(place.name);
    way.id = id;
  }
  return whole.endId === null ? null : whole.safe;
}

function begin(target: readonly string[]): Way {
  return { target, safe: [], id: 0, hops: 0, endId: null };
}
