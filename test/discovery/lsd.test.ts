import type { NetworkInterfaceInfo } from 'node:os';
import t from 'tap';
import { formatPeerAddress, type PeerAddress } from '../../src/connector.js';
import { type InterfaceTable, isNear, localInterfaces } from '../../src/discovery/local-interfaces.js';
import { type GroupHost, LSD_GROUPS, Lsd } from '../../src/discovery/lsd.js';
import { encodeLsdAnnouncement, parseLsdAnnouncement } from '../../src/discovery/lsd-message.js';

const v4 = (address: string, bits: number, internal = false): NetworkInterfaceInfo => ({
  ...{ address, netmask: '', mac: '', internal, family: 'IPv4', cidr: `${address}/${bits}` },
});
const v6 = (address: string, bits: number, internal = false): NetworkInterfaceInfo => ({
  ...{ address, netmask: '', mac: '', internal, family: 'IPv6', cidr: `${address}/${bits}`, scopeid: 0 },
});
const MACHINE: InterfaceTable = {
  lo: [v4('127.0.0.1', 8, true), v6('::1', 128, true)],
  eth0: [v4('192.168.1.5', 24), v6('fe80::1', 64), v6('2001:db8:1::5', 64)],
  wlan0: [v4('10.0.0.5', 8)],
};
const name = (byte: number) => String.fromCharCode(byte).repeat(20);
const hash = (byte: number) => new Uint8Array(20).fill(byte);

class FakeHost implements GroupHost {
  readonly joined = new Map<number, string>();
  readonly sent: { group: number; payload: Uint8Array }[] = [];
  refuses = '';
  #last = 0;
  joinGroup(group: { interfaceName: string; local: string; host: string; port: number }): number {
    if (group.interfaceName === this.refuses) throw new Error('no multicast');
    this.joined.set(++this.#last, `${group.interfaceName} ${group.local} ${group.host}`);
    return this.#last;
  }
  leaveGroup(group: number): void {
    this.joined.delete(group);
  }
  sendToGroup(group: number, payload: Uint8Array): boolean {
    this.sent.push({ group, payload });
    return this.joined.has(group);
  }
  /** The announcements of one interface. */
  announced(group = 1): string[][] {
    return this.sent
      .filter((each) => each.group === group)
      .map(({ payload }) => parseLsdAnnouncement(payload)?.infoHashes ?? [])
      .map((hashes) => hashes.map((bytes) => String(bytes[0])));
  }
}

function start(listenHost: string, table: InterfaceTable = MACHINE) {
  const host = new FakeHost();
  const found: string[] = [];
  const state = { table };
  const lsd = new Lsd({
    host,
    listening: { host: listenHost, port: 6881 },
    interfaces: () => state.table,
    found: (infoHash: Uint8Array, peer: PeerAddress) =>
      found.push(`${infoHash[0]} ${formatPeerAddress(peer)}`),
  });
  return { host, found, lsd, state };
}

t.test('it speaks where peers reach us: each interface, once for each family', async (t) => {
  const where = (host: string) => localInterfaces(MACHINE, host).map(({ name, local }) => `${name} ${local}`);
  t.strictSame(where('0.0.0.0'), ['eth0 192.168.1.5', 'wlan0 10.0.0.5']);
  t.strictSame(where('::'), ['eth0 192.168.1.5', 'eth0 2001:db8:1::5', 'wlan0 10.0.0.5']);
  t.strictSame(where('10.0.0.5'), ['wlan0 10.0.0.5']);
  t.strictSame(where('127.0.0.1'), ['lo 127.0.0.1']);
  t.strictSame(where('::1'), ['lo ::1']);
  t.strictSame(where('203.0.113.9'), []);
});

t.test('who is near is of the subnet', async (t) => {
  const [eth4, eth6] = localInterfaces({ eth0: MACHINE['eth0'] ?? [] }, '::');
  if (!eth4 || !eth6) throw new Error('no interface');
  t.ok(isNear(eth4, '192.168.1.77'));
  t.notOk(isNear(eth4, '192.168.2.77'));
  t.notOk(isNear(eth4, '2001:db8:1::7'));
  t.ok(isNear(eth6, '2001:db8:1::7'));
  t.notOk(isNear(eth6, '2001:db8:2::7'));
});

t.test('BEP 14: one announcement a minute, each torrent every five, several in one datagram', async (t) => {
  const { host, lsd } = start('0.0.0.0');
  lsd.tick(0);
  t.equal(host.sent.length, 0, 'there is nothing to tell');
  for (let byte = 1; byte <= 50; byte++) lsd.add(name(byte));
  for (let nowMs = 0; nowMs < 300_000; nowMs += 1000) lsd.tick(nowMs);
  const told = host.announced();
  t.strictSame(
    told.map((names) => names.length),
    [20, 20, 10],
    'at 0, 60 and 120 s',
  );
  t.equal(new Set(told.flat()).size, 50, 'each once');
  t.strictSame(host.announced(2), told, 'the same on the other interface');
  lsd.add(name(99));
  lsd.tick(300_000);
  t.strictSame(host.announced()[3]?.length, 20, 'the first are due again');
  lsd.remove(name(99));
  lsd.close();
  t.equal(host.joined.size, 0);
  lsd.tick(900_000);
  t.equal(host.announced().length, 4, 'closed');
});

t.test('a newcomer is announced at once, but not within the minute', async (t) => {
  const { host, lsd } = start('127.0.0.1');
  lsd.add(name(1));
  lsd.tick(0);
  lsd.add(name(2));
  lsd.tick(59_000);
  t.strictSame(host.announced(), [['1']]);
  lsd.tick(60_000);
  t.strictSame(host.announced(), [['1'], ['2']]);
});

t.test('only our subnet is believed, about torrents of ours, and not our own voice', async (t) => {
  const { host, lsd, found } = start('0.0.0.0');
  lsd.add(name(1));
  lsd.tick(0);
  const payload = encodeLsdAnnouncement(LSD_GROUPS.ipv4, {
    ...{ infoHashes: [hash(1), hash(2)], port: 4000, cookie: 'another' },
  });
  lsd.deliver([
    { group: 1, host: '192.168.1.9', port: 6771, payload },
    { group: 1, host: '203.0.113.7', port: 6771, payload },
    { group: 1, host: '10.1.2.3', port: 6771, payload },
    { group: 2, host: '10.1.2.3', port: 6771, payload },
    { group: 9, host: '192.168.1.9', port: 6771, payload },
    { group: 1, host: '192.168.1.9', port: 6771, payload: Buffer.from('nonsense') },
  ]);
  t.strictSame(found, ['1 192.168.1.9:4000', '1 10.1.2.3:4000']);
  const own = host.sent[0]?.payload ?? new Uint8Array();
  lsd.deliver([{ group: 1, host: '192.168.1.5', port: 6771, payload: own }]);
  t.equal(found.length, 2);
});

t.test('interfaces come and go', async (t) => {
  const { host, lsd, state } = start('0.0.0.0');
  host.refuses = 'wlan0';
  lsd.tick(0);
  t.strictSame([...host.joined.values()], ['eth0 192.168.1.5 239.192.152.143']);
  host.refuses = '';
  lsd.tick(30_000);
  t.equal(lsd.interfaceCount, 2, 'what could not be joined is tried again');
  state.table = { eth0: [v4('192.168.7.5', 24)] };
  lsd.tick(60_000);
  t.strictSame([...host.joined.values()], ['eth0 192.168.7.5 239.192.152.143']);
});
