import t from 'tap';
import { allowedFastSet } from '../../src/swarm/allowed-fast.js';

const INFO_HASH = new Uint8Array(20).fill(0xaa);

t.test('the sets are those of BEP 6', async (t) => {
  const seven = [1059, 431, 808, 1217, 287, 376, 1188];
  t.same(allowedFastSet(INFO_HASH, '80.4.4.200', 1313, 7), seven);
  t.same(allowedFastSet(INFO_HASH, '80.4.4.200', 1313, 9), [...seven, 353, 508]);
  t.same(allowedFastSet(INFO_HASH, '80.4.4.7', 1313, 7), seven, 'one network, one set');
});

t.test('a small torrent is given whole, a peer of IPv6 nothing', async (t) => {
  t.same(allowedFastSet(INFO_HASH, '80.4.4.200', 3, 10), [0, 1, 2]);
  t.same(allowedFastSet(INFO_HASH, '::1', 1313, 10), []);
  t.equal(allowedFastSet(INFO_HASH, '80.4.4.200', 11, 10).length, 10);
});
