import { promisify } from 'node:util';
import { gunzip as gunzipWithCallback, type ZlibOptions } from 'node:zlib';
import type * as bindings from '../../bindings/index.js';

const gunzip = promisify<Uint8Array, ZlibOptions, Buffer>(gunzipWithCallback);

/** Where a URL may lead, beyond the rest of the world. */
export type HttpReach = Readonly<bindings.HttpReach>;

export interface HttpGetOptions {
  /** Of the body, as it comes and unpacked. */
  readonly maxBytes: number;
  /** For everything, redirects included. */
  readonly timeoutMs: number;
  /** Default 5. Each hop's address is looked at; none leads from the world into this machine or network. */
  readonly maxRedirects?: number;
  /** Requests of one group to one host may be seen to belong together, as on a circuit of Tor; absent: with no other. */
  readonly group?: string;
  readonly reach: HttpReach;
  /** JSON, sent by POST instead; then no redirect is followed. */
  readonly post?: string;
  /** Only these bytes, half-open: 206 is such a part, 416 says that nothing is there, 200 is all of it. */
  readonly range?: { readonly start: number; readonly end: number };
}

/** An answer of any status but a redirect. */
export interface HttpAnswer {
  readonly status: number;
  readonly contentType: string | null;
  /** At most `maxBytes`, unpacked. */
  readonly body: Uint8Array;
  /** Of a part: the length of the whole, where it is told. */
  readonly wholeBytes: number | null;
  /** Where it came from in the end, without credentials. May hold a token: not for logs. */
  readonly finalUrl: string;
  readonly remoteAddress: { readonly host: string; readonly port: number };
}

/** What came of a GET: an answer, or a short code that says why there is none. */
export type HttpResult = { readonly retryAfterMs: number | null } & (
  | ({ readonly failure: null } & HttpAnswer)
  | { readonly failure: string }
);

/** The requests of a reactor that are on their way; `Reactor.httpGet` says what comes of them. */
export class HttpGets {
  readonly #reactor: bindings.Reactor;
  readonly #waiting = new Map<number, (outcome: bindings.HttpOutcome) => void>();

  constructor(reactor: bindings.Reactor) {
    this.#reactor = reactor;
  }

  async get(url: string, options: HttpGetOptions, signal?: AbortSignal): Promise<HttpResult> {
    signal?.throwIfAborted();
    const { maxBytes, timeoutMs, maxRedirects = 5, group, reach, post, range } = options;
    const limits = { maxBytes, timeoutMs, maxRedirects };
    const request = this.#reactor.httpGet({
      ...{ url, ...limits, reach },
      ...(group !== undefined && { group }),
      ...(post !== undefined && { post }),
      ...(range && { rangeStart: range.start, rangeEnd: range.end }),
    });
    let aborted = () => {};
    const outcome = await new Promise<bindings.HttpOutcome>((resolve, reject) => {
      aborted = () => {
        this.#reactor.cancelHttp(request);
        reject(signal?.reason);
      };
      signal?.addEventListener('abort', aborted, { once: true });
      this.#waiting.set(request, resolve);
    }).finally(() => {
      signal?.removeEventListener('abort', aborted);
      this.#waiting.delete(request);
    });
    const { answer, failure, retryAfterMs = null } = outcome;
    if (!answer) return { failure: failure ?? 'reset', retryAfterMs };
    const body = answer.gzip ? await unpack(answer.body, maxBytes) : answer.body;
    if (typeof body === 'string') return { failure: body, retryAfterMs };
    const { status, contentType = null, wholeBytes = null, finalUrl, remoteAddress } = answer;
    return { failure: null, retryAfterMs, status, contentType, body, wholeBytes, finalUrl, remoteAddress };
  }

  /** Hands an outcome to whoever waits for it. */
  settle(outcome: bindings.HttpOutcome): void {
    this.#waiting.get(outcome.request)?.(outcome);
  }

  shutdown(): void {
    for (const [request, settle] of this.#waiting) settle({ request, failure: 'shutdown' });
  }
}

/** What gzip holds, or why it cannot be had: a bomb stops at the bound. */
async function unpack(body: Uint8Array, maxBytes: number): Promise<Uint8Array | 'long-body' | 'encoded'> {
  try {
    return await gunzip(body, { maxOutputLength: maxBytes });
  } catch (error) {
    const isTooLong = error instanceof RangeError;
    return isTooLong ? 'long-body' : 'encoded';
  }
}
