/**
 * Where a web seed keeps a torrent's files (BEP 19). A URL that ends in a slash is a folder, which holds the torrent by its
 * name; another is the only file itself. A torrent of several files always lies in a folder.
 */
import type { Metainfo } from './metainfo.js';

/** Paths behind a web seed's URL, escaped. */
export interface WebSeedPaths {
  readonly multiFile: boolean;
  /** In the order of the files, padding included: `''` for padding, which is asked of nobody. */
  readonly paths: readonly string[];
}

export function webSeedPaths(metainfo: Pick<Metainfo, 'rawName' | 'files' | 'multiFile'>): WebSeedPaths {
  const { rawName, files, multiFile } = metainfo;
  const paths = files.map(({ padding, rawPath }) =>
    padding ? '' : (multiFile ? [rawName, ...rawPath] : [rawName]).map(escapePart).join('/'),
  );
  return { multiFile, paths };
}

/** The URL that paths are put behind, and the paths; none where the URL is the file itself. */
export function webSeedPlace(
  url: string,
  { multiFile, paths }: WebSeedPaths,
): { url: string; paths: readonly string[] } {
  if (url.endsWith('/')) return { url, paths };
  return multiFile ? { url: `${url}/`, paths } : { url, paths: [] };
}

/** A name may hold half of a surrogate pair, which no URL can. */
function escapePart(name: string): string {
  return encodeURIComponent(name.replace(/\p{Surrogate}/gu, '\uFFFD'));
}
