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
}

export interface NodeHintsOptions {
  readonly sources: readonly HintSource[];
  /** There may be a new block. */
  readonly heard: () => void;
  readonly report: Pick<Report, 'warn'>;
}

/** Somebody to ask. */
export interface HintSource {
  /** For a person. */
  readonly name: string;
  view(signal: AbortSignal): Promise<NodeView | NoAnswer>;
  /** Resolves when the tip changes, or after a time; absent: it is asked again and again. */
  waitForBlock?(forMs: number, signal: AbortSignal): Promise<{ tipHash: string } | NoAnswer>;
}

/** Between two questions, however quickly blocks come. */
const PACE_MS = 250;
const POLL_MS = 1000;
const WAIT_MS = 10_000;
/** After no answer. */
const AGAIN_MS = 5000;

export class NodeHints {
  readonly #options: NodeHintsOptions;
  readonly #views = new Map<HintSource, NodeView | null>();

  constructor(options: NodeHintsOptions) {
    this.#options = options;
  }

  /** Whether the node is in its initial block download; null while it has not said. */
  get isInitialBlockDownload(): boolean | null {
    for (const view of this.#views.values()) if (view) return view.isInitialBlockDownload;
    return null;
  }

  /** Asks until the signal fires. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#options.sources.map((source) => this.#ask(source, signal).catch(() => {})));
  }

  async #ask(source: HintSource, signal: AbortSignal): Promise<void> {
    let said: string | null = null;
    let waits = source.waitForBlock !== undefined;
    while (!signal.aborted) {
      const view = await source.view(signal);
      if ('failure' in view) {
        this.#views.set(source, null);
        if (said !== view.failure) this.#options.report.warn(`no hints from ${source.name}: ${view.failure}`);
        said = view.failure;
        await delay(AGAIN_MS, undefined, { signal });
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
}

/**
 * Whom to ask; the sources are made once there is somebody to ask through.
 * @throws BlockswarmError ERR_USAGE, ERR_NETWORK_UNKNOWN
 */
export function hintSources(
  choice: NodeHintsChoice & { readonly datadir: string; readonly network: string; readonly privacy?: string },
): (ask: AskHttp) => HintSource[] {
  const { rpc, rpcCookie, rpcUser, rpcPasswordFile: rpcPassword, rest, privacy = 'open' } = choice;
  const isAsked = rpc !== undefined || rest !== undefined;
  if (rpc === undefined && [rpcCookie, rpcUser, rpcPassword].some((value) => value !== undefined))
    throw usage('--rpc-cookie, --rpc-user and --rpc-password-file belong to --rpc HOST:PORT');
  if ((rpcUser === undefined) !== (rpcPassword === undefined))
    throw usage('--rpc-user and --rpc-password-file belong together');
  if (rpcUser !== undefined && rpcCookie !== undefined)
    throw usage('--rpc-cookie and --rpc-user exclude each other');
  if (isAsked && privacy !== 'open')
    throw usage(`--rpc and --rest would be asked through the proxy of --privacy ${privacy}: leave them out`);
  for (const [option, address] of [['--rpc', rpc] as const, ['--rest', rest] as const]) {
    if (address !== undefined && !isAddress(address))
      throw usage(`${option} expected host:port and nothing else`);
  }
  const { netDir } = datadirPaths(choice.datadir, choice.network);
  const login: RpcLogin =
    rpcUser !== undefined
      ? { user: rpcUser, password: rpcPassword ?? '' }
      : { cookiePath: rpcCookie ?? join(netDir, '.cookie') };
  return (ask) => [
    ...(rpc === undefined ? [] : [rpcSource(new CoreRpc(ask, rpc, login), rpc)]),
    ...(rest === undefined ? [] : [restSource(new CoreRest(ask, rest), rest)]),
  ];
}

function rpcSource(core: CoreRpc, address: string): HintSource {
  return {
    name: `the node's RPC at ${address}`,
    view: (signal) => core.view(signal),
    waitForBlock: (forMs, signal) => core.waitForBlock(forMs, signal),
  };
}

function restSource(core: CoreRest, address: string): HintSource {
  return { name: `the node's REST interface at ${address}`, view: (signal) => core.view(signal) };
}

/** A login or a path in it would end up in what is shown. */
function isAddress(text: string): boolean {
  return /^(?:[\w.-]+|\[[0-9a-f:.]+\]):\d{1,5}$/i.test(text);
}
