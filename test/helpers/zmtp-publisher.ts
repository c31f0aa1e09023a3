/** A publisher of ZeroMQ's on loopback, after RFC 23 and 37: sends what a test says, byte by byte where it likes. */
import type { Socket } from 'node:net';
import { ProxyServer, readBytes } from './proxy-server.js';

/** A frame of ZMTP; `long` where the length takes eight bytes though it need not. */
export function zmtpFrame(flags: number, body: Uint8Array, { long = body.length > 255 } = {}): Buffer {
  const head = Buffer.alloc(long ? 9 : 2);
  head.writeUInt8(flags | (long ? 2 : 0), 0);
  if (long) head.writeBigUInt64BE(BigInt(body.length), 1);
  else head.writeUInt8(body.length, 1);
  return Buffer.concat([head, body]);
}

export function zmtpCommand(name: string, data: Uint8Array = Buffer.alloc(0)): Buffer {
  return zmtpFrame(4, Buffer.concat([Uint8Array.of(name.length), Buffer.from(name), data]));
}

export function zmtpMessage(...parts: Uint8Array[]): Buffer {
  return Buffer.concat(parts.map((part, at) => zmtpFrame(at === parts.length - 1 ? 0 : 1, part)));
}

/** What a node says of a block: topic, hash, sequence number (Core's `src/zmq/zmqpublishnotifier.cpp`). */
export function hashBlock(sequence = 0, topic = 'hashblock'): Buffer {
  const number = Buffer.alloc(4);
  number.writeUInt32LE(sequence);
  return zmtpMessage(Buffer.from(topic), Buffer.alloc(32, sequence), number);
}

export function zmtpGreeting({ major = 3, minor = 1, mechanism = 'NULL' } = {}): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.set([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, major, minor]);
  bytes.write(mechanism, 12);
  return bytes;
}

export function zmtpReady(socketType: string): Buffer {
  const property = (name: string, value: string) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(value.length);
    return [Uint8Array.of(name.length), Buffer.from(name), length, Buffer.from(value)];
  };
  return zmtpCommand(
    'READY',
    Buffer.concat([...property('Identity', ''), ...property('SOCKET-type', socketType)]),
  );
}

/** One frame that a subscriber sends; all of them are short. */
export async function readFrame(socket: Socket): Promise<{ flags: number; body: Buffer }> {
  const [flags = 0, length = 0] = await readBytes(socket, 2);
  return { flags, body: await readBytes(socket, length) };
}

export class ZmtpPublisher extends ProxyServer {
  /** The subscriptions as they came. */
  readonly subscriptions: { flags: number; body: Buffer }[] = [];
  /** What it is. */
  greeting: Buffer = zmtpGreeting();
  ready: Buffer = zmtpReady('PUB');
  /** What it does with a subscriber. */
  subscribed: (socket: Socket) => void | Promise<void> = () => {};

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  protected override async serve(socket: Socket): Promise<void> {
    // In one piece: whoever reads it must not count on pieces.
    socket.write(Buffer.concat([this.greeting, this.ready]));
    const theirs = await readBytes(socket, 64);
    if (!theirs.equals(zmtpGreeting().fill(0, 1, 9))) throw new Error('greeting');
    const { flags, body } = await readFrame(socket);
    if (flags !== 4 || body.toString('latin1') !== '\x05READY\x0bSocket-Type\0\0\0\x03SUB')
      throw new Error('READY');
    this.subscriptions.push(await readFrame(socket));
    this.wake();
    await this.subscribed(socket);
    // What it says then is for nobody.
    socket.resume();
  }
}
