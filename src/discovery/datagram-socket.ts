/**
 * An object with the part of dgram's interface that `k-rpc-socket` uses, over datagrams that the native core
 * receives and sends: the DHT shares the one UDP port of the process.
 *
 * Gates both ways: in come only sound messages from IPv4 addresses (the package knows no other), out go only bounded
 * messages to IP literals that may be dialled. No name is ever resolved.
 */

import { EventEmitter } from 'node:events';
import { isIPv4 } from 'node:net';
import { formatPeerAddress, type PeerAddress } from '../connector.js';
import { boundReply, isSoundKrpc } from './krpc.js';

/** A datagram that came in. */
export interface Datagram {
  readonly host: string;
  readonly port: number;
  readonly payload: Uint8Array;
}

export interface DatagramSocketOptions {
  /** Hands a datagram to the network; `false` when it could not be taken. */
  send: (payload: Uint8Array, host: string, port: number) => boolean;
  /** Where the UDP port is bound. */
  address: PeerAddress;
  /** Whether a datagram may go to an address that somebody told us. */
  mayDial: (address: PeerAddress) => boolean;
}

/** Events as dgram's: `listening`, `message` (payload, rinfo), `error`, `close`. */
export class DatagramSocket extends EventEmitter {
  /** Datagrams that were refused at the gate. */
  refused = 0;
  private readonly options: DatagramSocketOptions;
  /** Whoever just asked gets its answer, also where we would not dial by ourselves. */
  private answering: string | null = null;
  private closed = false;

  constructor(options: DatagramSocketOptions) {
    super();
    this.options = options;
  }

  /** Takes what the native core received. Never throws for what a stranger sent. */
  deliver(datagrams: Iterable<Datagram>): void {
    for (const { host, port, payload } of datagrams) {
      if (this.closed) return;
      if (!isIPv4(host) || port < 1 || !isSoundKrpc(payload)) {
        this.refused += 1;
        continue;
      }
      this.answering = formatPeerAddress({ host, port });
      try {
        const buffer = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength);
        this.emit('message', buffer, { address: host, port, family: 'IPv4', size: buffer.length });
      } catch (error) {
        // The last net under the shape check: one odd datagram must not end the process.
        this.refused += 1;
        this.emit('error', error);
      } finally {
        this.answering = null;
      }
    }
  }

  /** dgram's `bind`: the port is bound already, so this only reports it. */
  bind(...args: unknown[]): void {
    const listening = args.find((arg): arg is () => void => typeof arg === 'function');
    if (listening !== undefined) this.once('listening', listening);
    queueMicrotask(() => {
      if (!this.closed) this.emit('listening');
    });
  }

  address(): { address: string; port: number; family: string } {
    const { host, port } = this.options.address;
    return { address: host, port, family: isIPv4(host) ? 'IPv4' : 'IPv6' };
  }

  /** dgram's `send(buffer, offset, length, port, host, callback)`. What may not leave is dropped, as on any network. */
  send(
    buffer: Uint8Array,
    offset: number,
    length: number,
    port: number,
    host: string,
    sent?: (error: Error | null) => void,
  ): void {
    const address = { host, port };
    const allowed =
      isIPv4(host) && (formatPeerAddress(address) === this.answering || this.options.mayDial(address));
    const payload = !this.closed && allowed ? boundReply(buffer.subarray(offset, offset + length)) : null;
    if (payload !== null) this.options.send(payload, host, port);
    if (sent !== undefined) queueMicrotask(() => sent(null));
  }

  close(closed?: () => void): void {
    if (closed !== undefined) this.once('close', closed);
    if (this.closed) return;
    this.closed = true;
    queueMicrotask(() => this.emit('close'));
  }
}
