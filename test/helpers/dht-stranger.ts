import { randomBytes } from 'node:crypto';
import type { Encodable } from '../../src/bencode.js';
import type { PeerAddress } from '../../src/connector.js';
import { encodeQuery, encodeReply, type KrpcMessage, parseKrpc } from '../../src/discovery/krpc.js';
import { encodeCompactAddress } from '../../src/wire/compact-address.js';
import type { DatagramSwitch } from './datagram-switch.js';

type Fields = Record<string, Encodable>;

/** A node that says what the test wants: hostile, or from another program. */
export class Stranger {
  readonly id: Uint8Array;
  /** What it answers to a question; null for nothing. */
  answer: (method: string) => Fields | null;
  /** Where it says that it sees others. */
  sees: PeerAddress = { host: '8.8.8.8', port: 1 };
  readonly heard: string[] = [];
  sentBytes = 0;
  receivedBytes = 0;
  readonly #net: DatagramSwitch;
  readonly #address: PeerAddress;
  readonly #waiting = new Map<string, (message: KrpcMessage) => void>();

  constructor(net: DatagramSwitch, address: PeerAddress, isThere = true, id: Uint8Array = randomBytes(20)) {
    this.#net = net;
    this.#address = address;
    this.id = id;
    this.answer = () => (isThere ? {} : null);
    net.listen(address, (from, payload) => this.#take(from, payload));
  }

  question(
    method: string,
    args: Fields = {},
    { transaction = randomBytes(2), readOnly = false } = {},
  ): Uint8Array {
    return encodeQuery(transaction, method, new Map(Object.entries({ ...args, id: this.id })), readOnly);
  }

  /** Null when there is no answer. */
  async ask(to: PeerAddress, method: string, args: Fields, readOnly = false): Promise<KrpcMessage | null> {
    const transaction = randomBytes(4);
    const key = transaction.toString('latin1');
    const payload = this.question(method, args, { transaction, readOnly });
    this.sentBytes += payload.length;
    const answer = new Promise<KrpcMessage>((resolve) => this.#waiting.set(key, resolve));
    this.#net.send(this.#address, payload, to);
    let timer: NodeJS.Timeout | undefined;
    const silence = new Promise<null>((resolve) => {
      timer = setTimeout(resolve, 5000, null);
    });
    return Promise.race([answer, silence]).finally(() => clearTimeout(timer));
  }

  #take(from: PeerAddress, payload: Uint8Array): void {
    const message = parseKrpc(payload);
    if (message?.kind === 'query') {
      this.heard.push(message.method);
      const fields = this.answer(message.method);
      if (!fields) return;
      const values = new Map(Object.entries({ id: this.id, ...fields }));
      this.#net.send(
        this.#address,
        encodeReply(message.transaction, values, encodeCompactAddress(this.sees)),
        from,
      );
    } else if (message) {
      this.receivedBytes += payload.length;
      this.#waiting.get(Buffer.from(message.transaction).toString('latin1'))?.(message);
    }
  }
}
