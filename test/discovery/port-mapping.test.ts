import t, { type Test } from 'tap';
import { parseDefaultGateway } from '../../src/discovery/default-gateway.js';
import { ExternalAddress } from '../../src/discovery/external-address.js';
import { type MappedPort, PortMapping, type PortRequest } from '../../src/discovery/port-mapping.js';
import { Reactor } from '../../src/native.js';
import { FakeGateway, type FakeGatewayOptions } from '../helpers/fake-gateway.js';

/** Each test has a gateway of its own on loopback. */
let lastHost = 0;

async function start(t: Test, options: Omit<FakeGatewayOptions, 'host'>) {
  const gateway = await FakeGateway.start(t, { host: `127.77.0.${++lastHost}`, ...options });
  const sizes = { networkThreads: 1, workerThreads: 1, assemblyBytes: 1, links: 1, halfOpenLinks: 1 };
  const reactor: Reactor = new Reactor({ connector: { kind: 'direct' }, anonymous: false, ...sizes }, () =>
    reactor.drain(),
  );
  t.teardown(() => reactor.shutdown());
  const externalAddress = new ExternalAddress();
  const waits: number[] = [];
  let next = () => {};
  const answers: string[] = [];
  let rested = () => {};
  const resting = new Promise<void>((resolve) => (rested = resolve));
  let mapping: PortMapping | undefined;
  const changed = new Promise<MappedPort>((resolve) => {
    mapping = new PortMapping({
      mapPort: async (request: PortRequest) => {
        const answer = await reactor.mapPort(request);
        answers.push(`${request.method} ${answer.error ?? 'ok'}`);
        return answer;
      },
      gateway: async () => gateway.options.host,
      port: 49483,
      transports: ['tcp'],
      externalAddress,
      changed: resolve,
      search: { host: gateway.options.host, port: gateway.searchPort },
      wait: (ms, signal) => {
        waits.push(ms);
        rested();
        return new Promise((resolve, reject) => {
          next = resolve;
          signal.addEventListener('abort', () => reject(signal.reason), { once: true });
        });
      },
    });
  });
  if (!mapping) throw new Error('not started');
  return { gateway, mapping, externalAddress, waits, changed, answers, resting, renew: () => next() };
}

for (const method of ['pcp', 'nat-pmp', 'upnp-igd'] as const) {
  t.test(`a port is mapped by ${method}, its address learnt, and taken back at the end`, async (t) => {
    const { gateway, mapping, changed, externalAddress } = await start(t, { speaks: [method] });
    const mapped = await changed;
    t.match(mapped, { method, transport: 'tcp', externalPort: 49483, externalHost: '198.51.100.7' });
    t.strictSame(gateway.mapped, ['tcp 49483 7200']);
    t.equal(externalAddress.current('ipv4'), '198.51.100.7');
    await mapping.close();
    t.strictSame(gateway.removed, ['tcp']);
    t.equal(mapping.mapped('tcp'), null);
  });
}

t.test('another port than the one asked for is the one that peers are told', async (t) => {
  const { mapping, changed } = await start(t, { speaks: ['nat-pmp'], externalPort: 50000 });
  t.equal((await changed).externalPort, 50000);
  t.equal(mapping.mapped('tcp')?.externalPort, 50000);
  await mapping.close();
});

t.test('a router that knows no leases is asked for a permanent mapping', async (t) => {
  const { gateway, mapping, changed } = await start(t, { speaks: ['upnp-igd'], errorCodes: [725] });
  await changed;
  t.strictSame(gateway.mapped, ['tcp 49483 1'], 'the lease 0');
  await mapping.close();
  t.strictSame(gateway.removed, ['tcp']);
});

t.test('no lifetime and no epoch makes us ask more often than once a minute', async (t) => {
  for (const [lifetimeSeconds, waitMs] of [
    [1, 60_000],
    [600, 300_000],
    [0xffff_ffff, 1_200_000],
  ] as const) {
    const epochs = [100_000, 5, 0];
    const { mapping, gateway, waits, changed, resting, renew } = await start(t, {
      speaks: ['pcp'],
      lifetimeSeconds,
      epochs,
    });
    await changed;
    await resting;
    t.strictSame(waits, [waitMs]);
    renew();
    while (waits.length < 2) await new Promise((resolve) => setImmediate(resolve));
    t.strictSame(waits, [waitMs, waitMs], 'renewed, whatever the epoch');
    t.equal(gateway.mapped.length, 2);
    await mapping.close();
  }
});

t.test('a lifetime of 0 is a refusal, and is tried again later and later', async (t) => {
  const { mapping, waits, resting, renew } = await start(t, { speaks: ['nat-pmp'], lifetimeSeconds: 0 });
  await resting;
  t.equal(mapping.mapped('tcp'), null);
  renew();
  while (waits.length < 2) await new Promise((resolve) => setTimeout(resolve, 10));
  t.strictSame(waits, [60_000, 120_000]);
  await mapping.close();
});

t.test('an address that is not of the world is not believed', async (t) => {
  for (const externalHost of ['10.0.0.2', '0.0.0.0', '255.255.255.255', '127.0.0.1', '224.0.0.1']) {
    const { mapping, changed, externalAddress } = await start(t, { speaks: ['nat-pmp'], externalHost });
    t.equal((await changed).externalHost, externalHost);
    t.equal(externalAddress.current('ipv4'), null);
    await mapping.close();
  }
});

// A method that is not answered takes four seconds: all at once.
t.test('a hostile gateway maps nothing and breaks nothing', { timeout: 120_000 }, async (t) => {
  const namespaces = Array.from({ length: 900 }, (_, n) => `xmlns:n${n}="u"`).join(' ');
  const hostile: Record<string, Omit<FakeGatewayOptions, 'host'>> = {
    'noise for an answer': { speaks: [], datagram: Buffer.alloc(1100, 0xff) },
    'an empty answer': { speaks: [], datagram: Buffer.alloc(0) },
    'a short answer': { speaks: [], datagram: Buffer.from([2, 0x81, 0]) },
    'somebody else’s mapping': { speaks: [], datagram: Buffer.alloc(60, 2) },
    'gigantic XML': { speaks: ['upnp-igd'], description: `<root>${'<a>x</a>'.repeat(300_000)}</root>` },
    'deep XML': { speaks: ['upnp-igd'], description: `${'<a>'.repeat(100_000)}${'</a>'.repeat(100_000)}` },
    'namespaces for each element': {
      speaks: ['upnp-igd'],
      description: `<root ${namespaces}>${'<a/>'.repeat(50_000)}</root>`,
    },
    'an answer with namespaces for each element': {
      speaks: ['upnp-igd'],
      answer: `<a ${namespaces}>${'<b/>'.repeat(400)}</a>`,
    },
    'a gigantic answer': { speaks: ['upnp-igd'], answer: `<a>${'x'.repeat(2 ** 22)}</a>` },
    'a deep answer': { speaks: ['upnp-igd'], answer: '<a>'.repeat(5000) },
    'XML without an end': { speaks: ['upnp-igd'], description: '<root><device>' },
    'entities that grow': {
      speaks: ['upnp-igd'],
      description: `<!DOCTYPE r [<!ENTITY a "${'x'.repeat(1000)}"><!ENTITY b "${'&a;'.repeat(1000)}"><!ENTITY c "${'&b;'.repeat(1000)}">]><root>&c;</root>`,
    },
    'a description at another host': { speaks: ['upnp-igd'], location: 'http://127.77.1.1:9/root.xml' },
    'a description by another protocol': { speaks: ['upnp-igd'], location: 'file:///etc/passwd' },
    refusals: { speaks: ['upnp-igd'], errorCodes: [606, 501, 718, 1] },
  };
  await Promise.all(
    Object.entries(hostile).map(async ([what, options]) => {
      const { gateway, mapping, answers, resting } = await start(t, options);
      await resting;
      t.equal(mapping.mapped('tcp'), null, what);
      t.strictSame(gateway.mapped, [], what);
      const refused = answers.length === 3 && answers.every((answer) => !answer.endsWith(' ok'));
      t.ok(refused, `${what}: ${answers.join(', ')}`);
      await mapping.close();
    }),
  );
});

t.test('behind a proxy the gateway is never asked', async (t) => {
  const gateway = await FakeGateway.start(t, { host: `127.77.0.${++lastHost}`, speaks: ['nat-pmp'] });
  const sizes = { networkThreads: 1, workerThreads: 1, assemblyBytes: 1, links: 1, halfOpenLinks: 1 };
  const proxy = { host: '127.0.0.1', port: 9, udp: false, listen: 'nowhere' } as const;
  const connector = { kind: 'socks5', proxy } as const;
  const reactor: Reactor = new Reactor({ connector, anonymous: false, ...sizes }, () => reactor.drain());
  t.teardown(() => reactor.shutdown());
  const request: PortRequest = {
    ...{ method: 'nat-pmp', gateway: gateway.options.host, transport: 'tcp', internalPort: 1 },
    ...{ externalPort: 1, lifetimeSeconds: 60 },
  };
  await t.rejects(reactor.mapPort(request), { code: 'ERR_PRIVACY' });
  const group = { interfaceName: 'lo', local: '127.0.0.1', host: '239.192.152.143', port: 6771 };
  t.throws(() => reactor.joinGroup(group), { code: 'ERR_PRIVACY' });
});

t.test('without a gateway nobody is asked', async (t) => {
  let asked = 0;
  let rested = () => {};
  const resting = new Promise<void>((resolve) => (rested = resolve));
  const mapping = new PortMapping({
    mapPort: async () => {
      asked++;
      return { externalPort: 0, lifetimeSeconds: 0 };
    },
    gateway: async () => null,
    port: 1,
    transports: ['tcp', 'udp'],
    externalAddress: new ExternalAddress(),
    wait: async (_ms, signal) => {
      rested();
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
    },
  });
  await resting;
  await mapping.close();
  t.equal(asked, 0);
});

t.test('the default route with the least metric names the gateway', async (t) => {
  const head = 'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n';
  const route = (to: string, via: string, flags: string, metric: number, mask = '00000000') =>
    `eth0\t${to}\t${via}\t${flags}\t0\t0\t${metric}\t${mask}\t0\t0\t0\n`;
  const lines = [
    route('00000000', '0101A8C0', '0003', 600),
    route('00000000', 'FE01A8C0', '0003', 100),
    route('0001A8C0', '00000000', '0001', 0, '00FFFFFF'),
    route('00000000', '0201A8C0', '0001', 1),
  ];
  t.equal(parseDefaultGateway(head + lines.join('')), '192.168.1.254');
  t.equal(parseDefaultGateway(head), null);
  t.equal(parseDefaultGateway('nonsense\n\t\t\t\n'), null);
});
