/**
 * A SAM bridge (v3.1) on loopback, with nothing of I2P behind it: streams between its own sessions, and to servers of a
 * test's that have a name. Strict where a router is: one STREAM ACCEPT at a time, sessions that end with their connection.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Test } from 'tap';
import { i2pHashName } from '../../src/connector/i2p-address.js';
import { ProxyServer, readBytes } from './proxy-server.js';

interface Session {
  readonly id: string;
  readonly control: Socket;
  readonly destination: string;
  /** Waits for a peer. */
  acceptor: Socket | null;
  /** Peers that wait to be accepted. */
  readonly waiting: { stream: Socket; from: string }[];
}

export class SamBridge extends ProxyServer {
  /** What was asked of it, in order; destinations and keys cut short. */
  readonly commands: string[] = [];
  readonly #servers: ReadonlyMap<string, number>;
  readonly #destinations = new Map<string, string>();
  readonly #sessions = new Map<string, Session>();

  /** `servers`: ports of 127.0.0.1 behind names of I2P's. */
  constructor(t: Test, servers: Readonly<Record<string, number>> = {}) {
    super(t);
    this.#servers = new Map(Object.entries(servers));
    for (const name of this.#servers.keys()) this.#destinations.set(name, destinationOf(newKeys()));
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Names of the sessions there are. */
  get names(): string[] {
    return [...this.#sessions.values()].map(({ destination }) => nameOf(destination));
  }

  /** Ends the sessions, and leaves their streams. */
  endSessions(): void {
    for (const { control } of this.#sessions.values()) control.destroy();
  }

  protected override async serve(socket: Socket): Promise<void> {
    for (;;) {
      const line = await readLine(socket);
      this.commands.push(line.replace(/[A-Za-z0-9~-]{100,}=*/g, (text) => `${text.slice(0, 8)}…`));
      this.wake();
      const [command = '', topic = '', ...rest] = line.split(' ');
      const fields = new Map(rest.map((text) => text.split(/=(.*)/s, 2) as [string, string]));
      const verb = `${command} ${topic}`;
      if (verb === 'HELLO VERSION') socket.write('HELLO REPLY RESULT=OK VERSION=3.1\n');
      else if (verb === 'SESSION CREATE') this.#create(socket, fields);
      else if (verb === 'NAMING LOOKUP') this.#lookUp(socket, fields.get('NAME') ?? '');
      else if (verb === 'STREAM CONNECT') return this.#connect(socket, fields);
      else if (verb === 'STREAM ACCEPT') return this.#accept(socket, fields.get('ID') ?? '');
      else throw new Error(`unknown: ${line}`);
    }
  }

  #create(control: Socket, fields: ReadonlyMap<string, string>): void {
    const id = fields.get('ID') ?? '';
    const given = fields.get('DESTINATION') ?? '';
    const keys = given === 'TRANSIENT' ? newKeys() : given;
    const destination = destinationOf(keys);
    const isTaken = [...this.#sessions.values()].some((session) => session.destination === destination);
    if (isTaken || this.#sessions.has(id)) {
      control.end(`SESSION STATUS RESULT=${isTaken ? 'DUPLICATED_DEST' : 'DUPLICATED_ID'}\n`);
      return;
    }
    this.#sessions.set(id, { id, control, destination, acceptor: null, waiting: [] });
    this.#destinations.set(nameOf(destination), destination);
    control.on('close', () => this.#sessions.delete(id));
    control.write(`SESSION STATUS RESULT=OK DESTINATION=${keys}\n`);
    this.wake();
  }

  #lookUp(socket: Socket, name: string): void {
    const ours = [...this.#sessions.values()].find(({ control }) => control === socket);
    const value = name === 'ME' ? ours?.destination : this.#destinations.get(name);
    socket.write(
      value === undefined
        ? `NAMING REPLY RESULT=KEY_NOT_FOUND NAME=${name}\n`
        : `NAMING REPLY RESULT=OK NAME=${name} VALUE=${value}\n`,
    );
  }

  #connect(stream: Socket, fields: ReadonlyMap<string, string>): void {
    const from = this.#sessions.get(fields.get('ID') ?? '');
    const destination = fields.get('DESTINATION') ?? '';
    const session = [...this.#sessions.values()].find((each) => each.destination === destination);
    const [name = ''] = [...this.#destinations].find(([, value]) => value === destination) ?? [];
    const port = this.#servers.get(name);
    if (!from) stream.end('STREAM STATUS RESULT=INVALID_ID\n');
    else if (session) {
      stream.write('STREAM STATUS RESULT=OK\n');
      session.waiting.push({ stream, from: from.destination });
      this.#join(session);
    } else if (port !== undefined) {
      const onward = connect(port, '127.0.0.1', () => stream.write('STREAM STATUS RESULT=OK\n'));
      this.#lead(stream, onward);
    } else stream.end('STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE="no lease set"\n');
  }

  #accept(socket: Socket, id: string): void {
    const session = this.#sessions.get(id);
    if (!session) socket.end('STREAM STATUS RESULT=INVALID_ID\n');
    else if (session.acceptor) socket.end('STREAM STATUS RESULT=I2P_ERROR MESSAGE="already accepting"\n');
    else {
      session.acceptor = socket;
      socket.on('close', () => {
        if (session.acceptor === socket) session.acceptor = null;
      });
      session.control.on('close', () => session.acceptor?.destroy());
      socket.write('STREAM STATUS RESULT=OK\n');
      this.#join(session);
    }
  }

  #join(session: Session): void {
    const { acceptor } = session;
    const next = acceptor && session.waiting.shift();
    if (!next) return;
    session.acceptor = null;
    // What the peer says first comes in the same packet.
    acceptor.write(`${next.from}\n`);
    this.#lead(next.stream, acceptor);
  }

  #lead(one: Socket, other: Socket): void {
    this.keep(other);
    one.pipe(other).pipe(one);
    one.on('close', () => other.destroy());
    other.on('close', () => one.destroy());
    one.resume();
    other.resume();
  }
}

/** A destination with a certificate of 4 bytes, as for EdDSA, and keys behind it; none is any. */
function newKeys(): string {
  const bytes = randomBytes(391 + 256 + 32);
  bytes.set([5, 0, 4, 0, 7, 0, 4], 384);
  return base64(bytes);
}

function destinationOf(keys: string): string {
  return base64(unbase64(keys).subarray(0, 391));
}

/** The name of a destination. */
export function nameOf(destination: string): string {
  return i2pHashName(createHash('sha256').update(unbase64(destination)).digest());
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replace(/\+/g, '-').replace(/\//g, '~');
}

function unbase64(text: string): Buffer {
  return Buffer.from(text.replace(/-/g, '+').replace(/~/g, '/'), 'base64');
}

/** A line, and no byte behind it. */
async function readLine(socket: Socket): Promise<string> {
  let line = '';
  for (;;) {
    const [byte = 0] = await readBytes(socket, 1);
    if (byte === 10) return line;
    line += String.fromCharCode(byte);
  }
}
