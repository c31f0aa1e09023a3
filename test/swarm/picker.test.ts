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

const mapOf = (has: (piece: number) => boolean) => {
  const map = new HaveMap();
  for (let piece = 0; piece < 64; piece++) if (has(piece)) map.add(piece);
  return map;
};

const peer = (link: number, has: (piece: number) => boolean = () => true, onParole = false) => ({
  link,
  have: mapOf(has),
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

t.test('free is what nobody is asked for, also behind the window', async (t) => {
  const picker = makePicker(4, 128, { window: { first: 0, pieces: 1 } });
  t.equal(picker.freeBlocks, 4 * 128);
  const stripe = picker.take(peer(1));
  t.equal(picker.freeBlocks, 4 * 128 - 64);
  if (stripe) picker.release(1, stripe);
  t.equal(picker.freeBlocks, 4 * 128);
  drain(picker, peer(1));
  t.equal(picker.freeBlocks, 3 * 128);
  picker.want(1, 4, 0);
  t.equal(picker.freeBlocks, 0);
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

t.test('a window keeps to pieces near the first missing one, and moves on as it comes', async (t) => {
  const picker = makePicker(10, 1, { window: { first: 0, pieces: 3 } });
  const pieces = (stripes: Stripe[]) => stripes.map((stripe) => stripe.piece).sort();
  t.same(pieces(drain(picker, peer(1))), [0, 1, 2], 'in any order inside of it');
  picker.done(1);
  t.same(drain(picker, peer(1)), [], 'piece 0 holds it');
  t.equal(picker.takeAgain(peer(2))?.piece, 0, 'so that may be asked of somebody else, too');
  t.equal(picker.takeAgain(peer(2)), null, 'and nothing else may');
  picker.done(0);
  t.same(pieces(drain(picker, peer(1))), [3, 4]);
  picker.setWindow({ first: 7, pieces: 2 });
  t.same(pieces(drain(picker, peer(1))), [7, 8]);
  picker.lose(0);
  picker.setWindow({ first: 0, pieces: 1 });
  t.same(pieces(drain(picker, peer(1))), [0], 'a piece that was lost brings it back');
  picker.setWindow(null);
  t.same(pieces(drain(picker, peer(1))), [5, 6, 9]);
  t.equal(picker.wantedLeft, 9);
  t.throws(() => picker.setWindow({ first: 11, pieces: 1 }), RangeError);
  t.throws(() => picker.setWindow({ first: 0, pieces: 0 }), RangeError);
});

t.test('inside of a window the rarest piece comes first', async (t) => {
  const had = Uint8Array.of(0b1111_0000, 0);
  const picker = makePicker(16, 1, { had, window: { first: 0, pieces: 6 } });
  // Pieces 7 and 12 are the rarest; only the first of them is inside.
  picker.availability.add(mapOf((piece) => piece !== 7 && piece !== 12));
  picker.availability.add(mapOf(() => true));
  t.equal(picker.take(peer(1))?.piece, 7);
});

t.test('what a peer suggests is preferred among equals, when it has it', async (t) => {
  const had = Uint8Array.of(0b1111_0000);
  const suggesting = (suggested: number[], has?: (piece: number) => boolean) => ({
    ...peer(1, has),
    suggested,
  });
  const pick = (suggested: number[], has?: (piece: number) => boolean) => {
    return makePicker(8, 1, { had }).take(suggesting(suggested, has))?.piece;
  };
  for (const piece of [4, 5, 6, 7]) t.equal(pick([0, piece]), piece);
  t.not(
    pick([6], (piece) => piece !== 6),
    6,
  );
  const picker = makePicker(8, 1, { had });
  picker.want(4, 5, 3);
  t.equal(picker.take(suggesting([6]))?.piece, 4, 'priority is ours to give');
});

t.test('only what is allowed and wanted is asked of a peer that chokes us', async (t) => {
  const picker = makePicker(4, 64);
  picker.want(1, 2, 0);
  t.equal(picker.takeAllowed(peer(1), [1, 9]), null);
  t.equal(picker.takeAllowed(peer(1), [1, 3])?.piece, 3);
  t.equal(picker.takeAllowed(peer(1), [3]), null, 'it is asked for');
  t.equal(
    picker.takeAllowed(
      peer(1, (piece) => piece !== 2),
      [2],
    ),
    null,
  );
});

t.test('a slow peer is asked for little, and others go on behind it', async (t) => {
  const picker = makePicker(1, 70);
  t.same(picker.take(peer(1), 5), { piece: 0, firstBlock: 0, endBlock: 4 });
  t.same(picker.take(peer(2), 64), { piece: 0, firstBlock: 4, endBlock: 68 });
  t.same(picker.take(peer(1), 1), { piece: 0, firstBlock: 68, endBlock: 70 });
  picker.release(2, { piece: 0, firstBlock: 4, endBlock: 68 });
  t.same(picker.take(peer(3), 8), { piece: 0, firstBlock: 4, endBlock: 12 });
  t.same(
    picker.take(peer(3), 64),
    { piece: 0, firstBlock: 12, endBlock: 68 },
    'up to what is asked of others',
  );
});

t.test(
  'in endgame the stripe that would come last is asked for again, and none that comes soon',
  async (t) => {
    const picker = makePicker(1, 192);
    drain(picker, peer(1));
    const lateness = (_link: number, { firstBlock }: Stripe) => [500, 9000, 700][firstBlock / 64] ?? 0;
    t.equal(picker.takeAgain(peer(2), lateness, 600)?.firstBlock, 64);
    t.equal(picker.takeAgain(peer(2), lateness, 600)?.firstBlock, 128);
    t.equal(picker.takeAgain(peer(2), lateness, 600), null);
  },
);

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
    'window',
    'lose',
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
              const next = picker.take(who, 1 + (pick % 100));
              if (!next) continue;
              if (before.includes(key(next))) throw new Error('asked of two peers outside endgame');
              if (!who.have.has(next.piece) || picker.has(next.piece))
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
            else if (kind === 'lose') picker.lose(pick % pieces);
            else if (kind === 'window') {
              picker.setWindow(good ? null : { first: pick % pieces, pieces: 1 + (pick % 5) });
            }
          }
          for (const link of [1, 2, 3, 4]) {
            for (const each of of(link)) picker.release(link, each);
            asked.set(link, []);
            picker.disown(link);
          }
          const rescuer = peer(50);
          // What lies before a window stays: its owner has moved on.
          if (pieces % 2 === 0) picker.setWindow({ first: 0, pieces: 2 });
          else picker.setWindow(null);
          for (let round = 0; round < 3 + pieces && picker.wantedLeft > 0; round++) {
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
