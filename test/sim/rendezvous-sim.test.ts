/** Swarms without a torrent, where claims are exchanged. */
import t from 'tap';
import { ClaimExchange } from '../../src/swarm/claim-exchange.js';
import { type CatalogueClaim, encodeClaims } from '../../src/wire/bs-catalogue.js';
import { type SimNode, SimTorrentFile, SimWorld } from './sim-world.js';

const MINUTE_MS = 60_000;

const claim = (count: number): CatalogueClaim => ({
  infoHashV1: new Uint8Array(20).fill(count),
  infoHashV2: new Uint8Array(32).fill(count),
  lengthBytes: 1_000_000 * count,
  count,
  work: new Uint8Array(32).fill(count),
});

function meeting(world: SimWorld, claims: readonly CatalogueClaim[]) {
  const heard: { count: number; from: string }[] = [];
  const exchange = new ClaimExchange((all, from) => {
    for (const { count } of all) heard.push({ count, from: from.address.host });
  });
  exchange.tell(claims);
  const node: SimNode = world.node({
    magnet: true,
    swarm: { meeting: { extension: exchange, isLooking: () => true } },
  });
  return { node, exchange, heard };
}

t.test('who meets at the rendezvous hears what the other one has, and who says it', async (t) => {
  const world = new SimWorld(new SimTorrentFile(1));
  const seeder = meeting(world, [claim(5), claim(4)]);
  const newcomer = meeting(world, []);
  newcomer.node.meet(seeder.node);
  t.ok(world.clock.runUntil(() => newcomer.heard.length === 2, MINUTE_MS));
  const from = seeder.node.host.address.host;
  t.same(newcomer.heard, [
    { count: 5, from },
    { count: 4, from },
  ]);
  t.same(seeder.heard, [], 'who has nothing says nothing');
  world.clock.run(5 * MINUTE_MS);
  t.equal(newcomer.heard.length, 2, 'and nobody repeats itself');
  t.equal(newcomer.node.swarm.state, 'metadata');
  world.close();
});

t.test('news is told to those who are there, once a minute at most', async (t) => {
  const world = new SimWorld(new SimTorrentFile(1));
  const seeder = meeting(world, [claim(1)]);
  const newcomer = meeting(world, []);
  newcomer.node.meet(seeder.node);
  t.ok(world.clock.runUntil(() => newcomer.heard.length === 1, MINUTE_MS));
  for (let count = 2; count < 50; count++) {
    seeder.exchange.tell([claim(count)]);
    world.clock.run(2000);
  }
  world.clock.run(2 * MINUTE_MS);
  t.ok(newcomer.heard.length <= 5, `${newcomer.heard.length} messages`);
  t.equal(newcomer.heard.at(-1)?.count, 49);
  world.close();
});

t.test('everybody who is at the rendezvous is met through one of them', async (t) => {
  const world = new SimWorld(new SimTorrentFile(1));
  const [one, two] = [meeting(world, [claim(1)]), meeting(world, [claim(2)])];
  const newcomer = meeting(world, []);
  two.node.meet(one.node);
  newcomer.node.meet(one.node);
  t.ok(world.clock.runUntil(() => newcomer.heard.some(({ count }) => count === 2), 3 * MINUTE_MS));
  world.close();
});

t.test('who floods, or sends what is no list of claims, is closed; the others are not', async (t) => {
  for (const payload of [Buffer.from('d1:ai1ee'), encodeClaims([claim(3)])]) {
    const world = new SimWorld(new SimTorrentFile(1));
    const honest = meeting(world, [claim(1)]);
    const liar = meeting(world, []);
    const newcomer = meeting(world, []);
    newcomer.node.meet(honest.node, liar.node);
    t.ok(world.clock.runUntil(() => newcomer.node.swarm.peers.size === 2, MINUTE_MS));
    world.clock.run(1000);
    const [link] = liar.node.swarm.peers.keys();
    // Under the id that our own nodes give to the exchange of claims.
    for (let count = 0; count < 20; count++) liar.node.host.sendExtension(link ?? 0, 1, payload);
    world.clock.run(1000);
    const hosts = [...newcomer.node.swarm.peers.values()].map(({ address }) => address.host);
    t.same(hosts, [honest.node.host.address.host]);
    t.ok(newcomer.heard.filter(({ from }) => from === liar.node.host.address.host).length <= 3);
    world.close();
  }
});
