/** The part of it that the tests use. It has no types of its own. */
declare module '@peertube/bittorrent-tracker-server' {
  import type { EventEmitter } from 'node:events';

  export class Server extends EventEmitter {
    constructor(options: { http: boolean; udp: boolean; ws: boolean; stats: boolean; interval: number });
    readonly http: { address(): { port: number } };
    readonly udp4: { address(): { port: number } };
    listen(port: number, hosts: { http: string; udp: string; udp6: string }, listening: () => void): void;
    close(closed: () => void): void;
  }
}
