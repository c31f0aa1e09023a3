import fc from 'fast-check';
import t from 'tap';
import { HaveMap } from '../../src/swarm/have-map.js';
import { MAX_PRIORITY, Missing } from '../../src/swarm/missing.js';
import { seededRandom } from '../sim/sim-clock.js';

const mapOf = (pieces: Iterable<number>) => {
  const map = new HaveMap();
  for (const piece of pieces) map.add(piece);
  return map;
};

const change = fc.record({
  kind: fc.constantFrom('add', 'add', 'remove', 'level', 'best', 'best', 'any'),
  piece: fc.nat(299),
  value: fc.nat(9),
  luck: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  // Some peers have everything, some nearly nothing: both ways of looking are taken.
  has: fc.oneof(
    fc.constant(null),
    fc.uniqueArray(fc.nat(299), { maxLength: 5 }),
    fc.uniqueArray(fc.nat(299)),
  ),
});

t.test('the best piece is the one that a look at all of them finds', async (_t) => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(change, { maxLength: 400 }), (bySequence, changes) => {
      const levels = new Map<number, number>();
      const level = (piece: number) => levels.get(piece) ?? 0;
      const model = new Map<number, number>();
      const missing = new Missing({ pieceCount: 300, bySequence, level });
      for (const { kind, piece, value, luck, has } of changes) {
        if (kind === 'add') {
          const priority = 1 + (value % MAX_PRIORITY);
          model.set(piece, priority);
          missing.add(piece, priority);
        } else if (kind === 'remove') {
          model.delete(piece);
          missing.remove(piece);
        } else if (kind === 'level') {
          levels.set(piece, value);
          missing.moved(piece);
        } else {
          const map = mapOf(has ?? []);
          if (has === null) map.setAll();
          const able = [...model].filter(([each]) => map.has(each));
          const top = Math.max(0, ...able.map(([, priority]) => priority));
          const best = able.filter(([, priority]) => priority === top).map(([each]) => each);
          const lowest = Math.min(...best.map(level));
          const right =
            kind === 'any'
              ? best
              : bySequence
                ? [Math.min(...best)]
                : best.filter((each) => level(each) === lowest);
          const found = kind === 'any' ? missing.any(map, luck) : missing.best(map, luck);
          if (best.length === 0 ? found !== -1 : !right.includes(found)) return false;
        }
        if (missing.size !== model.size || missing.has(piece) !== model.has(piece)) return false;
        if (missing.topPriority !== Math.max(0, ...model.values())) return false;
      }
      return true;
    }),
    { numRuns: 300 },
  );
});

t.test('a pick among 65,536 pieces does not look at all of them', async (t) => {
  const pieceCount = 65_536;
  const random = seededRandom(5);
  const levels = Uint16Array.from({ length: pieceCount }, () => Math.floor(random() * 500));
  const missing = new Missing({ pieceCount, bySequence: false, level: (piece) => levels[piece] ?? 0 });
  for (let piece = 0; piece < pieceCount; piece++) missing.add(piece, 1);
  let looked = 0;
  const all = new HaveMap();
  all.setAll();
  const { has } = HaveMap.prototype;
  const half = mapOf([...Array(pieceCount).keys()].filter(() => random() < 0.5));
  for (const map of [all, half]) {
    map.has = (piece) => {
      looked++;
      return has.call(map, piece);
    };
    for (let pick = 0; pick < 1000; pick++) missing.remove(missing.best(map, random()));
  }
  t.equal(missing.size, pieceCount - 2000);
  t.ok(looked <= 2000 * 130, `${looked} pieces were looked at for 2000 picks`);
});
