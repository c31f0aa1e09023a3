import t from 'tap';
import { shownAddress } from '../../src/connector/shown-address.js';

t.test('an address is shown whole, by its network, or not at all', async (t) => {
  const cases = [
    ['203.0.113.7', '203.0.113.0/24'],
    ['203.0.113.7:6881', '203.0.113.0/24'],
    ['2001:db8:1:2::3', '2001:db8:1::/48'],
    ['[2001:db8:1:2::3]:6881', '2001:db8:1::/48'],
    ['2001:db8::3', '2001:db8::/48'],
  ] as const;
  for (const [address, network] of cases) {
    t.equal(shownAddress(address, 'full'), address);
    t.equal(shownAddress(address, 'prefix'), network);
    t.equal(shownAddress(address, 'none'), 'a peer');
  }
});
