/**
 * What the node itself says, as hints: that there may be a new block in its files, and whether it is still catching up.
 * What is sealed and served is decided by the files alone.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type AskHttp,
  CoreRest,
  CoreRpc,
  type NoAnswer,
  type NodeView,
  type RpcLogin,
} from '../bridge/core-rpc.js';
import { datadirPaths } from '../bridge/datadir.js';
import { ZmtpSubscriber } from '../bridge/zmtp-subscriber.js';
import { parseHostPort } from '../connector.js';
import { usage } from '../errors.js';
import type { Report } from './report.js';

/** How the node is asked, as a job's options say it. */
export interface NodeHintsChoice {
  /** `host:port` of its RPC. */
  readonly rpc?: string;
  /** Default: `.cookie` in the network's folder of the data directory. */
  readonly rpcCookie?: string;
  readonly rpcUser?: string;
  /** The password that stands in the file. */
  readonly rpcPasswordFile?: string;
  /** `host:port` of its REST interface. */
  readonly rest?: string;
  /** `host:port` where it publishes `hashblock`, also as ZeroMQ writes it: `tcp://host:port`. */
  readonly zmq?: string;
}

export interface NodeHintsOptions {
  readonly sources: readonly HintSource[];
  /** There may be a new block. */
  readonly heard: () => void;
  readonly report: Pick<Report, 'warn'>;
  /** After no answer; default 5000. */
  readonly againMs?: number;
  /** Milliseconds that never go back. */
  readonly clock?: () => number;
}

export type HintSource = AskedSource | TellingSource;

/** Somebody to ask. */
export interface AskedSource {
  /** For a person. */
  readonly name: string;
  view(signal: AbortSignal): Promise<NodeView | NoAnswer>;
  /** Resolves when the tip changes, or after a time; absent: it is asked again and again. */
  waitForBlock?(forMs: number, signal: AbortSignal): Promise<{ tipHash: string } | NoAnswer>;
}

/** Somebody who tells unasked. */
export interface TellingSource {
  /** For a person. */
  readonly name: string;
  /** Calls `heard` once it is sure to be told of the next block, and at each; resolves when that ends. */
  listen(heard: () => void, signal: AbortSignal): Promise<NoAnswer>;
}

/** Between two questions, however quickly blocks come. */
const PACE_MS = 250;
const POLL_MS = 1000;
const WAIT_MS = 10_000;
const AGAIN_MS = 5000;

export class NodeHints {
  readonly #options: NodeHintsOptions;
  readonly #againMs: number;
  readonly #clock: () => number;
  readonly #views = new Map<AskedSource, NodeView | null>();

  constructor(options: NodeHintsOptions) {
    this.#options = options;
    this.#againMs = options.againMs ?? AGAIN_MS;
    this.#clock = options.clock ?? (() => performance.now());
  }

  /** Whether the node is in its initial block download; null while it has not said. */
  get isInitialBlockDownload(): boolean | null {
    for (const view of this.#views.values()) if (view) return view.isInitialBlockDownload;
    return null;
  }

  /** Asks and listens until the signal fires. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const run = (source: HintSource) =>
      'listen' in source ? this.#listen(source, signal) : this.#ask(source, signal);
    await Promise.all(this.#options.sources.map((source) => run(source).catch(() => {})));
  }

  async #listen(source: TellingSource, signal: AbortSignal): Promise<void> {
    let said: string | null = null;
    while (!signal.aborted) {
      let heardMs: number | null = null;
      const { failure } = await source.listen(() => {
        heardMs ??= this.#clock();
        this.#options.heard();
      }, signal);
      if (signal.aborted) return;
      // What held is no fault: a node that starts again is back by the next try.
      if (heardMs !== null && this.#clock() - heardMs >= this.#againMs) said = null;
      else said = this.#warn(source, failure, said);
      await delay(this.#againMs, undefined, { signal });
    }
  }

  async #ask(source: AskedSource, signal: AbortSignal): Promise<void> {
    let said: string | null = null;
    let waits = source.waitForBlock !== undefined;
    while (!signal.aborted) {
      const view = await source.view(signal);
      if ('failure' in view) {
        this.#views.set(source, null);
        said = this.#warn(source, view.failure, said);
        await delay(this.#againMs, undefined, { signal });
        continue;
      }
      said = null;
      const before = this.#views.get(source)?.tipHash;
      this.#views.set(source, view);
      if (view.tipHash !== before) this.#options.heard();
      if (!waits || !source.waitForBlock) {
        await delay(POLL_MS, undefined, { signal });
        continue;
      }
      const next = await source.waitForBlock(WAIT_MS, signal);
      // A node may keep this call to itself (`-rpcwhitelist`).
      if ('failure' in next && next.isRefused) waits = false;
      else if ('tipHash' in next && next.tipHash !== view.tipHash) this.#options.heard();
      await delay(PACE_MS, undefined, { signal });
    }
  }

  /** Tells why there are no hints, but not twice in a row. */
  #warn({ name }: HintSource, failure: string, said: string | null): string {
    if (said !== failure) this.#options.report.warn(`no hints from ${name}: ${failure}`);
    return failure;
  }
}

/**
 * Whom to ask; the sources are made once there is somebody to ask through.
 * @throws BlockswarmError ERR_USAGE, ERR_NETWORK_UNKNOWN
 */
export function hintSources(
  choice: NodeHintsChoice & { readonly datadir: string; readonly network: string; readonly privacy?: string },
): (ask: AskHttp) => HintSource[] {
  const { rpc, rpcCookie, rpcUser, rpcPasswordFile: rpcPassword, rest, privacy = 'open' } = choice;
  const zmq = choice.zmq?.replace(/^tcp:\/\//, '');
  if (rpc === undefined && [rpcCookie, rpcUser, rpcPassword].some((value) => value !== undefined))
    throw usage('--rpc-cookie, --rpc-user and --rpc-password-file belong to --rpc HOST:PORT');
  if ((rpcUser === undefined) !== (rpcPassword === undefined))
    throw usage('--rpc-user and --rpc-password-file belong together');
  if (rpcUser !== undefined && rpcCookie !== undefined)
    throw usage('--rpc-cookie and --rpc-user exclude each other');
  for (const [option, address] of Object.entries({ '--rpc': rpc, '--rest': rest, '--zmq': zmq })) {
    if (address === undefined) continue;
    if (privacy !== 'open')
      throw usage(`${option} is not for --privacy ${privacy}: the node is on this side of the proxy`);
    if (!isAddress(address)) throw usage(`${option} expected host:port and nothing else`);
  }
  const { netDir } = datadirPaths(choice.datadir, choice.network);
  const login: RpcLogin =
    rpcUser !== undefined
      ? { user: rpcUser, password: rpcPassword ?? '' }
      : { cookiePath: rpcCookie ?? join(netDir, '.cookie') };
  return (ask) => [
    ...(rpc === undefined ? [] : [rpcSource(new CoreRpc(ask, rpc, login), rpc)]),
    ...(rest === undefined ? [] : [restSource(new CoreRest(ask, rest), rest)]),
    ...(zmq === undefined ? [] : [zmqSource(zmq)]),
  ];
}

function rpcSource(core: CoreRpc, address: string): AskedSource {
  return {
    name: `the node's RPC at ${address}`,
    view: (signal) => core.view(signal),
    waitForBlock: (forMs, signal) => core.waitForBlock(forMs, signal),
  };
}

function restSource(core: CoreRest, address: string): AskedSource {
  return { name: `the node's REST interface at ${address}`, view: (signal) => core.view(signal) };
}

function zmqSource(address: string): TellingSource {
  const subscriber = new ZmtpSubscriber(parseHostPort(address), 'hashblock');
  return {
    name: `the node's ZMQ at ${address}`,
    listen: (heard, signal) => subscriber.listen(heard, signal),
  };
}

/** A login or a path in it would end up in what is shown. */
function isAddress(text: string): boolean {
  try {
    parseHostPort(text);
    return true;
  } catch {
    return false;
  }
}
