/**
 * Write tokens (BEP 5): whoever brings one back has read what we sent to its address. Nothing is kept for them but two
 * secrets.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** BEP 5: the secret changes every five minutes, and tokens up to ten minutes old are taken. */
const ROTATE_MS = 5 * 60_000;
const TOKEN_BYTES = 8;

export class WriteTokens {
  readonly #clock: () => number;
  #secret = randomBytes(16);
  #previous = randomBytes(16);
  #rotateAtMs: number;

  /** `clock`: milliseconds since any fixed start. */
  constructor(clock: () => number) {
    this.#clock = clock;
    this.#rotateAtMs = clock() + ROTATE_MS;
  }

  /** For a host, and what it asked for (an infohash or the target of an item): it serves for nothing else. */
  make(host: string, target: Uint8Array): Uint8Array {
    this.#rotate();
    return token(this.#secret, host, target);
  }

  isValid(given: Uint8Array, host: string, target: Uint8Array): boolean {
    this.#rotate();
    if (given.length !== TOKEN_BYTES) return false;
    return [this.#secret, this.#previous].some((secret) =>
      timingSafeEqual(token(secret, host, target), given),
    );
  }

  #rotate(): void {
    const late = this.#clock() - this.#rotateAtMs;
    if (late < 0) return;
    // After a long rest neither secret is young enough.
    this.#previous = late < ROTATE_MS ? this.#secret : randomBytes(16);
    this.#secret = randomBytes(16);
    this.#rotateAtMs = this.#clock() + ROTATE_MS;
  }
}

function token(secret: Uint8Array, host: string, target: Uint8Array): Buffer {
  return createHmac('sha256', secret)
    .update(host)
    .update(' ')
    .update(target)
    .digest()
    .subarray(0, TOKEN_BYTES);
}
