/** An HTTP server of the double: it has every file, and sends block after block at its rate, until it is told to fail. */
import { BLOCK_BYTES } from '../../src/swarm/geometry.js';
import type { SimClock } from './sim-clock.js';
import type { SimLink, SimMessage } from './sim-link.js';

export interface SimWebServerOptions {
  readonly rateBytesPerSecond?: number;
  /** Which blocks it serves wrong. */
  readonly corrupts?: (piece: number, block: number) => boolean;
}

interface Wanted {
  readonly link: SimLink;
  readonly piece: number;
  readonly block: number;
}

export class SimWebServer {
  /** How it answers whatever it is asked, while set. */
  failure: { readonly reason: string; readonly retryAfterMs?: number } | null = null;
  sentBlocks = 0;
  connections = 0;
  readonly #clock: SimClock;
  readonly #options: SimWebServerOptions;
  #wanted: Wanted[] = [];
  #isServing = false;

  constructor(clock: SimClock, options: SimWebServerOptions = {}) {
    this.#clock = clock;
    this.#options = options;
  }

  /** The server's end of a link. */
  endOf(link: SimLink) {
    this.connections++;
    return { receive: (message: SimMessage) => this.#receive(link, message) };
  }

  #receive(link: SimLink, message: SimMessage): void {
    if (message.type === 'close') this.#forget(link);
    if (message.type === 'cancel') {
      this.#wanted = this.#wanted.filter((wanted) => {
        return wanted.link !== link || wanted.piece !== message.piece || wanted.block !== message.block;
      });
    }
    if (message.type !== 'request') return;
    if (this.failure) {
      this.#forget(link);
      link.ended(this.failure.reason, this.failure.retryAfterMs);
      return;
    }
    this.#wanted.push({ link, piece: message.piece, block: message.block });
    this.#serve();
  }

  #serve(): void {
    if (this.#isServing || this.#wanted.length === 0) return;
    this.#isServing = true;
    const rate = this.#options.rateBytesPerSecond ?? 100_000_000;
    const atMs = Math.max(
      0,
      ...(this.#wanted[0]?.link.rateClasses ?? []).map((each) => each.nextMs('download')),
    );
    this.#clock.after(Math.max((BLOCK_BYTES * 1000) / rate, atMs - this.#clock.nowMs), () => {
      this.#isServing = false;
      const next = this.#wanted.shift();
      if (next) {
        const { link, piece, block } = next;
        this.sentBlocks++;
        for (const each of link.rateClasses) each.charge('download', this.#clock.nowMs);
        link.receive({ type: 'block', piece, block, good: !this.#options.corrupts?.(piece, block) });
      }
      this.#serve();
    });
  }

  #forget(link: SimLink): void {
    this.#wanted = this.#wanted.filter((wanted) => wanted.link !== link);
  }
}
