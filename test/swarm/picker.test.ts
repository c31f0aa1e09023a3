import fc from 'fast-check';
import t from 'tap';
import { Geometry } from '../../src/swarm/geometry.js';
import { HaveMap } from '../../src/swarm/have-map.js';
import type { Stripe } from '../../src/swarm/open-piece.js';
import { Picker, type PickerOptions } from '../../src/swarm/picker.js';
import { seededRandom } from '../sim/sim-clock.js';

const BLOCK = 16_384;

function makePicker(pieces: number, blocksPerPiece: number, options: Partial<PickerOptions> = {}): Picker {
  const pieceLengthBytes = blocksPerPiece * BLOCK;
  const geometry = new Geometry({ lengthBytes: pieces * pieceLengthBytes - 1, pieceLengthBytes });
  const picker = new Picker({ geometry, random: seededRandom(7), ...options });
  picker.want(0, pieces);
  return picker;
}

const peer = (link: number, has: (piece: number) => boolean = () => true, onParole = false) => ({
  link,
  has,
  onParole,
});

const drain = (picker: Picker, of: ReturnType<typeof peer>): Stripe[] => {
  const stripes: Stripe[] = [];
  for (let stripe = picker.take(of); stripe; stripe = picker.take(of)) stripes.push(stripe);
  return stripes;
};

t.test('a piece is cut into stripes of 64 blocks, the last one shorter', async (t) => {
  const picker = makePicker(1, 150);
  t.same(drain(picker, peer(1)), [
    { piece: 0, firstBlock: 0, endBlock: 64 },
    { piece: 0, firstBlock: 64, endBlock: 128 },
    { piece: 0, firstBlock: 128, endBlock: 150 },
  ]);
});

t.test('an open piece is finished before another one is begun', async (t) => {
  const picker = makePicker(10, 256);
  const first = picker.take(peer(1));
  for (const link of [2, 3, 4]) t.equal(picker.take(peer(link))?.piece, first?.piece);
  t.not(picker.take(peer(5))?.piece, first?.piece);
});

t.test('the first pieces are picked at random, then the rarest', async (t) => {
  const common = new HaveMap(Uint8Array.of(0b1111_1110));
  const pick = (had: number, seed: number) => {
    const picker = makePicker(8, 1, {
      had: Uint8Array.of((0xff << (8 - had)) & 0xff),
      random: seededRandom(seed),
    });
    picker.availability.add(common);
    return picker.take(peer(1))?.piece;
  };
  const seeds = [...Array(40).keys()];
  t.ok(new Set(seeds.map((seed) => pick(0, seed))).size >= 6, 'anywhere at first');
  t.same([...new Set(seeds.map((seed) => pick(4, seed)))], [7], 'then what only one peer has');
});

t.test('ties among the rarest are broken at random', async (t) => {
  const had = Uint8Array.of(0b1111_0000);
  const picks = [...Array(60).keys()].map((seed) => {
    return makePicker(8, 1, { had, random: seededRandom(seed) }).take(peer(1))?.piece;
  });
  t.same([...new Set(picks)].sort(), [4, 5, 6, 7]);
});

t.test('sequential order takes the lowest number that the peer has', async (t) => {
  const picker = makePicker(6, 1, { order: 'sequential' });
  t.equal(picker.take(peer(1, (piece) => piece >= 3))?.piece, 3);
  t.same(
    drain(picker, peer(2)).map((stripe) => stripe.piece),
    [0, 1, 2, 4, 5],
  );
});

t.test('a higher priority goes first, even before open pieces; 0 is never picked', async (t) => {
  const picker = makePicker(4, 128, { order: 'sequential' });
  t.equal(picker.take(peer(1))?.piece, 0);
  picker.want(2, 3, 5);
  picker.want(3, 4, 0);
  t.same(
    drain(picker, peer(1)).map((stripe) => stripe.piece),
    [2, 2, 0, 1, 1],
  );
  t.equal(picker.wantedLeft, 3);
});

t.test('a suspect gets pieces of its own, which nobody else is asked for', async (t) => {
  const picker = makePicker(2, 128, { order: 'sequential' });
  const suspect = peer(9, () => true, true);
  t.equal(picker.take(suspect)?.piece, 0);
  t.equal(picker.take(peer(1))?.piece, 1);
  t.equal(picker.take(suspect)?.piece, 0);
  t.equal(picker.take(peer(1))?.piece, 1);
  t.equal(picker.takeAgain(peer(1)), null, 'not even in endgame');
  picker.release(9, { piece: 0, firstBlock: 64, endBlock: 128 });
  t.equal(picker.take(peer(1)), null);
  picker.disown(9);
  t.same(picker.take(peer(1)), { piece: 0, firstBlock: 64, endBlock: 128 });
});

t.test('endgame begins when everything is asked of somebody, with the stripe that fewest have', async (t) => {
  const picker = makePicker(1, 128);
  t.same(picker.take(peer(1))?.firstBlock, 0);
  t.equal(picker.takeAgain(peer(2)), null, 'a free stripe is left');
  t.same(picker.take(peer(1))?.firstBlock, 64);
  t.same(picker.takeAgain(peer(2))?.firstBlock, 0);
  t.same(picker.takeAgain(peer(2))?.firstBlock, 64);
  t.equal(picker.takeAgain(peer(2)), null, 'never the same one twice');
  t.same(picker.takeAgain(peer(3))?.firstBlock, 0);
  t.same(picker.finish(2, 0, 0), [1, 3]);
  t.same(picker.finish(1, 0, 0), [], 'it is in hand');
  t.notOk(picker.isJudged(0));
  t.same(picker.finish(1, 0, 64), [2]);
  t.ok(picker.isJudged(0));
});

t.test('news about a stripe from a link that is not asked for it is ignored', async (t) => {
  const picker = makePicker(1, 64);
  picker.take(peer(1));
  t.same(picker.finish(2, 0, 0), []);
  t.notOk(picker.isJudged(0));
  t.same(picker.finish(1, 0, 7), []);
  t.same(picker.finish(1, 5, 0), []);
  t.notOk(picker.isJudged(0));
});

t.test('a bad piece is fetched anew, a good one is had', async (t) => {
  const picker = makePicker(1, 64);
  picker.take(peer(1));
  picker.finish(1, 0, 0);
  t.equal(picker.take(peer(1)), null);
  t.same(picker.reset(0), []);
  t.equal(picker.take(peer(1))?.piece, 0);
  t.same(picker.done(0), [{ link: 1, stripe: { piece: 0, firstBlock: 0, endBlock: 64 } }]);
  t.ok(picker.has(0));
  t.equal(picker.wantedLeft, 0);
  t.same(picker.done(0), []);
});

t.test('who has something for us is known from the have-map', async (t) => {
  const picker = makePicker(9, 64, { had: Uint8Array.of(0x80, 0) });
  t.equal(picker.wantsFrom(new HaveMap()), false);
  t.equal(picker.wantsFrom(new HaveMap(Uint8Array.of(0x80, 0))), false);
  t.equal(picker.wantsFrom(new HaveMap(Uint8Array.of(0x80, 0x80))), true);
  const all = new HaveMap();
  all.setAll();
  t.equal(picker.wantsFrom(all), true);
  picker.want(0, 9, 0);
  t.equal(picker.wantsFrom(all), false);
});

t.test('ranges and priorities out of bounds are refused', async (t) => {
  const picker = makePicker(3, 1);
  t.throws(() => picker.want(0, 4), RangeError);
  t.throws(() => picker.want(2, 1), RangeError);
  t.throws(() => picker.want(-1, 1), RangeError);
  t.throws(() => picker.want(0, 1, 8), RangeError);
  t.throws(() => picker.want(0, 1, 0.5), RangeError);
});

// A model of the world outside: whoever has a stripe may deliver it, drop it, or leave.
const action = fc.record({
  kind: fc.constantFrom(
    'take',
    'take',
    'take',
    'again',
    'finish',
    'finish',
    'release',
    'leave',
    'judge',
    'want',
  ),
  link: fc.integer({ min: 1, max: 4 }),
  pick: fc.nat(),
  good: fc.boolean(),
});

t.test(
  'whatever happens, no stripe is asked twice outside endgame, and everything is fetched in the end',
  async (_t) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }),
        fc.constantFrom(1, 64, 65, 200),
        fc.constantFrom('rarest' as const, 'sequential' as const),
        fc.array(fc.array(fc.boolean(), { minLength: 12, maxLength: 12 }), { minLength: 4, maxLength: 4 }),
        fc.array(action, { maxLength: 300 }),
        (pieces, blocks, order, maps, actions) => {
          const picker = makePicker(pieces, blocks, { order });
          const asked = new Map<number, Stripe[]>([1, 2, 3, 4].map((link) => [link, []]));
          const peers = maps.map((map, at) => peer(at + 1, (piece) => map[piece] ?? false, at === 3));
          const of = (link: number) => asked.get(link) ?? [];
          const key = (stripe: Stripe) => `${stripe.piece}/${stripe.firstBlock}`;
          const strike = (link: number, stripe: Stripe) => {
            asked.set(
              link,
              of(link).filter((each) => key(each) !== key(stripe)),
            );
          };
          const all = () => [...asked.values()].flat().map(key);
          const finish = (link: number, stripe: Stripe) => {
            strike(link, stripe);
            for (const other of picker.finish(link, stripe.piece, stripe.firstBlock)) strike(other, stripe);
          };
          const judge = (piece: number, good: boolean) => {
            for (const { link, stripe } of good ? picker.done(piece) : picker.reset(piece))
              strike(link, stripe);
          };
          const judged = () => [...Array(pieces).keys()].filter((piece) => picker.isJudged(piece));
          for (const { kind, link, pick, good } of actions) {
            const who = peers[link - 1];
            const mine = of(link);
            const stripe = mine[pick % Math.max(1, mine.length)];
            if (kind === 'take' && who) {
              const before = all();
              const next = picker.take(who);
              if (!next) continue;
              if (before.includes(key(next))) throw new Error('asked of two peers outside endgame');
              if (!who.has(next.piece) || picker.has(next.piece))
                throw new Error('a piece not to be asked for');
              mine.push(next);
            } else if (kind === 'again' && who) {
              const next = picker.takeAgain(who);
              if (!next) continue;
              if (mine.some((each) => key(each) === key(next))) throw new Error('asked twice of one peer');
              if (picker.take(peer(99))) throw new Error('endgame while something is free');
              mine.push(next);
            } else if (kind === 'finish' && stripe) finish(link, stripe);
            else if (kind === 'release' && stripe) {
              strike(link, stripe);
              picker.release(link, stripe);
            } else if (kind === 'leave') {
              for (const each of mine) picker.release(link, each);
              asked.set(link, []);
              picker.disown(link);
            } else if (kind === 'judge') for (const piece of judged()) judge(piece, good);
            else if (kind === 'want') picker.want(pick % pieces, pieces, 1 + (pick % 7));
          }
          for (const link of [1, 2, 3, 4]) {
            for (const each of of(link)) picker.release(link, each);
            asked.set(link, []);
            picker.disown(link);
          }
          const rescuer = peer(50);
          for (let round = 0; round < 3 && picker.wantedLeft > 0; round++) {
            for (const each of drain(picker, rescuer)) finish(50, each);
            for (const piece of judged()) judge(piece, true);
          }
          return picker.wantedLeft === 0 && picker.hadCount === pieces && picker.openCount === 0;
        },
      ),
      { numRuns: 300 },
    );
  },
);
