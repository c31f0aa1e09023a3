/**
 * Many worlds made by chance, with honest peers and all kinds of others. A failure names its seed:
 * BLOCKSWARM_SIM_SEED=n runs that world alone.
 */
import t, { type Test } from 'tap';
import { seededRandom } from './sim-clock.js';
import { breakLinks, flood } from './sim-hostile.js';
import { type SimNode, SimTorrentFile, SimWorld } from './sim-world.js';

const MINUTE_MS = 60_000;
const KILOBYTE = 1000;
const WORLDS = 30;

const one = Number.parseInt(process.env['BLOCKSWARM_SIM_SEED'] ?? '', 10);
const seeds = Number.isInteger(one) ? [one] : Array.from({ length: WORLDS }, (_, at) => at + 1);

interface Cast {
  readonly world: SimWorld;
  readonly file: SimTorrentFile;
  readonly honest: readonly SimNode[];
  /** They send bad blocks. */
  readonly liars: readonly SimNode[];
  readonly text: string;
}

/** Ten to thirty nodes and a network between them. */
function cast(seed: number): Cast {
  const random = seededRandom(seed * 7919);
  const upTo = (count: number) => Math.floor(random() * (count + 1));
  const chance = (share: number) => random() < share;
  const file = new SimTorrentFile(2 + upTo(30), { blocksPerPiece: [2, 8, 16, 48][upTo(3)] ?? 8 });
  const { pieceCount } = { pieceCount: Math.ceil(file.shape.lengthBytes / file.shape.pieceLengthBytes) };
  const world = new SimWorld(file, {
    seed,
    latencyMs: 1 + random() * 60,
    lossShare: chance(0.5) ? random() * 0.01 : 0,
  });
  const line = () => ({
    rateBytesPerSecond: KILOBYTE * (30 + 3000 * random() ** 2),
    ...(chance(0.5) ? { downBytesPerSecond: KILOBYTE * (200 + 5000 * random()) } : {}),
    latencyMs: random() * 100,
  });
  const source = world.node({ seed: true, ...line(), rateBytesPerSecond: 1000 * KILOBYTE });
  const many = <T>(most: number, make: () => T) => Array.from({ length: upTo(most) }, make);
  const leechers = Array.from({ length: 5 + upTo(9) }, () => {
    const order = chance(0.2) ? ('sequential' as const) : ('rarest' as const);
    return world.node({ ...line(), magnet: chance(0.2), swarm: { order } });
  });
  const liars = many(3, () => {
    const share = random();
    return world.node({ seed: true, ...line(), corrupts: () => random() < share });
  });
  const boasters = many(2, () => world.node({ lies: true, ...line() }));
  const mutes = many(2, () => world.node({ seed: true }));
  for (const mute of mutes) mute.host.silent = true;
  // Some answer for a while first.
  const fading = many(2, () => world.node({ seed: true, ...line() }));
  for (const node of fading) world.clock.after(random() * 30_000, () => (node.host.silent = true));
  const gone = many(4, () => world.node({ seed: chance(0.5), ...line() }));
  for (const { host } of gone) {
    world.clock.after(random() * 30_000, () => (chance(0.5) ? host.die() : host.vanish()));
  }
  const flooders = many(2, () => world.node({ seed: chance(0.5), ...line() }));
  for (const { host } of flooders) flood(host, { random, pieces: pieceCount, untilMs: 20_000 });
  const honest = [source, ...leechers];
  const breaks = chance(0.4);
  if (breaks) {
    const hosts = honest.map((node) => node.host);
    breakLinks(hosts, { random, everyMs: 500 + random() * 5000, untilMs: MINUTE_MS });
  }
  for (const node of world.nodes) {
    node.meet(source, ...world.nodes.filter((other) => other !== node && chance(0.5)));
  }
  const text =
    `BLOCKSWARM_SIM_SEED=${seed}: ${pieceCount} pieces, ${honest.length} honest, ${liars.length} liars, ` +
    `${boasters.length} boasters, ${mutes.length} mute, ${fading.length} fading, ${gone.length} gone, ` +
    `${flooders.length} flooders${breaks ? ', links break' : ''}`;
  return { world, file, honest, liars, text };
}

/** Returns how many blocks honest peers needed, and how many came twice. */
function check(t: Test, { world, file, honest, liars, text }: Cast): { needed: number; duplicates: number } {
  const { clock } = world;
  const done = clock.runUntil(
    () => honest.every((node) => node.isDone && node.store.complete),
    30 * MINUTE_MS,
  );
  t.ok(done, `${text}: all honest peers are done, but ${honest.filter((node) => !node.isDone).length}`);
  const address = new Map(world.nodes.map((node) => [node.host.address.host, node]));
  const blocks = Math.ceil(file.shape.lengthBytes / 16_384);
  let [duplicates, spoilt] = [0, 0];
  for (const node of honest) {
    if (node.store.writtenBlocks > 0) spoilt += node.store.writtenBlocks - blocks;
    const banned = world.nodes.filter((other) => node.session.bans.has(other.host.address, clock.nowMs));
    const wronged = banned.filter((other) => honest.includes(other));
    t.same(wronged.length, 0, `${text}: no honest peer is banned`);
    for (const host of node.badHosts()) {
      const liar = address.get(host);
      t.ok(liar && banned.includes(liar), `${text}: ${host}, which sent bad blocks, is banned`);
    }
    duplicates += node.store.duplicateBlocks;
  }
  const needed = blocks * (honest.length - 1);
  t.ok(
    duplicates <= 0.05 * needed + 32 * honest.length,
    `${text}: ${duplicates} of ${needed} blocks came twice`,
  );
  const perLiar = Math.max(256, 4 * (file.shape.pieceLengthBytes / 16_384));
  t.ok(spoilt <= (liars.length + 2) * perLiar * honest.length, `${text}: ${spoilt} blocks were spoilt`);
  world.close();
  clock.run(5 * MINUTE_MS);
  t.equal(clock.plansLeft, 0, `${text}: nothing is planned after the end`);
  for (const { host, session } of world.nodes) {
    if (host.isDead) continue;
    t.equal(host.openLinks + session.linkCount, 0, `${text}: no links are left`);
  }
  return { needed, duplicates };
}

t.test('in worlds made by chance the honest get everything, and liars are found', async (t) => {
  const all = seeds.map((seed) => check(t, cast(seed)));
  const sum = (key: 'needed' | 'duplicates') => all.reduce((total, each) => total + each[key], 0);
  if (seeds.length === WORLDS) {
    t.ok(
      sum('duplicates') < 0.03 * sum('needed'),
      `${sum('duplicates')} of ${sum('needed')} blocks came twice`,
    );
  }
});
