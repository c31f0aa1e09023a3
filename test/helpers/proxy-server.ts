/** A server on loopback that leads others out: a test starts and stops it under them, and waits for what comes. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Test } from 'tap';

export abstract class ProxyServer {
  /** Connections that were accepted, let in or not. */
  accepted = 0;
  port = 0;
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();
  #server: Server | null = null;

  constructor(t: Test) {
    t.teardown(() => this.stop());
  }

  /** Speaks to whoever came; a connection whose talk fails is ended. */
  protected abstract serve(socket: Socket): Promise<void>;

  /** Listens, again where it did before. With `deaf` whoever comes is shut out at once. */
  async start({ deaf = false } = {}): Promise<void> {
    const server = createServer((socket) => {
      this.accepted++;
      this.keep(socket);
      this.wake();
      if (deaf) socket.destroy();
      else void this.serve(socket).catch(() => socket.destroy());
    });
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
  }

  /** Ends everything that goes through it. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  /** Resolves when it holds; looked at whenever something happens here. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.add(resolve));
  }

  protected wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** Ends the socket with the server. */
  protected keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#sockets.delete(socket);
      this.wake();
    });
  }
}

/** Resolves when a socket has more to read, or nothing more. */
async function stirred(socket: Socket): Promise<void> {
  const events = ['readable', 'end', 'close'];
  await new Promise<void>((resolve) => {
    const done = () => {
      for (const event of events) socket.off(event, done);
      resolve();
    };
    for (const event of events) socket.on(event, done);
  });
}

/** So many bytes, and no byte behind them. @throws Error when the socket ends before */
export async function readBytes(socket: Socket, length: number): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0);
  for (;;) {
    const bytes = socket.read(length) as Buffer | null;
    if (bytes) return bytes;
    if (socket.readableEnded || socket.destroyed) throw new Error('ended');
    await stirred(socket);
  }
}
