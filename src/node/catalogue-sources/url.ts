/** A catalogue on a web server: the file itself. */
import { CatalogueReader } from '../../chain/catalogue.js';
import { BlockswarmError } from '../../errors.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

/** Five times mainnet's of 2026. */
const maxBytes = 512 * 2 ** 20;
const maxTimeoutMs = 15 * 60_000;
/**
 * What is asked for, held and judged at a time: the first bad record ends it. A newer catalogue that is put there
 * meanwhile has the same beginning.
 */
const partBytes = 4 * 2 ** 20;
/** Of a server that gives all or nothing. */
const maxWholeBytes = 64 * 2 ** 20;

export class UrlSource implements CatalogueSource {
  /** Without what may be secret: credentials, and a query that may hold a token. */
  readonly name: string;
  readonly #url: string;

  /** @throws BlockswarmError ERR_USAGE */
  constructor(url: string) {
    if (!URL.canParse(url)) throw new BlockswarmError('ERR_USAGE', '--catalogue got a malformed URL');
    const { protocol, host, pathname } = new URL(url);
    this.name = `${protocol}//${host}${pathname}`;
    this.#url = url;
  }

  async find(search: CatalogueSearch, signal: AbortSignal): Promise<void> {
    const { network } = search;
    const endMs = performance.now() + Math.min(maxTimeoutMs, search.timeoutSeconds * 1000);
    const reader = new CatalogueReader(network, Date.now() / 1000);
    let atBytes = 0;
    for (let isWhole = false; !isWhole; ) {
      const part = await this.#part(search, atBytes, endMs - performance.now(), signal);
      reader.push(part.bytes);
      search.bad.check(reader.records);
      atBytes += part.bytes.length;
      isWhole = part.isLast;
      if (!isWhole && atBytes >= maxBytes) throw this.#unavailable(`more than ${maxBytes} bytes`);
    }
    reader.finish();
    search.offer({ reader, from: this.name, voices: 1, fetched: null });
  }

  /** Bytes from a place on, and whether none follow. */
  async #part(
    { peerNode }: CatalogueSearch,
    start: number,
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<{ bytes: Uint8Array; isLast: boolean }> {
    if (timeoutMs < 1) throw this.#unavailable('timeout');
    const range = { start, end: start + partBytes };
    const reach = { asked: true, loopback: false };
    const options = { maxBytes: maxWholeBytes, timeoutMs: Math.ceil(timeoutMs), reach, range };
    const answer = await peerNode.httpGet(this.#url, options, signal);
    if (answer.failure !== null) throw this.#unavailable(answer.failure);
    const { status, body: bytes, wholeBytes } = answer;
    if (status === 200 && start === 0) return { bytes, isLast: true };
    if (status === 416 && start > 0) return { bytes: new Uint8Array(), isLast: true };
    if (status !== 206) throw this.#unavailable(`status ${status}`);
    if (bytes.length === 0) throw this.#unavailable('an empty part');
    // A server may give less at a time than was asked for.
    return {
      bytes,
      isLast: wholeBytes === null ? bytes.length < partBytes : start + bytes.length >= wholeBytes,
    };
  }

  #unavailable(why: string): BlockswarmError {
    return new BlockswarmError('ERR_NO_PEERS', `${this.name} gave no catalogue: ${why}`);
  }
}
