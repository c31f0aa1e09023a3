/**
 * What is wrong with a data directory, and the shortest ways out. Reads heads of blocks and a few records of each undo
 * file; nothing is written, no lock is taken, and a node may be running.
 */
import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { datadirPaths } from '../bridge/datadir.js';
import { sealedSegments, sealingDepth } from '../chain/segment.js';
import { BlockswarmError, type ErrorCode } from '../errors.js';
import { type Datadir, type Network, networkParams, scanDatadir, undoAge } from '../native.js';
import { displayHash } from '../units.js';
import type { SourceOptions } from './source.js';
import { undoOverlayPath } from './undo-overlay.js';

export interface DoctorOptions extends SourceOptions {
  readonly stateDir: string;
}

/** `problem`: something cannot be done; `remark`: worth knowing. */
export interface Finding {
  readonly severity: 'problem' | 'remark';
  /** What it is about: for programs. */
  readonly what: string;
  readonly text: string;
  /** What can be done, the shortest way first. */
  readonly remedies: readonly string[];
}

export interface Diagnosis {
  readonly network: string;
  readonly blocksDir: string;
  /** Null when the block files cannot be used at all. */
  readonly chain: {
    readonly height: number;
    readonly tipHash: string | null;
    readonly sealedSegments: number;
    readonly staleBlocks: number;
    readonly orphanBlocks: number;
  } | null;
  readonly files: {
    readonly blocks: number;
    readonly undo: number;
    readonly lengthBytes: number;
    readonly isXored: boolean | null;
  };
  readonly findings: readonly Finding[];
}

const AT_ONCE = 16;
/** Numbers, files and places named one by one. */
const SHOWN = 5;

const reindex = '`bitcoind -reindex` writes them anew; it takes a day or so';
const spentFiles =
  'fetch the spent files from the swarm (`blockswarm adopt`, `get`): whoever has them made them of the same chain';

/** @throws BlockswarmError ERR_NETWORK_UNKNOWN; what is wrong with the directory is a result */
export async function diagnose(options: DoctorOptions, signal: AbortSignal): Promise<Diagnosis> {
  const network = networkParams(options.network);
  const { blocksDir } = datadirPaths(options.datadir, network.name, options.blocks);
  const doctor = new Doctor(options, network, blocksDir, signal);
  return doctor.run();
}

interface BlockFiles {
  readonly blocks: readonly number[];
  readonly undo: ReadonlySet<number>;
}

class Doctor {
  readonly #options: DoctorOptions;
  readonly #network: Network;
  readonly #blocksDir: string;
  readonly #signal: AbortSignal;
  readonly #findings: Finding[] = [];

  constructor(options: DoctorOptions, network: Network, blocksDir: string, signal: AbortSignal) {
    this.#options = options;
    this.#network = network;
    this.#blocksDir = blocksDir;
    this.#signal = signal;
  }

  async run(): Promise<Diagnosis> {
    const files = await this.#files();
    const lengthBytes = files ? await this.#lookAtFiles(files) : 0;
    const datadir = files ? await this.#scan() : null;
    const counts = { blocks: files?.blocks.length ?? 0, undo: files?.undo.size ?? 0, lengthBytes };
    if (files && datadir) {
      this.#lookAtChain(datadir, files);
      await this.#lookAtUndo(datadir, files);
    }
    const order = (finding: Finding) => (finding.severity === 'problem' ? 0 : 1);
    return {
      network: this.#network.name,
      blocksDir: this.#blocksDir,
      chain: datadir && this.#chain(datadir),
      files: { ...counts, isXored: datadir && datadir.xorKey() !== null },
      findings: this.#findings.toSorted((a, b) => order(a) - order(b)),
    };
  }

  #chain(datadir: Datadir) {
    const tip = datadir.tip();
    const height = tip?.height ?? -1;
    const { stale, orphans } = datadir.strays();
    return {
      height,
      tipHash: tip && displayHash(tip.hash),
      sealedSegments: sealedSegments(height, this.#network.interval),
      staleBlocks: stale,
      orphanBlocks: orphans,
    };
  }

  #problem(what: string, text: string, ...remedies: string[]): void {
    this.#findings.push({ severity: 'problem', what, text, remedies });
  }

  #remark(what: string, text: string, ...remedies: string[]): void {
    this.#findings.push({ severity: 'remark', what, text, remedies });
  }

  /** The numbers of the files; null when the folder cannot be read or has none. */
  async #files(): Promise<BlockFiles | null> {
    const names = await readdir(this.#blocksDir).catch((error: NodeJS.ErrnoException) => error);
    if (!Array.isArray(names)) {
      const isMissing = names.code === 'ENOENT';
      const way = isMissing
        ? 'name the directory as `bitcoind -datadir` takes it, and the network (--network); --blocks names a folder elsewhere'
        : 'let this user read it: a common group, and `chmod -R g+rX`; nothing is ever written there';
      this.#problem(isMissing ? 'missing' : 'permissions', `${this.#blocksDir}: ${names.message}`, way);
      return null;
    }
    const numbers = (prefix: string) =>
      names.flatMap((name) => {
        const match = new RegExp(`^${prefix}(\\d{5,})\\.dat$`).exec(name);
        return match ? [Number(match[1])] : [];
      });
    const blocks = numbers('blk').sort((a, b) => a - b);
    if (blocks.length > 0) return { blocks, undo: new Set(numbers('rev')) };
    if (names.some((name) => name.endsWith('.fdb')) || names.includes('blocks_ffldb')) {
      this.#problem(
        'btcd',
        `${this.#blocksDir} holds btcd's block files, not Core's`,
        `\`blockswarm seed --btcd ${this.#blocksDir}\` serves the blocks files of the chain`,
      );
    } else {
      this.#problem('empty', `${this.#blocksDir} holds no blk*.dat`, 'name the data directory of a node');
    }
    return null;
  }

  /** Sizes, gaps in the numbers, and whether all can be read; returns the bytes of all files. */
  async #lookAtFiles({ blocks, undo }: BlockFiles): Promise<number> {
    let lengthBytes = 0;
    const unreadable: string[] = [];
    const paths = [
      ...blocks.map((number) => this.#path('blk', number)),
      ...[...undo].map((n) => this.#path('rev', n)),
    ];
    await atOnce(paths, async (path) => {
      const found = await stat(path).catch(() => null);
      lengthBytes += found?.size ?? 0;
      if (
        !(await access(path, constants.R_OK).then(
          () => true,
          () => false,
        ))
      )
        unreadable.push(path);
    });
    if (unreadable.length > 0) {
      this.#problem(
        'permissions',
        `${counted(unreadable.length, 'file')} cannot be read: ${some(unreadable.sort())}`,
        "let this user's group read them (`chmod g+r`), or run as the node's user; nothing is ever written there",
      );
    }
    const missing = gaps(blocks);
    const isPruned = (blocks[0] ?? 0) > 0;
    if (isPruned || missing.length > 0) {
      const first = missing.length > 0 ? missing : Array.from({ length: blocks[0] ?? 0 }, (_, n) => n);
      this.#problem(
        'pruned',
        `${isPruned ? 'blk00000.dat is missing' : `${missing.length} block files are missing`} (${some(first.map(String))}): ` +
          'pruned, or lost; a chain is read from genesis on',
        'a node without `-prune` has all blocks: `blockswarm bootstrap --datadir NEW` makes one from the swarm',
        '`seed --keep SIZE` beside a node that prunes keeps what it deletes',
      );
    }
    return lengthBytes;
  }

  async #scan(): Promise<Datadir | null> {
    try {
      return await scanDatadir(this.#blocksDir, this.#network.name, this.#signal);
    } catch (error) {
      if (!(error instanceof BlockswarmError) || this.#signal.aborted) throw error;
      const { what, remedies } = scanFailures[error.code] ?? { what: 'unreadable', remedies: [] };
      // Said of all such files already.
      if (this.#findings.some((finding) => finding.what === what)) return null;
      this.#problem(what, error.message, ...remedies);
      return null;
    }
  }

  #lookAtChain(datadir: Datadir, { blocks }: BlockFiles): void {
    const { height, sealedSegments: sealed, staleBlocks, orphanBlocks } = this.#chain(datadir);
    const warnings = datadir.warnings();
    if (warnings.length > 0) {
      this.#remark(
        'skipped-bytes',
        `${counted(warnings.length, 'place')} in the files without blocks, passed over: ${some(warnings)}`,
        'nothing, when the node is well: crashes leave such places behind',
      );
    }
    if (orphanBlocks > 0) {
      const text = `${orphanBlocks} blocks have no line to genesis: block files between are missing, or the node is still in its first download`;
      if (height < 0) this.#problem('orphans', text, 'let the node finish, or see the missing files above');
      else this.#remark('orphans', text, 'let the node finish');
    }
    if (staleBlocks > 0) {
      this.#remark(
        'stale',
        `${staleBlocks} blocks are not in the chain with the most work: stale branches, never served`,
      );
    }
    if (height >= 0 && sealed === 0) {
      const { interval } = this.#network;
      this.#remark(
        'not-sealed',
        `no segment is sealed: the first needs height ${interval + sealingDepth - 1}, the tip is at ${height} (${blocks.length} files)`,
        'let the node go on',
      );
    }
  }

  async #lookAtUndo(datadir: Datadir, { blocks, undo }: BlockFiles): Promise<void> {
    // Genesis spends nothing: a file that holds it alone has no undo file.
    const height = datadir.tip()?.height ?? -1;
    const missing = height > 0 ? blocks.filter((number) => !undo.has(number)) : [];
    if (missing.length > 0) {
      const files = missing.map((number) => this.#name('rev', number));
      this.#problem(
        'undo-missing',
        `${missing.length} of ${blocks.length} block files have no undo file (${some(files)}): their segments have no ` +
          'spent file, and no catalogue can be made; blocks files are seeded without',
        reindex,
        spentFiles,
      );
    }
    const old: number[] = [];
    const key = datadir.xorKey();
    const { name } = this.#network;
    await atOnce([...undo], async (number) => {
      const age = await undoAge(this.#path('rev', number), name, key, this.#signal).catch(
        (error: unknown) => {
          if (this.#signal.aborted) throw error;
          // Said with the permissions.
          return 'unknown';
        },
      );
      if (age === 'old') old.push(number);
    });
    if (old.length === 0) return;
    const files = old.sort((a, b) => a - b).map((number) => this.#name('rev', number));
    const { stateDir, datadir: path } = this.#options;
    const overlay = undoOverlayPath(stateDir, path);
    const text = `${counted(old.length, 'undo file')} written by Core before 0.15 (${some(files)}): coins in them lack their height`;
    if (overlay && datadir.useUndoOverlay(overlay)) {
      this.#remark('old-undo', `${text}. They were rewritten to ${overlay}, which is used in their place`);
      return;
    }
    this.#problem(
      'old-undo',
      `${text}, so that their segments have no spent file, and no catalogue can be made; blocks files are seeded without`,
      reindex,
      spentFiles,
      '`blockswarm seed --rewrite-undo` fills the heights in from the blocks, into the state folder (about as large as the undo files, and half of that again while it works)',
    );
  }

  #name(prefix: 'blk' | 'rev', number: number): string {
    return `${prefix}${String(number).padStart(5, '0')}.dat`;
  }

  #path(prefix: 'blk' | 'rev', number: number): string {
    return join(this.#blocksDir, this.#name(prefix, number));
  }
}

/** Failures of a scan as findings. */
const scanFailures: { readonly [code in ErrorCode]?: Pick<Finding, 'what' | 'remedies'> } = {
  ERR_NETWORK_MISMATCH: {
    what: 'network',
    remedies: ['name the network that the directory is of: --network'],
  },
  ERR_XOR_KEY: {
    what: 'xor',
    remedies: ["copy xor.dat from the node's blocks folder: without it the files cannot be read", reindex],
  },
  ERR_DATADIR_UNREADABLE: { what: 'permissions', remedies: ["let this user's group read it"] },
};

/** Numbers that are missing between the first and the last. */
function gaps(numbers: readonly number[]): number[] {
  const missing: number[] = [];
  numbers.forEach((number, at) => {
    const before = numbers[at - 1];
    for (let n = (before ?? number) + 1; n < number && missing.length < 100_000; n++) missing.push(n);
  });
  return missing;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}

/** The first few in words. */
function some(items: readonly string[]): string {
  const more = items.length > SHOWN ? ` and ${items.length - SHOWN} more` : '';
  return `${items.slice(0, SHOWN).join(', ')}${more}`;
}

async function atOnce<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
