/** The part of bittorrent-dht 11 that we use; the package brings no types. */
declare module 'bittorrent-dht' {
  import type { EventEmitter } from 'node:events';

  export interface DhtOptions {
    nodeId?: Buffer;
    bootstrap?: readonly { host: string; port: number }[] | false;
    socket?: EventEmitter;
    isIP?: (host: string) => number | boolean;
    timeout?: number;
    concurrency?: number;
    maxTables?: number;
    maxValues?: number;
    maxPeers?: number;
    maxAge?: number;
  }

  /** Events: `peer` (peer, infoHash, from), `node`, `ready`, `listening`, `warning`, `error`, `close`. */
  export class Client extends EventEmitter {
    constructor(options?: DhtOptions);
    readonly nodeId: Buffer;
    readonly nodes: { toArray(): { id: Buffer; host: string; port: number }[] };
    listen(port?: number, host?: string, listening?: () => void): void;
    addNode(node: { host: string; port: number; id?: Buffer }): void;
    lookup(infoHash: Buffer, done: (error: Error | null, visited?: number) => void): () => void;
    announce(infoHash: Buffer, port: number, done: (error: Error | null, taken?: number) => void): void;
    destroy(done?: () => void): void;
  }
}
