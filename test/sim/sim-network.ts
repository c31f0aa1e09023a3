/**
 * Who can be reached, and how long it takes. Links are TCP's: nothing is lost and nothing overtakes, so what a
 * network loses shows itself as a pause of the one link, and now and then as its end.
 */
import { type SimClock, seededRandom } from './sim-clock.js';
import type { SimHost } from './sim-host.js';
import type { SimWebServer } from './sim-web-server.js';

export interface SimNetworkOptions {
  /** From anybody to anybody, one way; hosts may add their own. */
  readonly latencyMs?: number;
  /** Share of messages whose packet is lost: they, and all behind them, wait until it was sent again. */
  readonly lossShare?: number;
  /** What is random, is so by this. */
  readonly seed?: number;
}

/** TCP notices a loss after 200 ms at the earliest, then waits twice as long each time. */
const RETRANSMIT_MS = 200;
const MAX_RETRANSMITS = 5;

/** How long a link goes on hearing nothing: `idle_timeout` of the native core. */
export const IDLE_MS = 120_000;

export class SimNetwork {
  readonly clock: SimClock;
  readonly latencyMs: number;
  readonly hosts = new Map<string, SimHost>();
  /** By URL. */
  readonly webServers = new Map<string, SimWebServer>();
  readonly random: () => number;
  readonly #lossShare: number;

  constructor(clock: SimClock, options: SimNetworkOptions = {}) {
    this.clock = clock;
    this.latencyMs = options.latencyMs ?? 10;
    this.#lossShare = options.lossShare ?? 0;
    this.random = seededRandom((options.seed ?? 1) ^ 0x5eed);
  }

  /** How long a message is on its way. */
  delayMs(from: SimHost, to: SimHost): number {
    let delayMs = this.latencyMs + (from.options.latencyMs ?? 0) + (to.options.latencyMs ?? 0);
    if (this.#lossShare === 0) return delayMs;
    for (let sent = 0; sent < MAX_RETRANSMITS && this.random() < this.#lossShare; sent++) {
      delayMs += RETRANSMIT_MS * 2 ** sent;
    }
    return delayMs;
  }
}
