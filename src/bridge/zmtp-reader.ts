/**
 * ZMTP, ZeroMQ's protocol over TCP, as it comes in (versions 3.0 and 3.1: ZeroMQ RFC 23 and 37): bytes in, a greeting and
 * frames out. Bodies over a limit are passed over as they come, and not held.
 */

export interface ZmtpGreeting {
  readonly kind: 'greeting';
  readonly majorVersion: number;
  readonly minorVersion: number;
  /** `NULL`, `PLAIN`, `CURVE`, … */
  readonly mechanism: string;
}

/** A command, or a part of a message. */
export interface ZmtpFrame {
  readonly kind: 'command' | 'part';
  /** Of its message. */
  readonly isLast: boolean;
  /** Null for one that is longer than is held. */
  readonly body: Buffer | null;
}

/** What comes is not ZMTP, or not a kind of it that we speak; the message is a few words for a person. */
export class ZmtpFault extends Error {}

export const GREETING_BYTES = 64;
/** Of a body. A command of a node's has less than 100, and no part of what is subscribed to more than 32. */
export const MAX_BODY_BYTES = 1024;

const MORE = 1;
const LONG = 2;
const COMMAND = 4;

export class ZmtpReader {
  /** No more than a frame that is held, between two reads. */
  #held: Buffer = Buffer.alloc(0);
  #isGreeted = false;
  #passedOver: { readonly frame: ZmtpFrame; leftBytes: number } | null = null;

  /** What is whole with these bytes; to be taken to the end before the next. @throws ZmtpFault, for good */
  *read(chunk: Uint8Array): Generator<ZmtpGreeting | ZmtpFrame> {
    this.#held = Buffer.concat([this.#held, chunk]);
    for (let item = this.#next(); item !== null; item = this.#next()) yield item;
  }

  #next(): ZmtpGreeting | ZmtpFrame | null {
    if (this.#passedOver) return this.#passOver(this.#passedOver);
    if (!this.#isGreeted) return this.#greeting();
    return this.#frame();
  }

  #greeting(): ZmtpGreeting | null {
    const held = this.#held;
    // As soon as it can be told: what speaks another protocol may say no more than a few bytes.
    const isSigned = (held[0] ?? 0xff) === 0xff && (held[9] ?? 0x7f) === 0x7f;
    if (!isSigned) throw new ZmtpFault('what answers there is not ZeroMQ');
    const majorVersion = held[10] ?? 3;
    if (majorVersion < 3) throw new ZmtpFault('it speaks a version of ZMTP before 3.0');
    if (held.length < GREETING_BYTES) return null;
    const mechanism = held.toString('latin1', 12, 32).replace(/\0+$/, '');
    this.#isGreeted = true;
    this.#held = held.subarray(GREETING_BYTES);
    return { kind: 'greeting', majorVersion, minorVersion: held[11] ?? 0, mechanism };
  }

  #frame(): ZmtpFrame | null {
    const held = this.#held;
    const [flags] = held;
    if (flags === undefined) return null;
    const kind = (flags & COMMAND) === 0 ? 'part' : 'command';
    const isLast = (flags & MORE) === 0;
    if (flags > (MORE | LONG | COMMAND) || (kind === 'command' && !isLast))
      throw new ZmtpFault('it sends frames that are not ZMTP');
    const bodyAt = (flags & LONG) === 0 ? 2 : 9;
    if (held.length < bodyAt) return null;
    const lengthBytes = bodyAt === 2 ? held.readUInt8(1) : Number(held.readBigUInt64BE(1));
    if (lengthBytes > Number.MAX_SAFE_INTEGER) throw new ZmtpFault('it sends frames that never end');
    if (lengthBytes > MAX_BODY_BYTES) {
      this.#held = held.subarray(bodyAt);
      this.#passedOver = { frame: { kind, isLast, body: null }, leftBytes: lengthBytes };
      return this.#passOver(this.#passedOver);
    }
    if (held.length < bodyAt + lengthBytes) return null;
    this.#held = held.subarray(bodyAt + lengthBytes);
    return { kind, isLast, body: held.subarray(bodyAt, bodyAt + lengthBytes) };
  }

  #passOver(passedOver: { readonly frame: ZmtpFrame; leftBytes: number }): ZmtpFrame | null {
    const bytes = Math.min(passedOver.leftBytes, this.#held.length);
    passedOver.leftBytes -= bytes;
    this.#held = this.#held.subarray(bytes);
    if (passedOver.leftBytes > 0) return null;
    this.#passedOver = null;
    return passedOver.frame;
  }
}
