import * as bindings from '../../bindings/index.js';
import { call } from './task.js';

/** A network's parameters, from Core's. Hashes are 32 bytes in internal order. */
export type Network = Readonly<bindings.NetworkParams>;

/** @throws BlockswarmError ERR_NETWORK_UNKNOWN */
export function networkParams(name: string): Network {
  return call(() => bindings.networkParams(name));
}

/** A header that breaks a rule; `rule` is Core's reject reason. */
export type HeaderFault = Readonly<bindings.HeaderFault>;

/** A chain of headers from genesis on, each judged by every rule of DESIGN §2 when it is appended. */
export class HeaderChain {
  /** Of the addon; for `BlocksJudge` only. */
  readonly inner: bindings.HeaderChain;

  constructor(network: string) {
    this.inner = call(() => new bindings.HeaderChain(network));
  }

  /** Appends 80-byte headers; those before the first bad one are kept, and the bad one is returned. */
  append(headers: Uint8Array, nowSeconds: number): HeaderFault | null {
    return call(() => this.inner.append(headers, Math.floor(nowSeconds)));
  }

  /** Height of the last header; -1 when empty. */
  height(): number {
    return this.inner.height();
  }

  /** 32 bytes, internal order. */
  hashAt(height: number): Uint8Array {
    return this.#at(height, this.inner.hashAt(height));
  }

  /** Work of the chain up to and with this height, 32 bytes, big-endian. */
  workAt(height: number): Uint8Array {
    return call(() => this.#at(height, this.inner.workAt(height)));
  }

  #at(height: number, bytes: Uint8Array | null): Uint8Array {
    if (!bytes) throw new RangeError(`"height" expected integer in 0..${this.height()}, got ${height}`);
    return bytes;
  }
}
