declare module 'bittorrent-protocol' {
  import type { Duplex } from 'node:stream';

  /** One connection, as far as the tests use it; a peer that chokes is not asked. */
  // biome-ignore lint/style/noDefaultExport: as the package has it
  export default class Wire extends Duplex {
    peerChoking: boolean;
    handshake(infoHash: Uint8Array, peerId: Uint8Array, extensions?: { fast?: boolean }): void;
    bitfield(bits: Uint8Array): void;
    interested(): void;
    unchoke(): void;
    request(
      piece: number,
      offset: number,
      length: number,
      done: (error: Error | null, block: Uint8Array) => void,
    ): void;
    on(event: 'handshake' | 'interested' | 'unchoke', listener: () => void): this;
    on(
      event: 'request',
      listener: (
        piece: number,
        offset: number,
        length: number,
        respond: (error: Error | null, block: Uint8Array) => void,
      ) => void,
    ): this;
    on(event: string, listener: (...values: never[]) => void): this;
  }
}
