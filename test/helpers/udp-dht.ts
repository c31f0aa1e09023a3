import type { Test } from 'tap';
import { DialPolicy, type PeerAddress } from '../../src/connector.js';
import { Dht, type DhtOptions } from '../../src/discovery/dht.js';
import { Reactor } from '../../src/native.js';

/** A DHT node over the native UDP socket; closed at the end of the test. */
export function udpDht(
  t: Test,
  bootstrap: readonly PeerAddress[],
  options: Partial<DhtOptions> & { host?: string } = {},
): { dht: Dht; address: PeerAddress } {
  const { host = '127.0.0.1', ...more } = options;
  const connector = { kind: 'direct' } as const;
  const sizes = { connector, networkThreads: 1, workerThreads: 1, assemblyBytes: 2 ** 20 };
  const reactor = new Reactor({ ...sizes, links: 1, halfOpenLinks: 1 }, () =>
    dht.deliver(reactor.drain().datagrams),
  );
  const address = reactor.bindUdp(host, 0);
  const policy = new DialPolicy({ listening: address });
  const dht = new Dht({
    send: (payload, to, port) => reactor.sendUdp(payload, to, port),
    address,
    mayDial: (to) => policy.mayDial(to, 'learnt'),
    bootstrap,
    ...more,
  });
  t.teardown(async () => {
    await dht.close();
    await reactor.shutdown();
  });
  return { dht, address };
}
