/** What a user is told of the way into the world, where it is not a straight one: what is in the way, where peers come in. */
import type { Privacy } from '../connector/privacy.js';
import { formatPeerAddress } from '../connector.js';
import type { Reactor } from '../native.js';
import type { I2pKeys } from './i2p-keys.js';
import type { Report } from './report.js';

/** Who can be named when nobody is found. */
export function whomToName({ names, udp }: Pick<Privacy, 'names' | 'udp'>): string {
  if (names === 'i2p')
    return 'a peer (--peer NAME.b32.i2p) or a tracker of I2P (--tracker http://NAME.i2p/…)';
  return udp
    ? 'a peer (--peer HOST:PORT) or a DHT node (--dht-bootstrap HOST:PORT)'
    : 'a peer (--peer HOST:PORT) or a tracker (--tracker URL)';
}

export interface WayOutOptions {
  readonly reactor: Pick<Reactor, 'proxyFault' | 'onion' | 'i2pAddress' | 'i2pKeys'>;
  /** Of the onion service. */
  readonly port: number;
  readonly isI2p: boolean;
  /** Where the keys of our destination are to be kept. */
  readonly i2pKeys: I2pKeys | null;
  readonly report: Report | null;
}

export class WayOut {
  readonly #options: WayOutOptions;
  #proxyFault: string | null = null;
  #onionFault: string | null = null;
  #host: string | null = null;

  constructor(options: WayOutOptions) {
    this.#options = options;
  }

  /** To be called about once a second: says once what is in the way, and where peers come in. */
  tick(): void {
    const { reactor, port, isI2p, i2pKeys, report } = this.#options;
    const proxyFault = reactor.proxyFault();
    if (proxyFault !== null && proxyFault !== this.#proxyFault)
      report?.warn(
        `${isI2p ? 'the SAM bridge' : 'the proxy'} ${proxyFault}: until it is of use nobody is met`,
      );
    this.#proxyFault = proxyFault;
    const { host, fault } = reactor.onion();
    if (fault !== null && fault !== this.#onionFault) report?.warn(`no onion service: Tor ${fault}`);
    this.#onionFault = fault;
    if (host !== null && host !== this.#host) {
      this.#host = host;
      const address = formatPeerAddress({ host, port });
      report?.event({ event: 'onion', address }, `peers come in at ${address}`);
    }
    const i2p = isI2p ? reactor.i2pAddress() : null;
    if (i2p && i2p.name !== this.#host) {
      this.#host = i2p.name;
      report?.event({ event: 'i2p', address: i2p.name }, `peers come in at ${i2p.name}`);
      const keys = reactor.i2pKeys();
      if (keys !== null) void i2pKeys?.keep(keys, report);
    }
  }
}
