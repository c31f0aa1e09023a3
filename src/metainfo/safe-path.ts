/**
 * Names from a torrent made safe for a disk: a pure function from what the metainfo says to relative paths that no file
 * system takes amiss. Infohashes and pieces do not depend on what the files are called, so an odd name is no reason to
 * refuse its torrent.
 *
 * What comes out: no part is empty, `.`, `..`, longer than 255 bytes, a device of Windows, or ends in a dot or space;
 * none holds a separator, a control or direction character, or one of `<>:"|?*`; no two files have one path, nor does
 * one lie inside another, also where case and Unicode normalisation do not count. A character that cannot stay becomes
 * `_`, as in libtorrent. What is safe already is not changed; the same input always gives the same output.
 */

/** Why a path is not what the metainfo says; the first of several reasons. */
export type RepairReason =
  | 'empty name'
  | 'name of a parent folder'
  | 'not UTF-8'
  | 'control character'
  | 'direction of text changed'
  | 'forbidden character'
  | 'dot or space at the end'
  | 'device name'
  | 'name too long'
  | 'path too long'
  | 'same name as a folder'
  | 'same name as another file'
  | 'symlink that leads nowhere in the torrent';

/** A safe path and why it is not the one that was given: `null` when it is. */
export interface SafePath {
  readonly path: readonly string[];
  readonly reason: RepairReason | null;
}

/** What file systems take: 255 bytes (ext4, APFS) or 255 UTF-16 units (NTFS), which are never more. */
const MAX_NAME_BYTES = 255;
/** With a name below it 3 KiB; 1 KiB of Linux's 4096 remains for the folder that all of it is in. */
const MAX_FOLDER_BYTES = 3072 - 1 - MAX_NAME_BYTES;

const PLAIN = /^[A-Za-z0-9_][A-Za-z0-9_ ()[\]+,.-]*$/;
const DEVICE =
  /^(?:con|prn|aux|nul|clock\$|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])(?= *(?:\.|$))/i;
// Embeddings, overrides, isolates and marks: `exe.gpj` could be made to look like `jpg.exe`.
const DIRECTION = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;

/** Makes one name safe; the file of a torrent of one, or the folder of the others. */
export function safeName(raw: string): { name: string; reason: RepairReason | null } {
  let name = raw;
  let reason: RepairReason | null = null;
  const replace = (pattern: RegExp, by: string, why: RepairReason) => {
    const replaced = name.replace(pattern, by);
    if (replaced !== name) reason ??= why;
    name = replaced;
  };
  // No pattern: on a long run of dots in the middle it would take quadratic time.
  const replaceEnd = () => {
    let end = name.length;
    while (end > 0 && (name[end - 1] === '.' || name[end - 1] === ' ')) end -= 1;
    if (end === name.length) return;
    name = `${name.slice(0, end)}_`;
    reason ??= 'dot or space at the end';
  };
  if (raw === '.' || raw === '..') reason = 'name of a parent folder';
  if (!PLAIN.test(raw)) {
    replace(/^$/, '_', 'empty name');
    replace(/\ufffd/g, '_', 'not UTF-8');
    replace(/[\p{Cc}\p{Zl}\p{Zp}]/gu, '_', 'control character');
    replace(DIRECTION, '_', 'direction of text changed');
    replace(/[<>:"/\\|?*]/g, '_', 'forbidden character');
  }
  replaceEnd();
  replace(DEVICE, '_$&', 'device name');
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) {
    const { stem, extension } = splitName(name);
    name = cut(stem, MAX_NAME_BYTES - Buffer.byteLength(extension)) + extension;
    reason ??= 'name too long';
    replaceEnd();
  }
  return { name, reason };
}

/**
 * Whether a path, as it is, leads to a place below a folder on a POSIX system: the least that is asked of names that a
 * torrent is made of. What was made of files of such names can be read under them again, also where they are not safe.
 */
export function staysBelow(path: readonly string[]): boolean {
  return path.length > 0 && !path.some((part) => /^\.{0,2}$|[/\0]/.test(part));
}

/** Makes the paths of a torrent's files safe, each below the torrent's folder. */
export function safePaths(rawPaths: readonly (readonly string[])[]): SafePath[] {
  const names = new Map<string, ReturnType<typeof safeName>>();
  const paths = rawPaths.map((raw) => safePath(raw, names));
  const places = new Places();
  const folders = paths.map(({ path }) => places.folder(path.slice(0, -1)));
  // Files that are called right have their names before those that must be called otherwise.
  const settled = paths.map(
    ({ path, reason }, i) => reason === null && places.take(folders[i] ?? 0, leaf(path)),
  );
  return paths.map((safe, i) => {
    if (settled[i]) return safe;
    const [name, reason] = places.claim(folders[i] ?? 0, leaf(safe.path));
    return { path: [...safe.path.slice(0, -1), name], reason: safe.reason ?? reason };
  });
}

function leaf(path: readonly string[]): string {
  return path.at(-1) ?? '';
}

function safePath(raw: readonly string[], names: Map<string, ReturnType<typeof safeName>>): SafePath {
  let reason: RepairReason | null = null;
  const path = (raw.length === 0 ? [''] : raw).map((part) => {
    const safe = names.get(part) ?? safeName(part);
    names.set(part, safe);
    reason ??= safe.reason;
    return safe.name;
  });
  let folderBytes = Buffer.byteLength(path.slice(0, -1).join('/'));
  while (folderBytes > MAX_FOLDER_BYTES) {
    const [innermost = ''] = path.splice(-2, 1);
    folderBytes -= Buffer.byteLength(innermost) + 1;
    reason ??= 'path too long';
  }
  return { path: reason === null ? raw : path, reason };
}

/** Who has which name, where case and normalisation do not count. */
class Places {
  /** `<folder>/<folded name>` to the number of a folder, or to `null` for a file. The outermost folder is 0. */
  private readonly taken = new Map<string, number | null>();
  /** The number that the next file of a name gets, by folder and name: many files of one name stay cheap. */
  private readonly numbers = new Map<string, number>();
  private folders = 0;

  /** The number of a folder, which is made when it is new. Folders come before all files. */
  folder(path: readonly string[]): number {
    let folder = 0;
    for (const part of path) {
      const key = `${folder}/${fold(part)}`;
      folder = this.taken.get(key) ?? ++this.folders;
      this.taken.set(key, folder);
    }
    return folder;
  }

  /** Takes a name for a file, if it is free. */
  take(folder: number, name: string): boolean {
    const key = `${folder}/${fold(name)}`;
    if (this.taken.has(key)) return false;
    this.taken.set(key, null);
    return true;
  }

  /** Takes a name for a file, with a number before its extension when it is not free: `a.1.txt`. */
  claim(folder: number, name: string): [name: string, reason: RepairReason | null] {
    if (this.take(folder, name)) return [name, null];
    const holder = this.taken.get(`${folder}/${fold(name)}`);
    const { stem, extension } = splitName(name);
    const room = MAX_NAME_BYTES - Buffer.byteLength(extension) - '.1234567'.length;
    const start = cut(stem, room);
    const counted = `${folder}/${fold(start + extension)}`;
    let number = this.numbers.get(counted) ?? 1;
    while (!this.take(folder, `${start}.${number}${extension}`)) number += 1;
    this.numbers.set(counted, number + 1);
    const free = `${start}.${number}${extension}`;
    return [free, holder === null ? 'same name as another file' : 'same name as a folder'];
  }
}

/** A name as the file system that tells the fewest names apart sees it: by NFC, without case or ignorable characters. */
function fold(name: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  if (/^[\u0000-\u007f]*$/.test(name)) return name.toLowerCase();
  const letters = name.normalize('NFD').replace(/\p{Default_Ignorable_Code_Point}/gu, '');
  // In lower case first: the capital of `ß` is then `SS`, that of `ẞ` as well.
  return letters.toLowerCase().toUpperCase().toLowerCase().normalize('NFC');
}

/** Takes a short extension off, with its dot. A dot at the start begins no extension. */
function splitName(name: string): { stem: string; extension: string } {
  const extension = /(?<=.)\.[^.]{1,15}$/su.exec(name)?.[0] ?? '';
  return { stem: name.slice(0, name.length - extension.length), extension };
}

/** The longest start of a text, in whole characters, that is no longer than `maxBytes` in UTF-8. */
function cut(text: string, maxBytes: number): string {
  const bytes = Buffer.from(text, 'utf8');
  let end = Math.min(bytes.length, maxBytes);
  while (end < bytes.length && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.toString('utf8', 0, end);
}
