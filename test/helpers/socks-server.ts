/** A SOCKS5 proxy (RFC 1928, 1929) on loopback that leads wherever a test says, and remembers what it was asked for. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { ProxyServer, readBytes as read } from './proxy-server.js';

export interface SocksServerOptions {
  /** The port of 127.0.0.1 that a target stands for; null: refused. */
  readonly route: (host: string, port: number) => number | null;
  /** Users that it lets in, as `user:password`; all without, also those that name none. */
  readonly login?: (login: string | null) => boolean;
}

const CONNECT = 1;
const UDP_ASSOCIATE = 3;
const REFUSED = 5;

export class SocksServer extends ProxyServer {
  /** `host:port` of each request, in order. */
  readonly targets: string[] = [];
  /** What each user asked for, in order. */
  readonly streams: { readonly login: string | null; readonly target: string }[] = [];
  /** `user:password` of each connection that gave one. */
  readonly logins: string[] = [];
  /** `host:port` of each datagram that was to be relayed. */
  readonly datagrams: string[] = [];
  readonly #options: SocksServerOptions;

  constructor(t: Test, options: SocksServerOptions) {
    super(t);
    this.#options = options;
  }

  get url(): string {
    return `socks5://127.0.0.1:${this.port}`;
  }

  protected override async serve(socket: Socket): Promise<void> {
    const [, count = 0] = await read(socket, 2);
    const methods = await read(socket, count);
    const login = methods.includes(2) ? await this.#login(socket) : null;
    if (login === null) socket.write(Buffer.of(5, methods.includes(0) ? 0 : 0xff));
    else this.logins.push(login);
    if (!(this.#options.login?.(login) ?? true)) throw new Error('refused');
    if (login !== null) socket.write(Buffer.of(1, 0));
    const [, command = 0, , kind = 0] = await read(socket, 4);
    const host = await readHost(socket, kind);
    const port = (await read(socket, 2)).readUInt16BE();
    this.targets.push(`${host}:${port}`);
    this.streams.push({ login, target: `${host}:${port}` });
    this.wake();
    if (command === UDP_ASSOCIATE) await this.#relay(socket);
    else if (command === CONNECT) this.#lead(socket, this.#options.route(host, port));
  }

  async #login(socket: Socket): Promise<string> {
    socket.write(Buffer.of(5, 2));
    const [, length = 0] = await read(socket, 2);
    const user = await read(socket, length);
    const [wordLength = 0] = await read(socket, 1);
    return `${user}:${await read(socket, wordLength)}`;
  }

  #lead(socket: Socket, port: number | null): void {
    if (port === null) {
      socket.end(Buffer.of(5, REFUSED, 0, 1, 0, 0, 0, 0, 0, 0));
      return;
    }
    const onward = connect(port, '127.0.0.1', () => {
      socket.write(Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
      socket.pipe(onward).pipe(socket);
    });
    this.keep(onward);
    onward.on('close', () => socket.destroy());
    socket.on('close', () => onward.destroy());
  }

  /** Takes datagrams, and loses them. */
  async #relay(socket: Socket): Promise<void> {
    const relay = createSocket('udp4');
    relay.bind(0, '127.0.0.1');
    await once(relay, 'listening');
    relay.on('message', (datagram) => {
      // 0 0, fragment 0, IPv4: address and port.
      const host = datagram.subarray(4, 8).join('.');
      this.datagrams.push(datagram[3] === 1 ? `${host}:${datagram.readUInt16BE(8)}` : 'another kind');
      this.wake();
    });
    socket.on('close', () => relay.close());
    const answer = Buffer.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0);
    answer.writeUInt16BE(relay.address().port, 8);
    socket.write(answer);
  }
}

async function readHost(socket: Socket, kind: number): Promise<string> {
  if (kind === 3) return (await read(socket, (await read(socket, 1))[0] ?? 0)).toString();
  if (kind === 1) return (await read(socket, 4)).join('.');
  const groups = (await read(socket, 16)).toString('hex').match(/.{4}/g) ?? [];
  return `[${groups.join(':')}]`;
}
