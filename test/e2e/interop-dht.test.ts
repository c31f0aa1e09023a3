/** With the DHT nodes of libtorrent and anacrolix over UDP: peers (BEP 5) and items (BEP 44, BEP 46), either way. */
import t from 'tap';
import { encode } from '../../src/bencode.js';
import { itemTarget, mutableTarget, publicKeyOf, signItem } from '../../src/discovery/dht-item.js';
import { toHex } from '../../src/units.js';
import { all } from '../helpers/datagram-switch.js';
import { DHT_PROGRAMS, DhtProgram } from '../helpers/dht-program.js';
import { udpDht } from '../helpers/udp-dht.js';

const SEED = new Uint8Array(32).fill(9);
const KEY = publicKeyOf(SEED);

for (const name of ['libtorrent', 'anacrolix'] as const) {
  const skip = DHT_PROGRAMS[name].missing;

  t.test(`${name}: either finds the items that the other put`, { skip }, async (t) => {
    const { address: hub } = udpDht(t, []);
    const { dht } = udpDht(t, [hub]);
    const program = await DhtProgram.start(t, name, hub);

    t.ok(((await program.ask('put-immutable', 'theirs')).taken ?? 0) >= 1);
    const theirs = { value: encode('theirs') };
    t.same(await dht.getItem(itemTarget(theirs)), theirs);
    const ours = { value: encode('ours') };
    t.ok((await dht.putItem(ours)) >= 1);
    t.match(await program.ask('get-immutable', toHex(itemTarget(ours))), { value: 'ours' });

    for (const salt of [Buffer.from('salt'), new Uint8Array()]) {
      const target = mutableTarget(KEY, salt);
      const put = await program.ask('put', toHex(SEED), toHex(KEY), toHex(salt), 1, 'first');
      t.ok((put.taken ?? 0) >= 1);
      const found = await dht.getItem(target, { publicKey: KEY, salt });
      t.match(found, { value: encode('first'), publicKey: KEY, seq: 1 });
      const next = signItem({ value: encode('second'), seq: 5, ...(salt.length > 0 && { salt }) }, SEED);
      t.ok((await dht.putItem(next, { cas: 1 })) >= 1);
      t.match(await program.ask('get', toHex(KEY), toHex(salt)), { value: 'second', seq: 5 });
    }
  });

  t.test(`${name}: either finds the peers that the other announced`, { skip }, async (t) => {
    const { address: hub } = udpDht(t, []);
    const { dht } = udpDht(t, [hub]);
    const program = await DhtProgram.start(t, name, hub);
    const [ours, theirs] = [new Uint8Array(20).fill(1), new Uint8Array(20).fill(2)];
    t.ok((await dht.announce(ours, 4444)) >= 1);
    const { peers } = await program.ask('peers', toHex(ours));
    // Each node that took the announcement names us.
    t.same([...new Set(peers)], ['127.0.0.1:4444']);
    await program.ask('announce', toHex(theirs), 5555);
    let found = await all(dht.lookup(theirs));
    // libtorrent does not say when it has announced.
    while (found.length === 0) found = await all(dht.lookup(theirs));
    t.same(found, [{ host: '127.0.0.1', port: 5555 }]);
  });
}
