import { isIPv4 } from 'node:net';
import { formatPeerAddress, type PeerAddress } from '../../src/connector.js';
import { Dht, type DhtOptions } from '../../src/discovery/dht.js';

/** DHT nodes with datagrams between them in memory: what a switch does, without sockets and without loss. */
export class DatagramSwitch {
  readonly nodes = new Map<string, Dht>();
  sent = 0;
  #underWay = 0;
  readonly #options: Partial<DhtOptions>;
  readonly #listeners = new Map<string, (from: PeerAddress, payload: Uint8Array) => void>();

  constructor(options: Partial<DhtOptions> = {}) {
    this.#options = options;
  }

  /** A node at an address; `host` of a node that is bound to `::` as others see it. */
  add(
    address: PeerAddress,
    options: Partial<DhtOptions> = {},
    hosts: readonly string[] = [address.host],
  ): Dht {
    const node = new Dht({
      send: (payload, host, port) => {
        const family = isIPv4(host);
        const from = hosts.find((own) => isIPv4(own) === family) ?? address.host;
        return this.send({ host: from, port: address.port }, payload, { host, port });
      },
      address,
      mayDial: () => true,
      // Long enough for a machine that is busy.
      answerMs: 500,
      ...this.#options,
      ...options,
    });
    for (const host of hosts) this.nodes.set(formatPeerAddress({ host, port: address.port }), node);
    return node;
  }

  /** Hears what is sent to an address where no node is. */
  listen(address: PeerAddress, listener: (from: PeerAddress, payload: Uint8Array) => void): void {
    this.#listeners.set(formatPeerAddress(address), listener);
  }

  send(from: PeerAddress, payload: Uint8Array, to: PeerAddress): boolean {
    this.sent++;
    this.#underWay++;
    const copy = Uint8Array.from(payload);
    setImmediate(() => {
      this.#underWay--;
      const key = formatPeerAddress(to);
      this.nodes.get(key)?.deliver([{ ...from, payload: copy }]);
      this.#listeners.get(key)?.(from, copy);
    });
    return true;
  }

  /** No datagram is under way any more; what they led to was sent. */
  async quiet(): Promise<void> {
    do await new Promise((resolve) => setImmediate(resolve));
    while (this.#underWay > 0);
  }

  async close(): Promise<void> {
    await Promise.all([...this.nodes.values()].map((node) => node.close()));
  }
}

/** All that comes, in a list. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = [];
  for await (const item of items) found.push(item);
  return found;
}
