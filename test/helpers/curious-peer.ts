/** A peer on loopback that says hello, and remembers what it was told: handshakes and extension handshakes, as bytes. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';
import { encode } from '../../src/bencode.js';

const HANDSHAKE_BYTES = 68;
const EXTENDED = 20;

export interface Greeting {
  /** 68 bytes. */
  readonly handshake: Buffer;
  /** Bencoded. */
  readonly extensionHandshake: Buffer;
}

export class CuriousPeer {
  readonly greetings: Greeting[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      socket.on('error', () => {});
      void this.#hear(socket).catch(() => socket.destroy());
    });
  }

  static async start(t: Test): Promise<CuriousPeer> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const sockets = new Set<Socket>();
    server.on('connection', (socket) => sockets.add(socket));
    t.teardown(() => {
      for (const socket of sockets) socket.destroy();
      server.close();
    });
    return new CuriousPeer(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Resolves when it holds; looked at whenever somebody has introduced himself. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await once(this.#server, 'greeted');
  }

  async #hear(socket: Socket): Promise<void> {
    let heard = Buffer.alloc(0);
    let isAnswered = false;
    for await (const bytes of socket) {
      heard = Buffer.concat([heard, bytes as Buffer]);
      if (heard.length < HANDSHAKE_BYTES) continue;
      if (!isAnswered) {
        isAnswered = true;
        const reserved = Buffer.from([0, 0, 0, 0, 0, 0x10, 0, 0]);
        const hello = Buffer.concat([
          heard.subarray(0, 20),
          reserved,
          heard.subarray(28, 48),
          randomBytes(20),
        ]);
        socket.write(Buffer.concat([hello, message(encode(new Map([['m', new Map()]])))]));
      }
      for (let at = HANDSHAKE_BYTES; at + 6 <= heard.length; at += 4 + heard.readUInt32BE(at)) {
        const end = at + 4 + heard.readUInt32BE(at);
        if (heard[at + 4] !== EXTENDED || heard[at + 5] !== 0 || end > heard.length) continue;
        this.greetings.push({
          handshake: heard.subarray(0, HANDSHAKE_BYTES),
          extensionHandshake: heard.subarray(at + 6, end),
        });
        this.#server.emit('greeted');
        return;
      }
    }
  }
}

function message(extensionHandshake: Uint8Array): Uint8Array {
  const head = Buffer.from([0, 0, 0, 0, EXTENDED, 0]);
  head.writeUInt32BE(2 + extensionHandshake.length);
  return Buffer.concat([head, extensionHandshake]);
}
