/**
 * Data directories as Core lays them out, and the ones that we make. Paths and the right to write; what is in
 * the files is read natively.
 *
 * A directory that we are making carries a marker inside its scratch folder from before its first block until it
 * is finished. Nothing is ever written into a directory that is neither empty nor marked.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BlockswarmError } from '../errors.js';

/** Folder below `-datadir` for each network (Core's `chainparamsbase.cpp`); a custom signet shares signet's. */
const networkFolders: { readonly [network: string]: string } = {
  mainnet: '',
  testnet3: 'testnet3',
  testnet4: 'testnet4',
  signet: 'signet',
  regtest: 'regtest',
};

/** Where things lie for one network. */
export interface DatadirPaths {
  /** What `bitcoind -datadir` takes. */
  readonly datadir: string;
  /** The network's folder, which holds `chainstate/`. */
  readonly netDir: string;
  /** The folder of `blk*.dat`, `rev*.dat` and `xor.dat`. */
  readonly blocksDir: string;
}

/**
 * The paths of a data directory; `blocks` overrides where the block files are.
 *
 * @throws BlockswarmError `ERR_NETWORK_UNKNOWN`
 */
export function datadirPaths(datadir: string, network: string, blocks?: string): DatadirPaths {
  const name = /^signet-[0-9a-f]{8}$/.test(network) ? 'signet' : network;
  const folder = Object.hasOwn(networkFolders, name) ? networkFolders[name] : undefined;
  if (folder === undefined)
    throw new BlockswarmError('ERR_NETWORK_UNKNOWN', `unknown network \`${network}\``);
  const netDir = folder === '' ? datadir : join(datadir, folder);
  return { datadir, netDir, blocksDir: blocks ?? join(netDir, 'blocks') };
}

const scratchName = 'blockswarm-scratch';
const markerName = 'blockswarm.json';
// Longer than any marker of ours.
const maxMarkerLength = 4096;

/** The scratch folder of a data directory that we are making. It holds the marker, also when pieces go elsewhere. */
export function scratchDir(datadir: string): string {
  return join(datadir, scratchName);
}

/**
 * Takes a directory to make a node's data in: one that is absent or empty becomes ours (`new`), one that we began
 * before goes on (`resumed`).
 *
 * @throws BlockswarmError `ERR_DATADIR_FOREIGN`, `ERR_NETWORK_MISMATCH`, `ERR_NETWORK_UNKNOWN`, `ERR_IO`,
 *   `ERR_DISK_FULL`
 */
export async function claimDatadir(datadir: string, network: string): Promise<'new' | 'resumed'> {
  datadirPaths(datadir, network);
  const marker = join(scratchDir(datadir), markerName);
  try {
    const begun = await readMarker(marker);
    if (begun === network) return 'resumed';
    if (begun) {
      const text = `\`${datadir}\` was begun for ${begun}, not for ${network}`;
      throw new BlockswarmError('ERR_NETWORK_MISMATCH', text);
    }
    if (begun === '' || !(await isFree(datadir))) {
      const text = `\`${datadir}\` is not empty, and no bootstrap of ours is under way in it; give a new or empty folder`;
      throw new BlockswarmError('ERR_DATADIR_FOREIGN', text);
    }
    await mkdir(scratchDir(datadir), { recursive: true });
    await writeMarker(marker, network);
    return 'new';
  } catch (error) {
    throw asOurs(error, datadir);
  }
}

/**
 * Ends the making: removes the scratch folder and the marker with it. From then on the directory is a node's.
 *
 * @throws BlockswarmError `ERR_IO`
 */
export async function releaseDatadir(datadir: string): Promise<void> {
  const scratch = scratchDir(datadir);
  try {
    // The marker goes last: a directory that is half cleaned is still ours.
    for (const name of await namesIn(scratch)) {
      if (name !== markerName) await rm(join(scratch, name), { recursive: true, force: true });
    }
    await rm(scratch, { recursive: true, force: true });
  } catch (error) {
    throw asOurs(error, datadir);
  }
}

/** Absent, empty, or no further than a claim that ended before its marker was in place. */
async function isFree(datadir: string): Promise<boolean> {
  const names = await namesIn(datadir);
  if (names.some((name) => name !== scratchName)) return false;
  const scratch = names.length === 0 ? [] : await namesIn(scratchDir(datadir));
  return scratch.every((name) => name === `${markerName}.new`);
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The network that the marker names, `''` when it is not one of ours, `null` when there is none. */
async function readMarker(path: string): Promise<string | null> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw error;
  }
  if (text.length > maxMarkerLength) return '';
  try {
    const marker: unknown = JSON.parse(text);
    if (typeof marker !== 'object' || marker === null || !('schema' in marker) || marker.schema !== 1)
      return '';
    return 'making' in marker && typeof marker.making === 'string' ? marker.making : '';
  } catch {
    return '';
  }
}

/** In place as a whole or not at all, also when the machine stops. */
async function writeMarker(path: string, network: string): Promise<void> {
  const file = await open(`${path}.new`, 'w');
  try {
    await file.writeFile(`${JSON.stringify({ schema: 1, making: network })}\n`);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error ? String(error.code) : null;
}

function asOurs(error: unknown, datadir: string): unknown {
  if (error instanceof BlockswarmError) return error;
  const code = codeOf(error);
  if (code === 'ENOTDIR') {
    return new BlockswarmError('ERR_DATADIR_FOREIGN', `\`${datadir}\` is not a folder`, { cause: error });
  }
  const text = `cannot make a data directory in \`${datadir}\`: ${error instanceof Error ? error.message : error}`;
  return new BlockswarmError(code === 'ENOSPC' ? 'ERR_DISK_FULL' : 'ERR_IO', text, { cause: error });
}
