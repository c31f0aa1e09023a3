import t from 'tap';
import { globalPrefix, networkOf } from '../../src/connector/network.js';

t.test('addresses of one network have one key, however short they are spelt', async (t) => {
  t.equal(networkOf('123.213.32.10'), '123.213.32');
  t.equal(networkOf('2001:db8:1:2::3'), '2001:db8:1');
  t.equal(networkOf('2001:db8::1'), networkOf('2001:db8:0:1::'), 'one /48');
  t.not(networkOf('2001:db8::1'), networkOf('2001:db8:1::1'));
  t.equal(globalPrefix('2a00::1:0:0:0:1'), globalPrefix('2a00:0:0:1::'));
  t.not(globalPrefix('2a00:0:0:1::1'), globalPrefix('2a00:0:0:2::1'), 'two /64');
  t.equal(globalPrefix('93.184.216.34'), globalPrefix('93.184.216.99'));
  for (const host of ['10.0.0.1', '127.0.0.1', 'fe80::1', 'fd00::1', '::1'])
    t.equal(globalPrefix(host), null, host);
});
