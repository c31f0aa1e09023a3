import * as bindings from '../../bindings/index.js';
import { BlockswarmError } from '../errors.js';
import { call, task } from './task.js';

export type EngineTip = Readonly<bindings.EngineTip>;

export type EngineFed = Readonly<bindings.EngineFed>;

/** Core's chain state manager. Its asserts end the process: see `src/bridge/engine`. */
export class Engine {
  readonly #inner: bindings.Engine;

  private constructor(inner: bindings.Engine) {
    this.#inner = inner;
  }

  /**
   * Opens the folder with `blocks/` and `chainstate/`, locked as a node locks it.
   * @throws BlockswarmError ERR_DATADIR_LOCKED, ERR_ENGINE, ERR_NETWORK_UNKNOWN, ERR_DISK_FULL, ERR_IO
   */
  static async open(
    datadirNet: string,
    network: string,
    workerThreads: number,
    signetChallenge: Uint8Array | null = null,
  ): Promise<Engine> {
    // The cargo feature `engine` may be off, whatever the committed types say.
    if (!('Engine' in bindings)) throw new BlockswarmError('ERR_ENGINE', 'this build has no engine');
    return new Engine(
      await task(() => bindings.Engine.open(datadirNet, network, workerThreads, signetChallenge)),
    );
  }

  tip(): EngineTip {
    return call(() => this.#inner.tip());
  }

  /** Whether the block (32 bytes, internal order) was handed over before. */
  knows(hash: Uint8Array): boolean {
    return call(() => this.#inner.knows(hash));
  }

  /** Hands over the whole records in `[offsetBytes, offsetBytes + lengthBytes)` of a file, in order. */
  feed(
    path: string,
    offsetBytes: number,
    lengthBytes: number,
    xorKey: Uint8Array | null = null,
  ): Promise<EngineFed> {
    return task(() => this.#inner.feed(path, offsetBytes, lengthBytes, xorKey));
  }

  /** Ends a running feed after the block it is at. */
  stop(): void {
    this.#inner.stop();
  }

  /** Flushes and frees the locks. */
  async close(): Promise<void> {
    await task(() => this.#inner.close());
  }
}
