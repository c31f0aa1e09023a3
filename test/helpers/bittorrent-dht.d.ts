/** The part of bittorrent-dht 11 that tests use; the package brings no types. */
declare module 'bittorrent-dht' {
  import type { EventEmitter } from 'node:events';

  export interface DhtItem {
    v: unknown;
    k?: Buffer;
    sig?: Buffer;
    seq?: number;
    salt?: Buffer;
  }

  /** Events: `peer` (peer, infoHash), `node`, `listening`, `warning`, `error`. */
  export class Client extends EventEmitter {
    constructor(options: {
      bootstrap: readonly string[] | false;
      verify?: (signature: Buffer, message: Buffer, publicKey: Buffer) => boolean;
    });
    listen(port: number, host: string, listening: () => void): void;
    address(): { address: string; port: number };
    lookup(infoHash: Buffer, done: (error: Error | null) => void): void;
    announce(infoHash: Buffer, port: number, done: (error: Error | null) => void): void;
    put(item: DhtItem, done: (error: Error | null, hash: Buffer, taken: number) => void): void;
    get(
      hash: Buffer,
      options: { salt?: Buffer },
      done: (error: Error | null, item: DhtItem | null) => void,
    ): void;
    destroy(done: () => void): void;
  }
}
