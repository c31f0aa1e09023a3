/**
 * A node's own words about its chain: Core's RPC (`src/rpc/blockchain.cpp`), or its REST interface (`src/rest.cpp`) where
 * that is on. Asked for hints only. Neither cookie nor password is ever part of an error or a log.
 */
import { open } from 'node:fs/promises';
import type { HttpGetOptions, HttpResult } from '../native.js';

/** Who is asking: Core's cookie file, or a user of `rpcauth`. */
export type RpcLogin = { readonly cookiePath: string } | { readonly user: string; readonly password: string };

/** What a node says of its chain. */
export interface NodeView {
  /** As people write it. */
  readonly tipHash: string;
  readonly isInitialBlockDownload: boolean;
}

/** Why there is no answer: a few words for a person. */
export interface NoAnswer {
  readonly failure: string;
  /** The node answers, but not to this question. */
  readonly isRefused: boolean;
}

/** As `Reactor.httpGet`. */
export type AskHttp = (url: string, options: HttpGetOptions, signal: AbortSignal) => Promise<HttpResult>;

const MAX_ANSWER_BYTES = 256 * 1024;
const MAX_COOKIE_BYTES = 1024;
const TIMEOUT_MS = 10_000;

export class CoreRpc {
  readonly #ask: AskHttp;
  readonly #address: string;
  readonly #login: RpcLogin;

  /** `address` is `host:port`. */
  constructor(ask: AskHttp, address: string, login: RpcLogin) {
    this.#ask = ask;
    this.#address = address;
    this.#login = login;
  }

  view(signal: AbortSignal): Promise<NodeView | NoAnswer> {
    return this.#call('getblockchaininfo', [], TIMEOUT_MS, readView, signal);
  }

  /** Its tip's hash when that changes, or after a time. */
  waitForBlock(forMs: number, signal: AbortSignal): Promise<{ tipHash: string } | NoAnswer> {
    const read = ({ hash }: Record<string, unknown>) => (typeof hash === 'string' ? { tipHash: hash } : null);
    return this.#call('waitfornewblock', [forMs], forMs + TIMEOUT_MS, read, signal);
  }

  async #call<T>(
    method: string,
    params: readonly unknown[],
    timeoutMs: number,
    read: (result: Record<string, unknown>) => T | null,
    signal: AbortSignal,
  ): Promise<T | NoAnswer> {
    const login = await readLogin(this.#login);
    if (typeof login !== 'string') return login;
    const post = JSON.stringify({ jsonrpc: '1.0', id: 1, method, params });
    // A user name and its password stand in a URL only here, and are taken out of it natively.
    const answer = await this.#ask(
      `http://${login}@${this.#address}/`,
      { ...asked(timeoutMs), post },
      signal,
    );
    return readAnswer(answer, (body) => {
      const { result, error } = body as { result?: unknown; error?: { message?: unknown } | null };
      if (error) return refused(String(error.message).slice(0, 200));
      return (isRecord(result) && read(result)) || null;
    });
  }
}

/** `/rest/chaininfo.json`: for everybody who may connect, where `-rest` is on. */
export class CoreRest {
  readonly #ask: AskHttp;
  readonly #address: string;

  constructor(ask: AskHttp, address: string) {
    this.#ask = ask;
    this.#address = address;
  }

  async view(signal: AbortSignal): Promise<NodeView | NoAnswer> {
    const answer = await this.#ask(`http://${this.#address}/rest/chaininfo.json`, asked(TIMEOUT_MS), signal);
    return readAnswer(answer, (body) => (isRecord(body) ? readView(body) : null));
  }
}

function asked(timeoutMs: number): HttpGetOptions {
  // The user named it, and it is mostly on this machine.
  return { maxBytes: MAX_ANSWER_BYTES, timeoutMs, maxRedirects: 0, reach: { asked: true, loopback: true } };
}

function readAnswer<T>(answer: HttpResult, read: (body: unknown) => T | NoAnswer | null): T | NoAnswer {
  if (answer.failure !== null) return { failure: answer.failure, isRefused: false };
  if (answer.status === 401) return refused('the login is wrong');
  if (answer.status === 403 || answer.status === 404) return refused(`status ${answer.status}`);
  try {
    return read(JSON.parse(Buffer.from(answer.body).toString())) ?? unread(answer.status);
  } catch {
    return unread(answer.status);
  }
}

function readView({ bestblockhash, initialblockdownload }: Record<string, unknown>): NodeView | null {
  if (typeof bestblockhash !== 'string' || typeof initialblockdownload !== 'boolean') return null;
  return { tipHash: bestblockhash, isInitialBlockDownload: initialblockdownload };
}

function refused(failure: string): NoAnswer {
  return { failure, isRefused: true };
}

function unread(status: number): NoAnswer {
  return { failure: `an answer that is not a node's (status ${status})`, isRefused: false };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** `user:password` as it stands in a URL. The cookie is another one after each start of the node. */
async function readLogin(login: RpcLogin): Promise<string | NoAnswer> {
  if ('user' in login) return `${encodeURIComponent(login.user)}:${encodeURIComponent(login.password)}`;
  try {
    const file = await open(login.cookiePath);
    try {
      const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(MAX_COOKIE_BYTES) });
      const [user = '', ...password] = buffer.toString('utf8', 0, bytesRead).trim().split(':');
      return `${encodeURIComponent(user)}:${encodeURIComponent(password.join(':'))}`;
    } finally {
      await file.close();
    }
  } catch (error) {
    const { code = 'unreadable' } = error as NodeJS.ErrnoException;
    return { failure: `no cookie at ${login.cookiePath} (${code}): does the node run?`, isRefused: false };
  }
}
