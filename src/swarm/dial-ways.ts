/**
 * The ways in which an address may be dialled, the preferred one first. An address is dialled the way that worked
 * last; when that fails, the next one is tried at once, and only after all of them the address has failed.
 */
import type { How } from './link-host.js';

/**
 * `off`: no encryption. `allowed`: plain first, as the peer likes. `preferred`: encrypted first. `required`: nothing
 * that is not encrypted.
 */
export type Encryption = 'off' | 'allowed' | 'preferred' | 'required';

export type DialWay = Required<How>;

/** How far the ways to one address are tried. */
export interface TriedWays {
  /** The one that worked last, or the next to try. */
  way: number;
  /** How many failed since one worked. */
  failedWays: number;
}

/** Endings of a connection that never opened, for which another way may do better. */
const OTHER_WAY: ReadonlySet<string> = new Set([
  'reset',
  'bad-message',
  'encryption',
  'handshake-timeout',
  'refused',
  'dial-timeout',
]);
/** Of these, those that say nothing answers on this transport, encrypted or not. */
const OTHER_TRANSPORT: ReadonlySet<string> = new Set(['refused', 'dial-timeout']);

const ENCRYPTED: Readonly<Record<Encryption, readonly boolean[]>> = {
  off: [false],
  allowed: [false, true],
  preferred: [true, false],
  required: [true],
};

export class DialWays {
  readonly ways: readonly DialWay[];

  constructor(encryption: Encryption, utp: boolean) {
    const transports: readonly DialWay['transport'][] = utp ? ['tcp', 'utp'] : ['tcp'];
    this.ways = transports.flatMap((transport) =>
      ENCRYPTED[encryption].map((encrypted) => ({ transport, encrypted })),
    );
  }

  of(tried: TriedWays): DialWay {
    return this.ways[tried.way % this.ways.length] ?? { transport: 'tcp', encrypted: false };
  }

  /** An address of which it was said how it likes to be dialled, before it was dialled. */
  advised(tried: TriedWays, advice: { prefersEncryption?: boolean; utp?: boolean }): void {
    const transport = this.ways.some((way) => way.transport === 'utp') && advice.utp ? 'utp' : 'tcp';
    const suits = (way: DialWay) =>
      way.transport === transport && (way.encrypted || !advice.prefersEncryption);
    tried.way = Math.max(0, this.ways.findIndex(suits));
  }

  /** This way did not lead to an open connection; true when there is another one to try now. */
  failed(tried: TriedWays, reason: string): boolean {
    const { transport } = this.of(tried);
    while (OTHER_WAY.has(reason) && tried.failedWays + 1 < this.ways.length) {
      tried.failedWays++;
      tried.way = (tried.way + 1) % this.ways.length;
      if (!OTHER_TRANSPORT.has(reason) || this.of(tried).transport !== transport) return true;
    }
    // Round: the next time begins with the one that this time began with.
    tried.way = (tried.way + this.ways.length - tried.failedWays) % this.ways.length;
    tried.failedWays = 0;
    return false;
  }
}
