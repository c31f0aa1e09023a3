/**
 * The whole path on embedded data: real mainnet blocks become a Core data directory, one process seeds it,
 * another finds it over the DHT and bootstraps a second directory. Everything on loopback.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { datadirPaths } from '../bridge/datadir.js';
import { EngineProcess, type EngineTip } from '../bridge/engine/parent.js';
import { segmentHeights } from '../chain/segment.js';
import { privacyOf } from '../connector/privacy.js';
import { formatPeerAddress } from '../connector.js';
import { BlockswarmError, isErrorCode } from '../errors.js';
import { lockFile, networkParams } from '../native.js';
import { displayHash } from '../units.js';
import type { BootstrapResult } from './bootstrap.js';
import { PeakMemory } from './peak-memory.js';
import { PeerNode } from './peer-node.js';
import type { Report } from './report.js';
import { Source } from './source.js';

/** Mainnet blocks 0 to 14,131: records `magic | size | block` in height order. */
const samplePath = fileURLToPath(new URL('../../src/node/sample/mainnet-0-14131.dat', import.meta.url));

/** Work of 12,096 headers at difficulty 1 (0x100010001 each): all that the sample's sealed segments have. */
export const sampleChainWork = '2f402f402f40';

/** A child that neither speaks nor ends is given up. */
const patienceMs = 120_000;

export interface DemoOptions {
  /** Where both data directories are made, and left to be looked at; those of the last demo go away. */
  readonly folder: string;
  readonly execPath: string;
  /** This process: the root of those whose memory is measured. */
  readonly pid: number;
  /** The file of the command line program. */
  readonly programPath: string;
  readonly enginePath: string;
}

export interface DemoResult {
  readonly source: {
    datadir: string;
    height: number;
    tipHash: string;
    sealedHeight: number;
    sealedHash: string;
  };
  readonly result: BootstrapResult;
  /** Core's engine opens the result, and its tip is the source's block at the sealed height. */
  readonly opensAtSealedHash: boolean;
  /** Blocks above the sealed height: not in torrents, they come over Bitcoin's own P2P network. */
  readonly newerBlocks: number;
  readonly catalogueInfoHashV1: string;
  readonly seconds: number;
  /** Largest sum of the proportional set sizes of all processes; null where the system does not tell. */
  readonly peakMemoryBytes: number | null;
}

export async function demo(options: DemoOptions, signal: AbortSignal, report: Report): Promise<DemoResult> {
  const startedMs = performance.now();
  const { folder } = options;
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const lock = lockFile(join(folder, 'lock'));
  const from = join(folder, 'source');
  const to = join(folder, 'bootstrapped');
  const stateDir = join(folder, 'state');
  for (const old of [from, to, stateDir]) rmSync(old, { recursive: true, force: true });
  const memory = new PeakMemory(options.pid);
  const closers: (() => Promise<unknown> | undefined)[] = [];
  try {
    const network = networkParams('mainnet');
    const tip = await importSample(from, options.enginePath, signal);
    report.event(
      { event: 'source', datadir: from, height: tip.height },
      `source: Core's engine took blocks 0 to ${tip.height} of mainnet into ${from}`,
    );

    // The DHT's first node: both processes know only this address.
    const first = new PeerNode({
      addressLists: null,
      privacy: privacyOf({ listen: '127.0.0.1:0' }, randomBytes),
      peers: [],
      dht: [],
    });
    closers.push(() => first.close());
    const common = {
      listen: '127.0.0.1:0',
      'dht-bootstrap': formatPeerAddress(first.address),
      'state-dir': stateDir,
    };
    const seed = new Program(options, ['seed', '--json', ...flags({ ...common, datadir: from })], report);
    closers.push(() => seed.stop());
    const ready = await seed.line(signal);
    const catalogue = String(ready['catalogueInfoHashV1']);
    report.event(
      { ...ready, event: 'seeding' },
      `seeding: ${ready['torrents']} torrents, catalogue ${catalogue}`,
    );

    const wanted = { ...common, datadir: to, catalogue, 'min-chain-work': sampleChainWork };
    const fetch = new Program(options, ['bootstrap', '--json', ...flags(wanted)], report);
    closers.push(() => fetch.stop());
    const result = (await fetch.line(signal)) as unknown as BootstrapResult;
    await fetch.ended(signal);

    const opened = await openedTip(to, options.enginePath, signal);
    const source = await Source.open({ datadir: from, network: network.name }, signal);
    const sealedHeight = segmentHeights(source.sealed, network.interval).firstHeight - 1;
    const sealedHash = displayHash(source.datadir.hashAt(sealedHeight) ?? new Uint8Array());
    return {
      source: { datadir: from, height: tip.height, tipHash: displayHash(tip.hash), sealedHeight, sealedHash },
      result,
      opensAtSealedHash: opened.height === sealedHeight && displayHash(opened.hash) === sealedHash,
      newerBlocks: tip.height - sealedHeight,
      catalogueInfoHashV1: catalogue,
      seconds: (performance.now() - startedMs) / 1000,
      peakMemoryBytes: memory.peakBytes,
    };
  } finally {
    for (const close of closers.reverse()) await close();
    memory.stop();
    lock.release();
  }
}

/** Builds a data directory of the sample with Core's engine. */
export async function importSample(
  datadir: string,
  enginePath: string,
  signal: AbortSignal,
): Promise<EngineTip> {
  const { netDir, blocksDir } = datadirPaths(datadir, 'mainnet');
  mkdirSync(blocksDir, { recursive: true });
  const engine = await EngineProcess.start({
    datadirNet: netDir,
    network: 'mainnet',
    childPath: enginePath,
    workerThreads: 1,
    signal,
  });
  try {
    const lengthBytes = statSync(samplePath).size;
    const { tip, rejected } = await engine.feed(
      { path: samplePath, offsetBytes: 0, lengthBytes },
      { signal },
    );
    if (rejected)
      throw new BlockswarmError('ERR_BLOCK_INVALID', `the embedded sample is damaged: ${rejected.reason}`);
    return tip;
  } finally {
    await engine.close();
  }
}

/** The tip at which Core's engine opens a data directory. */
async function openedTip(datadir: string, childPath: string, signal: AbortSignal): Promise<EngineTip> {
  const { netDir } = datadirPaths(datadir, 'mainnet');
  const engine = await EngineProcess.start({ datadirNet: netDir, network: 'mainnet', childPath, signal });
  try {
    return engine.tip;
  } finally {
    await engine.close();
  }
}

/** `--name value` of each. */
function flags(values: Readonly<Record<string, string>>): string[] {
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, value]);
}

/** One more process of this program, speaking JSON lines. */
class Program {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #lines: AsyncIterator<string>;
  readonly #exit: Promise<number | null>;
  #errors = '';

  constructor({ execPath, programPath }: DemoOptions, args: readonly string[], report: Report) {
    this.#child = spawn(execPath, [programPath, ...args], {
      // Nothing is said over the channel: its end tells the child that we are gone, also when we were killed.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    }) as ChildProcessByStdio<null, Readable, Readable>;
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
    createInterface({ input: this.#child.stderr }).on('line', (line) => {
      this.#errors = `${this.#errors}${line}\n`.slice(-4096);
      const warning = /^warning: (.*)/.exec(line);
      if (warning) report.warn(`${args[0]}: ${warning[1]}`);
    });
    this.#exit = new Promise((resolve) => {
      this.#child.on('close', resolve);
      this.#child.on('error', () => resolve(null));
    });
  }

  /** The next object that it prints. */
  async line(signal: AbortSignal): Promise<Record<string, unknown>> {
    const { value, done } = await within(this.#lines.next(), signal);
    if (done) throw new BlockswarmError('ERR_NATIVE', `a part of the demo failed:\n${this.#errors}`);
    const object = JSON.parse(value) as Record<string, unknown>;
    const { error } = object as { error?: { code: string; message: string } };
    if (!error) return object;
    const code = isErrorCode(error.code) ? error.code : 'ERR_NATIVE';
    throw new BlockswarmError(code, `a part of the demo failed: ${error.message}`);
  }

  async ended(signal: AbortSignal): Promise<void> {
    if ((await within(this.#exit, signal)) !== 0)
      throw new BlockswarmError('ERR_NATIVE', `a part of the demo failed:\n${this.#errors}`);
  }

  /** Asks it to end, and makes it when it does not. */
  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 10_000);
    await this.#exit;
    clearTimeout(timer);
  }
}

async function within<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const bound = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
  bound.throwIfAborted();
  let aborted = () => {};
  try {
    return await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        const silent = new BlockswarmError(
          'ERR_TIMEOUT',
          `a part of the demo said nothing for ${patienceMs / 1000} s`,
        );
        aborted = () => reject(signal.aborted ? signal.reason : silent);
        bound.addEventListener('abort', aborted, { once: true });
      }),
    ]);
  } finally {
    bound.removeEventListener('abort', aborted);
  }
}
