import t from 'tap';
import { CONFORMANCE_SHAPE, type LinkPair, linkConformance } from './link-conformance.js';
import { SimClock } from './sim-clock.js';
import { SimHost } from './sim-host.js';
import { SimNetwork } from './sim-network.js';
import { SimStore } from './sim-store.js';

const makePair = async (): Promise<LinkPair> => {
  const clock = new SimClock();
  const network = new SimNetwork(clock, { latencyMs: 3 });
  const side = (address: string, complete: boolean) => {
    const host = new SimHost(network, { address });
    return { host, address: host.address, store: new SimStore(CONFORMANCE_SHAPE, { complete }) };
  };
  const seed = side('10.0.0.1', true);
  return {
    seed,
    cutFiles: () => {
      seed.store.filesCut = true;
    },
    leech: side('10.0.0.2', false),
    nowMs: () => clock.nowMs,
    step: async () => clock.run(2),
    close: async () => {},
  };
};

await linkConformance(t, makePair);
