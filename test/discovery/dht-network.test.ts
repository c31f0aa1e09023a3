/** A network of a few hundred nodes, in memory: without loss, and as fast as it goes. */
import t, { type Test } from 'tap';
import type { PeerAddress } from '../../src/connector.js';
import type { Dht } from '../../src/discovery/dht.js';
import { commonBits } from '../../src/discovery/node-id.js';
import { K } from '../../src/discovery/routing-table.js';
import { DatagramSwitch } from '../helpers/datagram-switch.js';
import { seededRandom } from '../sim/sim-clock.js';

const NODES = 200;
const SEEDS = 4;
const ANNOUNCEMENTS = 12;
const LOOKUPS = 40;

const addressOf = (n: number): PeerAddress => ({ host: `10.0.${n >> 8}.${n & 255}`, port: 6881 });

/** Nodes that joined through the first, one after the other. */
async function network(t: Test, seed: number) {
  const random = seededRandom(seed);
  const id = () => Uint8Array.from({ length: 20 }, () => Math.floor(256 * random()));
  // Nobody is silent: an answer that is late is the machine's. Nobody looks around a second time.
  const net = new DatagramSwitch({ answerMs: 60_000, clock: () => 0 });
  t.teardown(() => net.close());
  const nodes: { dht: Dht; id: Uint8Array }[] = [];
  const none = { id: null, nodes: [] };
  for (let n = 0; n < NODES; n++) {
    const own = id();
    const bootstrap = n === 0 ? [] : [addressOf(0)];
    const state = { ipv4: { id: own, nodes: [] }, ipv6: none };
    nodes.push({ dht: net.add(addressOf(n), { bootstrap, state }), id: own });
    await net.quiet();
  }
  const pick = () => nodes[Math.floor(NODES * random())]?.dht as Dht;
  return { nodes, id, pick };
}

for (let seed = 1; seed <= SEEDS; seed++) {
  t.test(`in a young network an announcement is found from everywhere (seed ${seed})`, async (t) => {
    const { nodes, id, pick } = await network(t, seed);
    // Some 100, 50 and 25 nodes are there: of each a full bucket is known. Who is asked by many at once checks only some of
    // them, so that one may lack a node; nodes that do not look there lack a bucket in nearly all of these places.
    const counts = nodes.flatMap(({ dht, id: own }) =>
      [0, 1, 2].map(
        (bits) => dht.state().ipv4.nodes.filter((node) => commonBits(own, node.id) === bits).length,
      ),
    );
    const lacking = counts.filter((count) => count < K).length;
    t.ok(lacking <= counts.length / 100, `${lacking} of ${counts.length} parts of the network are not known`);
    let missed = 0;
    for (let n = 0; n < ANNOUNCEMENTS; n++) {
      const hash = id();
      t.equal(await pick().announce(hash, 7777), K, 'the nearest took it');
      for (let each = 0; each < LOOKUPS; each++) {
        const { done } = await pick().lookup(hash).next();
        if (done) missed++;
      }
    }
    t.equal(missed, 0);
  });
}
