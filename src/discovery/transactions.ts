/**
 * Questions under way: each has a random transaction id that only who got it can repeat, and an end in time. What
 * answers none of them is nobody's.
 */
import { randomBytes } from 'node:crypto';
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import { encodeQuery, type KrpcError, type KrpcFields, type KrpcReply } from './krpc.js';

/** What came of a question. */
export type Answer = KrpcReply | KrpcError | { readonly kind: 'silence' };

export interface TransactionsOptions {
  /** Hands a datagram to the network. */
  readonly send: (payload: Uint8Array, to: PeerAddress) => void;
  /** How long a node has. */
  readonly answerMs: number;
  /** BEP 43. */
  readonly readOnly: boolean;
}

const TRANSACTION_BYTES = 4;
/** More questions than all walks ask at once. */
const MAX_OPEN = 2048;
const SILENCE = { kind: 'silence' } as const;

interface Open {
  readonly address: string;
  readonly timer: NodeJS.Timeout;
  readonly settle: (answer: Answer) => void;
}

export class Transactions {
  readonly #options: TransactionsOptions;
  readonly #open = new Map<string, Open>();
  #isClosed = false;

  constructor(options: TransactionsOptions) {
    this.#options = options;
  }

  /** Asks a node. Never rejects. */
  ask(to: PeerAddress, method: string, args: KrpcFields): Promise<Answer> {
    if (this.#isClosed || this.#open.size >= MAX_OPEN) return Promise.resolve(SILENCE);
    const { send, answerMs, readOnly } = this.#options;
    return new Promise((resolve) => {
      const transaction = randomBytes(TRANSACTION_BYTES);
      const key = transaction.toString('latin1');
      const settle = (answer: Answer) => {
        clearTimeout(timer);
        if (this.#open.get(key)?.timer === timer) this.#open.delete(key);
        resolve(answer);
      };
      // After a stall of ours timers run first: an answer that waits in the socket is heard before it counts as silence.
      const timer = setTimeout(() => setImmediate(settle, SILENCE), answerMs);
      this.#open.get(key)?.settle(SILENCE);
      this.#open.set(key, { address: formatPeerAddress(to), timer, settle });
      send(encodeQuery(transaction, method, args, readOnly), to);
    });
  }

  /** Takes an answer; `false` when it answers nothing that this address was asked. */
  take(from: PeerAddress, answer: KrpcReply | KrpcError): boolean {
    const open = this.#open.get(Buffer.from(answer.transaction).toString('latin1'));
    if (open?.address !== formatPeerAddress(from)) return false;
    open.settle(answer);
    return true;
  }

  /** Ends all questions, as silence. */
  close(): void {
    this.#isClosed = true;
    for (const { settle } of [...this.#open.values()]) settle(SILENCE);
  }
}
