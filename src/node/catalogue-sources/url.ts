/** A catalogue on a web server: the file itself. */
import { CatalogueReader } from '../../chain/catalogue.js';
import { BlockswarmError } from '../../errors.js';
import type { CatalogueSearch, CatalogueSource } from './source.js';

/** Five times mainnet's of 2026: it is in memory while it is read. */
const maxBytes = 512 * 2 ** 20;
const maxTimeoutMs = 15 * 60_000;
/** Records are judged in the order of the file, and the first bad one ends it. */
const chunkBytes = 1 << 20;

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
    const { network, peerNode } = search;
    const timeoutMs = Math.min(maxTimeoutMs, search.timeoutSeconds * 1000);
    const options = { maxBytes, timeoutMs, reach: { asked: true, loopback: false } };
    const answer = await peerNode.httpGet(this.#url, options, signal);
    if (answer.failure !== null) throw this.#unavailable(answer.failure);
    if (answer.status !== 200) throw this.#unavailable(`status ${answer.status}`);
    const reader = new CatalogueReader(network, Date.now() / 1000);
    for (let at = 0; at < answer.body.length; at += chunkBytes) {
      reader.push(answer.body.subarray(at, at + chunkBytes));
      search.bad.check(reader.records);
      signal.throwIfAborted();
    }
    reader.finish();
    search.offer({ reader, from: this.name, voices: 1, fetched: null });
  }

  #unavailable(why: string): BlockswarmError {
    return new BlockswarmError('ERR_NO_PEERS', `${this.name} gave no catalogue: ${why}`);
  }
}
