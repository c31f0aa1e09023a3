/**
 * Core's engine as seen from outside: a child process (`child.ts`) that holds one data directory open and takes
 * blocks in order. It is a process of its own because Core's asserts end theirs.
 *
 * A child that dies (assert, kill -9, out of memory) shows as `ERR_ENGINE` on everything asked of it and as
 * `exited`. What it had flushed is good, what came after the last checkpoint must be fed again; whether to start
 * another is the caller's decision. Many callers may ask at once; the child works on one thing at a time.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { BlockswarmError, isErrorCode } from '../../errors.js';
import { toHex } from '../../units.js';
import { bytesOf, type EngineReply, type EngineRequest, parseReply, type TipMessage } from './protocol.js';

export interface EngineOptions {
  /** The network's folder, which holds (or will hold) `blocks/` and `chainstate/`. */
  readonly datadirNet: string;
  readonly network: string;
  /** The compiled program `child.js`. */
  readonly childPath: string;
  /** Threads that check scripts beside the one that feeds, 0 to 15. */
  readonly workerThreads?: number;
  /** Arguments for the child's Node; those of this process when left out. */
  readonly execArgv?: readonly string[];
  /** Aborting kills the child; nothing is lost by that while it opens. */
  readonly signal?: AbortSignal;
}

/** Where the engine's chain ends. */
export interface EngineTip {
  readonly height: number;
  /** 32 bytes, internal order. */
  readonly hash: Uint8Array;
  /**
   * When not `null`, Core may skip the scripts of blocks up to this height: report what is fed below it as
   * assumed valid. `null`: every script of what is fed now is checked.
   */
  readonly assumedValidHeight: number | null;
}

/** Block records in a file: `[offsetBytes, offsetBytes + lengthBytes)`; a last one that it cuts is left. */
export interface FeedRange {
  readonly path: string;
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  /** The 8 bytes of Core's `blocks/xor.dat`; none for a plain file. */
  readonly xorKey?: Uint8Array | null;
}

export interface Fed {
  /** Blocks taken, known ones included, and the bytes of their records: where the next range begins. */
  readonly blocks: number;
  readonly bytes: number;
  readonly tip: EngineTip;
  /** The block at which feeding stopped because Core refused it. */
  readonly rejected: {
    /** 32 bytes, internal order; `null` when the bytes are no block at all. */
    readonly hash: Uint8Array | null;
    readonly offsetBytes: number;
    /** Core's kind: `consensus`, `mutated`, `missing-prev`, … */
    readonly kind: string;
    /** Core's reason, for example `bad-txnmrklroot, hashMerkleRoot mismatch`. */
    readonly reason: string;
  } | null;
}

export interface EngineExit {
  readonly code: number | null;
  readonly signal: string | null;
}

type Signal = { readonly signal?: AbortSignal | undefined };
type Asked<K extends EngineRequest['kind']> = Omit<Extract<EngineRequest, { kind: K }>, 'id'>;
type Answer<K extends EngineReply['kind']> = Extract<EngineReply, { kind: K }>;

interface Waiting {
  readonly kind: EngineReply['kind'];
  readonly resolve: (reply: EngineReply) => void;
  readonly reject: (error: unknown) => void;
}

// The second lets the child go on without waiting for us; more would only delay a stop.
const feedsInFlight = 2;
// Core says at most a few lines before it aborts.
const stderrTailBytes = 4096;

export class EngineProcess {
  /** Settles when the child is gone, however that came. Never rejects. */
  readonly exited: Promise<EngineExit>;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #feedQueue: (() => void)[] = [];
  #feeds = 0;
  #nextId = 1;
  #stderr = '';
  #failure: BlockswarmError | null = null;
  #closing = false;
  #tip: EngineTip | null = null;

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrTailBytes);
    });
    child.on('message', (message: unknown) => this.#receive(message));
    this.exited = new Promise((resolve) => {
      // 'close' comes after 'exit' and after the last of stderr; a child that never started has 'error' only.
      child.once('close', (code, signal) => {
        this.#fail(this.#ended(signal ?? `exit code ${code}`));
        resolve({ code, signal });
      });
      child.on('error', (error) => {
        this.#fail(this.#ended(error.message, error));
        if (child.pid === undefined) resolve({ code: null, signal: null });
      });
    });
  }

  /**
   * Starts a child and opens the data directory in it, locked as a node locks it. Blocks that are stored but
   * not connected are connected now, which can take minutes.
   *
   * @throws BlockswarmError `ERR_DATADIR_LOCKED`, `ERR_ENGINE`, `ERR_NETWORK_UNKNOWN`, `ERR_DISK_FULL`, `ERR_IO`
   */
  static async start(options: EngineOptions): Promise<EngineProcess> {
    const { signal, execArgv } = options;
    signal?.throwIfAborted();
    const child = fork(options.childPath, [], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      serialization: 'json',
      ...(execArgv ? { execArgv: [...execArgv] } : {}),
    });
    const engine = new EngineProcess(child);
    try {
      const { datadirNet, network, workerThreads = 0 } = options;
      const open = { kind: 'open', datadirNet, network, workerThreads } as const;
      const reply = await engine.#ask(open, 'tip', { signal });
      engine.#tip = tipOf(reply.tip);
      return engine;
    } catch (error) {
      child.kill('SIGKILL');
      await engine.exited;
      throw error;
    }
  }

  /** Why nothing more can be asked of it: the child is gone. Null while it lives. */
  get failure(): BlockswarmError | null {
    return this.#failure;
  }

  /** The tip as of the last answer. */
  get tip(): EngineTip {
    if (!this.#tip) throw new BlockswarmError('ERR_ENGINE', "Core's engine is not open");
    return this.#tip;
  }

  /** The child's process id, for reports. */
  get pid(): number | undefined {
    return this.#child.pid;
  }

  /**
   * Hands a range of block records over, in order, and stops at the first block that Core refuses (a result).
   * At most two are on their way; further calls wait their turn. Aborting ends it after the block it is at:
   * what was taken until then stays taken, and the next answer's tip tells.
   *
   * @throws BlockswarmError `ERR_IO` for a range that cannot be read; `ERR_ENGINE`, `ERR_DISK_FULL`: only `close` helps
   */
  async feed(range: FeedRange, { signal }: Signal = {}): Promise<Fed> {
    await this.#takeTurn(signal);
    const { path, offsetBytes, lengthBytes, xorKey } = range;
    const key = xorKey ? toHex(xorKey) : null;
    const asked = { kind: 'feed', path, offsetBytes, lengthBytes, xorKey: key } as const;
    // The turn is given on when the child has answered, also after an abort.
    const reply = await this.#ask(asked, 'fed', { signal }, () => this.#giveTurn());
    const { blocks, bytes, tip, rejected } = reply;
    this.#tip = tipOf(tip);
    return {
      blocks,
      bytes,
      tip: this.#tip,
      rejected: rejected && { ...rejected, hash: rejected.hash === null ? null : bytesOf(rejected.hash) },
    };
  }

  /** Whether a block (hash in internal order) was handed over at some time, in this run or an earlier one. */
  async knows(hash: Uint8Array, { signal }: Signal = {}): Promise<boolean> {
    return (await this.#ask({ kind: 'knows', hash: toHex(hash) }, 'known', { signal })).known;
  }

  /** Flushes everything to disk: after it, what was fed survives any end. Done after the feeds asked before. */
  async checkpoint({ signal }: Signal = {}): Promise<EngineTip> {
    const reply = await this.#ask({ kind: 'checkpoint' }, 'tip', { signal });
    this.#tip = tipOf(reply.tip);
    return this.#tip;
  }

  /**
   * Flushes, frees the locks, and waits for the child to be gone; again is fine, also after a child's death.
   * Aborting kills the child: what came after the last checkpoint is lost then.
   *
   * @throws BlockswarmError `ERR_ENGINE`, `ERR_DISK_FULL` when the flush failed
   */
  async close({ signal }: Signal = {}): Promise<void> {
    if (!this.#closing && !this.#failure) {
      this.#closing = true;
      const kill = () => this.#child.kill('SIGKILL');
      try {
        await this.#ask({ kind: 'close' }, 'closed', { signal });
      } catch (error) {
        kill();
        await this.exited;
        throw error;
      }
    }
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #ask<K extends EngineRequest['kind'], R extends EngineReply['kind']>(
    asked: Asked<K> & { kind: K },
    kind: R,
    { signal }: Signal,
    answered: () => void = () => {},
  ): Promise<Answer<R>> {
    if (signal?.aborted || this.#failure) {
      answered();
      return Promise.reject(this.#failure ?? signal?.reason);
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const aborted = () => {
        if (asked.kind === 'feed') this.#send({ kind: 'stop', id });
        reject(signal?.reason);
      };
      const settled = () => {
        signal?.removeEventListener('abort', aborted);
        answered();
      };
      this.#waiting.set(id, {
        kind,
        resolve: (reply) => {
          settled();
          resolve(reply as Answer<R>);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      signal?.addEventListener('abort', aborted, { once: true });
      this.#send({ ...asked, id } as unknown as EngineRequest);
    });
  }

  #send(request: EngineRequest): void {
    // A channel that is closed belongs to a child that ends: its end answers everything.
    if (this.#child.connected) this.#child.send(request, () => {});
  }

  #receive(message: unknown): void {
    const reply = parseReply(message);
    const waiting = reply && this.#waiting.get(reply.id);
    if (!reply || !waiting || (reply.kind !== waiting.kind && reply.kind !== 'error')) {
      this.#fail(new BlockswarmError('ERR_ENGINE', "Core's engine process sent a malformed message"));
      this.#child.kill('SIGKILL');
      return;
    }
    this.#waiting.delete(reply.id);
    if (reply.kind !== 'error') waiting.resolve(reply);
    else {
      const code = isErrorCode(reply.code) ? reply.code : 'ERR_ENGINE';
      waiting.reject(new BlockswarmError(code, reply.message));
    }
  }

  #ended(how: string, cause?: unknown): BlockswarmError {
    const said = this.#stderr.trim();
    const text = `Core's engine process ended (${how})${said ? `: ${said}` : ''}`;
    return new BlockswarmError('ERR_ENGINE', text, { cause });
  }

  #fail(error: BlockswarmError): void {
    this.#failure ??= error;
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { reject } of waiting) reject(this.#failure);
  }

  async #takeTurn(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    if (this.#feeds < feedsInFlight) {
      this.#feeds++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const turn = () => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = () => {
        this.#feedQueue.splice(this.#feedQueue.indexOf(turn), 1);
        reject(signal?.reason);
      };
      this.#feedQueue.push(turn);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  #giveTurn(): void {
    const next = this.#feedQueue.shift();
    if (next) next();
    else this.#feeds--;
  }
}

function tipOf({ height, hash, assumedValidHeight }: TipMessage): EngineTip {
  return { height, hash: bytesOf(hash), assumedValidHeight };
}
