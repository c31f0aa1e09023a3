import t from 'tap';
import { CONFORMANCE_SHAPE, type LinkPair, linkConformance } from './link-conformance.js';
import { SimClock } from './sim-clock.js';
import { SimHost } from './sim-host.js';
import { SimNetwork } from './sim-network.js';
import { SimStore } from './sim-store.js';
import { SimWebServer } from './sim-web-server.js';

const makePair = async (): Promise<LinkPair> => {
  const clock = new SimClock();
  const network = new SimNetwork(clock, { latencyMs: 3 });
  const side = (address: string, complete: boolean) => {
    const host = new SimHost(network, { address });
    return { host, address: host.address, store: new SimStore(CONFORMANCE_SHAPE, { complete }) };
  };
  const seed = side('10.0.0.1', true);
  const webSeeds = { good: 'http://10.0.0.9/file', missing: 'http://10.0.0.9/missing' };
  network.webServers.set(webSeeds.good, new SimWebServer(clock));
  const missing = new SimWebServer(clock);
  missing.failure = { reason: 'http-404' };
  network.webServers.set(webSeeds.missing, missing);
  return {
    seed,
    bareStore: () => new SimStore(CONFORMANCE_SHAPE, { lacks: 'all-hashes' }),
    cutFiles: () => {
      seed.store.filesCut = true;
    },
    webSeeds,
    leech: side('10.0.0.2', false),
    nowMs: () => clock.nowMs,
    step: async () => clock.run(2),
    close: async () => {},
  };
};

await linkConformance(t, makePair);
