/**
 * A subscriber of ZeroMQ's (SUB over TCP, mechanism NULL; RFC 23, 29 and 37), as far as a node's notifications ask for
 * one (Core's `doc/zmq.md`): one topic, of which it is only told that there was a message.
 */
import { connect } from 'node:net';
import type { PeerAddress } from '../connector.js';
import type { NoAnswer } from './core-rpc.js';
import { GREETING_BYTES, ZmtpFault, type ZmtpFrame, type ZmtpGreeting, ZmtpReader } from './zmtp-reader.js';

/** From the first packet on, until messages can come. */
const HANDSHAKE_MS = 10_000;
/** A node on another machine may go without a word; it is asked as often as this whether it is there. */
const KEEP_ALIVE_MS = 60_000;
const MAX_PING_CONTEXT_BYTES = 16;

export class ZmtpSubscriber {
  readonly #address: PeerAddress;
  readonly #topic: string;
  readonly #handshakeMs: number;

  /** The host may be a name. */
  constructor(address: PeerAddress, topic: string, options: { readonly handshakeMs?: number } = {}) {
    this.#address = address;
    this.#topic = topic;
    this.#handshakeMs = options.handshakeMs ?? HANDSHAKE_MS;
  }

  /**
   * Connects, and calls `heard` as soon as messages can come, for those that were missed, and whenever one has come, or
   * several at once. Resolves with the reason when that ends; never rejects.
   */
  async listen(heard: () => void, signal: AbortSignal): Promise<NoAnswer> {
    const { host, port } = this.#address;
    const socket = connect({ host, port, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS });
    // Told below, by the loop.
    socket.on('error', () => {});
    // Not as an option of the socket's: each leaves something behind at a signal that lives as long as the process.
    const stop = () => socket.destroy();
    signal.addEventListener('abort', stop);
    if (signal.aborted) stop();
    const giveUp = () => socket.destroy(new ZmtpFault('nothing there answers as ZeroMQ does'));
    const timer = setTimeout(giveUp, this.#handshakeMs);
    const subscription = new Subscription(this.#topic);
    try {
      socket.write(greeting());
      for await (const chunk of socket) {
        const { handshake, pong, isHeard } = subscription.receive(chunk as Buffer);
        if (handshake.length > 0) socket.write(handshake);
        // Whoever asks and does not listen gets no answer: nothing piles up here.
        if (pong && socket.writableLength === 0) socket.write(pong);
        if (subscription.isReady) clearTimeout(timer);
        if (isHeard) heard();
      }
      return failed('ECONNRESET', subscription);
    } catch (error) {
      if (error instanceof ZmtpFault) return { failure: error.message, isRefused: true };
      const { code, message } = error as NodeJS.ErrnoException;
      return failed(code ?? message, subscription);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
      socket.destroy();
    }
  }
}

/** What comes of some bytes. */
interface Heard {
  readonly handshake: Buffer;
  readonly pong: Buffer | null;
  /** There was a message, or can be one from now on. */
  readonly isHeard: boolean;
}

/** One connection's talk: bytes in, bytes and hints out. */
class Subscription {
  readonly #topic: Buffer;
  readonly #reader = new ZmtpReader();
  #greeting: ZmtpGreeting | null = null;
  #isReady = false;
  #isFirstPart = true;
  #isOnTopic = false;

  constructor(topic: string) {
    this.#topic = Buffer.from(topic);
  }

  /** Whether messages can come. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** @throws ZmtpFault */
  receive(chunk: Uint8Array): Heard {
    const handshake: Buffer[] = [];
    let pong: Buffer | null = null;
    let isHeard = false;
    for (const item of this.#reader.read(chunk)) {
      if (item.kind === 'greeting') handshake.push(this.#greeted(item));
      else if (item.kind === 'part') isHeard = this.#isHeardWith(item) || isHeard;
      else {
        const [name, data] = commandOf(item);
        if (!this.#isReady) {
          handshake.push(this.#ready(name, data));
          isHeard = true;
        } else if (name === 'PING') {
          // A time to live of two bytes comes first. One answer to many that came together: any sign of life will do.
          pong = command('PONG', data.subarray(2, 2 + MAX_PING_CONTEXT_BYTES));
        }
      }
    }
    return { handshake: Buffer.concat(handshake), pong, isHeard };
  }

  #greeted(greeting: ZmtpGreeting): Buffer {
    const { mechanism } = greeting;
    if (mechanism !== 'NULL') throw new ZmtpFault(`it asks for a login (${mechanism}), which no node does`);
    this.#greeting = greeting;
    return command('READY', property('Socket-Type', 'SUB'));
  }

  #ready(name: string, data: Buffer): Buffer {
    if (name === 'ERROR') throw new ZmtpFault(`it refuses: ${data.toString('latin1', 1)}`);
    const type = name === 'READY' ? propertiesOf(data).get('socket-type') : undefined;
    if (type !== 'PUB' && type !== 'XPUB') throw new ZmtpFault('it is no publisher of ZeroMQ');
    this.#isReady = true;
    const { majorVersion = 3, minorVersion = 0 } = this.#greeting ?? {};
    return majorVersion === 3 && minorVersion === 0
      ? frame(0, Buffer.concat([Uint8Array.of(1), this.#topic]))
      : command('SUBSCRIBE', this.#topic);
  }

  #isHeardWith({ body, isLast }: ZmtpFrame): boolean {
    if (!this.#isReady) throw new ZmtpFault('it sends messages before it is ready');
    // The publisher sends whatever begins with the topic.
    if (this.#isFirstPart) this.#isOnTopic = body?.equals(this.#topic) ?? false;
    this.#isFirstPart = isLast;
    return isLast && this.#isOnTopic;
  }
}

function greeting(): Buffer {
  const bytes = Buffer.alloc(GREETING_BYTES);
  bytes.set([0xff], 0);
  bytes.set([0x7f, 3, 1], 9);
  bytes.write('NULL', 12);
  return bytes;
}

/** A short one. */
function frame(flags: number, body: Uint8Array): Buffer {
  return Buffer.concat([Uint8Array.of(flags, body.length), body]);
}

function command(name: string, data: Uint8Array): Buffer {
  return frame(4, Buffer.concat([Uint8Array.of(name.length), Buffer.from(name), data]));
}

function property(name: string, value: string): Buffer {
  return Buffer.concat([
    Uint8Array.of(name.length),
    Buffer.from(name),
    Uint8Array.of(0, 0, 0, value.length),
    Buffer.from(value),
  ]);
}

/** Its name and data; of one that is too long to be held, neither. */
function commandOf({ body }: ZmtpFrame): [name: string, data: Buffer] {
  const bytes = body ?? Buffer.alloc(1);
  const dataAt = 1 + (bytes[0] ?? 0);
  return [bytes.toString('latin1', 1, dataAt), bytes.subarray(dataAt)];
}

/** By names in small letters, which have no case. What is cut short is left out. */
function propertiesOf(data: Buffer): Map<string, string> {
  const properties = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const valueAt = at + 1 + data.readUInt8(at) + 4;
    if (valueAt > data.length) break;
    const valueEnd = valueAt + data.readUInt32BE(valueAt - 4);
    if (valueEnd > data.length) break;
    const name = data.toString('latin1', at + 1, valueAt - 4).toLowerCase();
    properties.set(name, data.toString('latin1', valueAt, valueEnd));
    at = valueEnd;
  }
  return properties;
}

const failures: { readonly [code: string]: string } = {
  ECONNREFUSED: 'refused',
  ENOTFOUND: 'unresolved',
  EAI_AGAIN: 'unresolved',
};

function failed(code: string, { isReady }: Subscription): NoAnswer {
  const closed = isReady
    ? 'the connection was closed'
    : 'it closes the connection, as what is not ZeroMQ does';
  return { failure: code === 'ECONNRESET' ? closed : (failures[code] ?? code), isRefused: false };
}
