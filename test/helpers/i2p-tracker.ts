/** An HTTP tracker of I2P on a free port of 127.0.0.1: peers are destinations, ports mean nothing. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { type Encodable, encode } from '../../src/bencode.js';

export class I2pTracker {
  /** All that it was asked, and how. */
  readonly requests: { query: URLSearchParams; headers: IncomingHttpHeaders }[] = [];
  /** Answers with hashes where that is asked for, or always with whole destinations. */
  compact = true;
  readonly #server: Server;
  /** Destinations in base64, by infohash. */
  readonly #swarms = new Map<string, Set<string>>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', ({ url = '', headers }, response) => {
      // Read as latin1: an infohash is not UTF-8.
      const text = (url.split('?')[1] ?? '').replace(/%[89a-f][0-9a-f]/gi, (code) =>
        encodeURIComponent(String.fromCharCode(Number.parseInt(code.slice(1), 16))),
      );
      const query = new URLSearchParams(text);
      this.requests.push({ query, headers });
      server.emit('asked');
      response.end(this.#announce(query));
    });
  }

  static async start(t: Test): Promise<I2pTracker> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    return new I2pTracker(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resolves when it holds; looked at whenever it was asked something. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#server, 'asked');
  }

  #announce(query: URLSearchParams): Uint8Array {
    const infoHash = query.get('info_hash') ?? '';
    const destination = (query.get('ip') ?? '').replace(/\.i2p$/, '');
    if (infoHash.length !== 20 || destination.length < 516)
      return encode(new Map([['failure reason', 'no info_hash or destination']]));
    const swarm = this.#swarms.get(infoHash) ?? new Set();
    this.#swarms.set(infoHash, swarm);
    if (query.get('event') === 'stopped') swarm.delete(destination);
    else swarm.add(destination);
    const others = [...swarm].filter((other) => other !== destination);
    const isCompact = this.compact && query.get('compact') === '1';
    const answer: [string, Encodable][] = [
      ['interval', 60],
      ['peers', isCompact ? Buffer.concat(others.map(hash)) : others.map(verbose)],
    ];
    return encode(new Map(answer));
  }
}

function hash(destination: string): Uint8Array {
  const bytes = Buffer.from(destination.replace(/-/g, '+').replace(/~/g, '/'), 'base64');
  return createHash('sha256').update(bytes).digest();
}

function verbose(destination: string): Encodable {
  const fields: [string, Encodable][] = [
    ['ip', `${destination}.i2p`],
    ['peer id', 'x'.repeat(20)],
    ['port', 6881],
  ];
  return new Map(fields);
}
