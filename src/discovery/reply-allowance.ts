/**
 * How large a reply may be. The address of a question may be forged, and the reply then hits someone who asked nothing:
 * until it is proven, it gets no more than three times what came in its name (as in QUIC, RFC 9000 §8.1). It is proven
 * by whatever only its holder can have read: a write token, or the transaction id of a question of ours.
 */
const FACTOR = 3;
/** Fits any path in one piece: 1280 bytes of IPv6 less its headers. */
export const MAX_REPLY_BYTES = 1232;
const PROVEN_MS = 10 * 60_000;
const MAX_PROVEN = 4096;

export class ReplyAllowance {
  readonly #clock: () => number;
  /** Until when, by host, the oldest first. */
  readonly #proven = new Map<string, number>();

  constructor(clock: () => number) {
    this.#clock = clock;
  }

  prove(host: string): void {
    this.#proven.delete(host);
    this.#proven.set(host, this.#clock() + PROVEN_MS);
    const [oldest] = this.#proven.keys();
    if (this.#proven.size > MAX_PROVEN && oldest !== undefined) this.#proven.delete(oldest);
  }

  isProven(host: string): boolean {
    return (this.#proven.get(host) ?? 0) > this.#clock();
  }

  /** The longest reply to a question of so many bytes. */
  bytesFor(host: string, questionBytes: number): number {
    return this.isProven(host) ? MAX_REPLY_BYTES : Math.min(MAX_REPLY_BYTES, FACTOR * questionBytes);
  }
}
