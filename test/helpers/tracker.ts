/** A small HTTP tracker (BEP 3, compact answers of BEP 23) on a free port of 127.0.0.1. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { type Encodable, encode } from '../../src/bencode.js';
import { toHex } from '../../src/units.js';

interface Peer {
  readonly host: string;
  readonly port: number;
  readonly id: string;
  readonly left: number;
}

export class Tracker {
  /** All that it was told. */
  readonly announces: { infoHash: string; event: string; left: number; port: number; numWant: number }[] = [];
  readonly #server: Server;
  /** By infohash in hex, then by address. A hybrid torrent announces both hashes, the v2 one cut to 20 bytes. */
  readonly #swarms = new Map<string, Map<string, Peer>>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('request', ({ url, socket }, response) => {
      const query = queryBytes(url ?? '');
      if (url?.startsWith('/scrape')) return response.end(this.#scrape(url), 'latin1');
      return response.end(this.#announce(query, socket.remoteAddress ?? '127.0.0.1'), 'latin1');
    });
  }

  static async start(t: Test): Promise<Tracker> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.teardown(() => {
      server.closeAllConnections();
      server.close();
    });
    return new Tracker(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/announce`;
  }

  /** Adds a peer that does not announce itself. */
  add(infoHash: Uint8Array, host: string, port: number): void {
    const peer = { host, port, id: '', left: 0 };
    this.#swarm(toHex(infoHash.subarray(0, 20))).set(`${host}:${port}`, peer);
  }

  #swarm(infoHash: string): Map<string, Peer> {
    const swarm = this.#swarms.get(infoHash) ?? new Map<string, Peer>();
    this.#swarms.set(infoHash, swarm);
    return swarm;
  }

  /** BEP 48. */
  #scrape(url: string): Uint8Array {
    const hashes = [...url.matchAll(/info_hash=([^&]*)/g)].map(([, hash = '']) => unescapeBytes(hash));
    const files = hashes.map((hash): [string, Encodable] => {
      const swarm = [...this.#swarm(Buffer.from(hash, 'latin1').toString('hex')).values()];
      const complete = swarm.filter(({ left }) => left === 0).length;
      const counts = { complete, incomplete: swarm.length - complete, downloaded: complete };
      return [hash, new Map(Object.entries(counts))];
    });
    return encode(new Map([['files', new Map(files)]]));
  }

  #announce(query: Map<string, string>, host: string): Uint8Array {
    const infoHash = query.get('info_hash') ?? '';
    const port = Number(query.get('port'));
    if (infoHash.length !== 20 || !(port > 0 && port < 65_536)) {
      return encode(new Map([['failure reason', 'no info_hash or port']]));
    }
    this.announces.push({
      infoHash: Buffer.from(infoHash, 'latin1').toString('hex'),
      event: query.get('event') ?? '',
      left: Number(query.get('left')),
      port,
      numWant: Number(query.get('numwant')),
    });
    const swarm = this.#swarm(Buffer.from(infoHash, 'latin1').toString('hex'));
    const peer = { host, port, id: query.get('peer_id') ?? '', left: Number(query.get('left') ?? 1) };
    const key = `${host}:${port}`;
    if (query.get('event') === 'stopped') swarm.delete(key);
    else swarm.set(key, peer);
    const others = [...swarm.values()].filter((other) => other.host !== host || other.port !== port);
    const complete = [...swarm.values()].filter(({ left }) => left === 0).length;
    const answer: [string, Encodable][] = [
      ['complete', complete],
      ['incomplete', swarm.size - complete],
      ['interval', 60],
      ['min interval', 1],
      ['peers', query.get('compact') === '0' ? others.map(verbose) : Buffer.concat(others.map(compact))],
    ];
    return encode(new Map(answer));
  }
}

function compact({ host, port }: Peer): Uint8Array {
  return Uint8Array.from([...host.split('.').map(Number), port >> 8, port & 255]);
}

function verbose({ host, port, id }: Peer): Encodable {
  const fields: [string, Encodable][] = [
    ['ip', host],
    ['peer id', Buffer.from(id, 'latin1')],
    ['port', port],
  ];
  return new Map(fields);
}

/** The query of a URL with its values as bytes (one character each): an infohash is not UTF-8. */
function queryBytes(url: string): Map<string, string> {
  const pairs = url.slice(url.indexOf('?') + 1).split('&');
  return new Map(
    pairs.map((pair) => {
      const [name = '', value = ''] = pair.split('=');
      return [name, unescapeBytes(value)];
    }),
  );
}

function unescapeBytes(text: string): string {
  return text.replace(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}
