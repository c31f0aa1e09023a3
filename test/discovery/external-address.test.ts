import t from 'tap';
import { ExternalAddress } from '../../src/discovery/external-address.js';

const HERE = '123.213.32.10';
const bytes = (host: string) => Uint8Array.from(host.split('.'), Number);

t.test('what most networks say is believed, and each has one voice', async (t) => {
  const external = new ExternalAddress();
  const told: string[] = [];
  external.onChange((family, host) => told.push(`${family} ${host}`));
  t.equal(external.current('ipv4'), null, 'nobody has said anything');
  external.vote({ address: bytes(HERE), from: '90.0.0.1', source: 'peer' });
  t.equal(external.current('ipv4'), null, 'one may lie');
  t.equal(external.claimed('ipv4'), HERE);
  external.vote({ address: bytes(HERE), from: '90.0.0.2', source: 'dht' });
  t.equal(external.current('ipv4'), null, 'and is of one network still');
  external.vote({ address: bytes(HERE), from: '90.0.1.1', source: 'dht' });
  t.equal(external.current('ipv4'), HERE);
  t.equal(external.claimed('ipv4'), null);
  for (let host = 1; host < 200; host++)
    external.vote({ address: '66.0.0.1', from: `91.0.0.${host}`, source: 'dht' });
  t.equal(external.current('ipv4'), HERE, 'one voice each, and two are more');
  external.vote({ address: HERE, from: '92.0.0.1', source: 'tracker' });
  t.equal(external.current('ipv4'), HERE);
  for (let net = 100; net < 105; net++)
    external.vote({ address: '66.0.0.1', from: `${net}.0.0.1`, source: 'dht' });
  t.equal(external.current('ipv4'), '66.0.0.1');
  t.strictSame(told, [`ipv4 ${HERE}`, 'ipv4 66.0.0.1'], 'told once a change');
  t.equal(external.version, 2);
  t.equal(external.current('ipv6'), null);
});

t.test('an address that changed is believed after a while', async (t) => {
  const external = new ExternalAddress();
  for (let net = 0; net < 200; net++) external.vote({ address: HERE, from: `60.0.${net}.1`, source: 'dht' });
  for (let net = 0; net < 33; net++)
    external.vote({ address: '66.0.0.1', from: `61.0.${net}.1`, source: 'dht' });
  t.equal(external.current('ipv4'), '66.0.0.1', 'only the latest 64 voices are kept');
});

t.test('only the view from outside counts', async (t) => {
  const external = new ExternalAddress();
  external.vote({ address: '66.0.0.9', from: '192.168.1.2', source: 'peer' });
  external.vote({ address: '66.0.0.9', from: 'tracker.example', source: 'tracker' });
  for (const address of ['10.0.0.1', '100.64.0.1', '127.0.0.1', '0.0.0.0', '224.0.0.1', '255.255.255.255'])
    external.vote({ address, from: '192.168.1.1', source: 'gateway' });
  for (const address of ['::', 'fe80::1', 'fd00::1', 'ff15::1', '::ffff:10.0.0.1', 'nonsense'])
    external.vote({ address, from: '2001:db8:1::1', source: 'dht' });
  external.vote({ address: new Uint8Array(5), from: '90.0.0.1', source: 'dht' });
  t.equal(external.version, 0);
  external.vote({ address: HERE, from: '192.168.1.1', source: 'gateway' });
  t.equal(external.current('ipv4'), HERE, 'the gateway is local and knows');
  external.vote({ address: '2a00:0001::7', from: '2001:db8:1::1', source: 'dht' });
  external.vote({ address: '2a00:0001::7', from: '2001:db8:2::1', source: 'dht' });
  t.equal(external.current('ipv6'), '2a00:1::7', 'in its one spelling');
});

t.test('who has ended listening is told nothing more', async (t) => {
  const external = new ExternalAddress();
  const end = external.onChange(() => t.fail('told'));
  end();
  external.vote({ address: HERE, from: '90.0.0.1', source: 'peer' });
  external.vote({ address: HERE, from: '90.0.1.1', source: 'peer' });
  t.equal(external.current('ipv4'), HERE);
});
