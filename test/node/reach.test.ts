/** A node behind a gateway tells others the port that leads to it. */
import { randomBytes } from 'node:crypto';
import t, { type Test } from 'tap';
import { type PrivacyOptions, privacyOf } from '../../src/connector/privacy.js';
import { PeerNode } from '../../src/node/peer-node.js';
import type { PeeringOptions } from '../../src/node/peering.js';
import { FakeGateway } from '../helpers/fake-gateway.js';
import { Tracker } from '../helpers/tracker.js';

function nodeBehind(t: Test, host: string, privacy: PrivacyOptions, peering: PeeringOptions = {}) {
  let asked = 0;
  const told: string[] = [];
  const node = new PeerNode({
    privacy: privacyOf({ listen: '127.0.0.1:0', ...privacy }, randomBytes),
    addressLists: null,
    peers: [],
    dht: null,
    gateway: async () => {
      asked++;
      return host;
    },
    report: { event: ({ event }) => told.push(event), warn: () => {}, progress: () => {} },
    ...peering,
  });
  t.teardown(() => node.close());
  return { node, told, asked: () => asked };
}

t.test(
  'trackers are told the port that the gateway gave, and let go of it before it is given back',
  async (t) => {
    const gateway = await FakeGateway.start(t, {
      host: '127.78.0.1',
      speaks: ['nat-pmp'],
      externalPort: 50_000,
    });
    const tracker = await Tracker.start(t);
    const { node, told } = nodeBehind(t, gateway.options.host, {});
    t.strictSame(node.reach, { externalAddress: null, externalAddressClaim: null, portMapping: null });
    node.add({ infoHashV1: randomBytes(20), infoHashV2: null }, [[tracker.url]]);
    while (!tracker.announces.some(({ port }) => port === 50_000))
      await new Promise((r) => setTimeout(r, 50));
    t.strictSame(node.reach, {
      externalAddress: '198.51.100.7',
      externalAddressClaim: null,
      portMapping: { method: 'nat-pmp', externalPort: 50_000 },
    });
    t.ok(told.includes('port-mapped') && told.includes('external-address'));
    await node.close();
    t.match(tracker.announces.at(-1), { event: 'stopped', port: 50_000 });
    t.strictSame(gateway.removed, ['tcp']);
  },
);

t.test('behind a proxy or Tor, or when it is not wanted, no gateway is looked for', async (t) => {
  const proxied = { privacy: 'proxy', proxy: 'socks5://127.0.0.1:9' } as const;
  const nodes = [
    nodeBehind(t, '127.78.0.2', proxied),
    nodeBehind(t, '127.78.0.2', { privacy: 'tor', proxy: 'socks5://127.0.0.1:9' }),
    nodeBehind(t, '127.78.0.2', {}, { portMapping: false }),
  ];
  for (const { node } of nodes) await node.close();
  for (const { node, asked } of nodes) {
    t.equal(asked(), 0);
    t.strictSame(node.reach, { externalAddress: null, externalAddressClaim: null, portMapping: null });
  }
});
