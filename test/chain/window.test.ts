import fc from 'fast-check';
import t from 'tap';
import { windowEnd } from '../../src/chain/window.js';

t.test('the window holds what fits the budget', async (t) => {
  t.equal(windowEnd([10, 10, 10, 10], 1, 25), 3);
  t.equal(windowEnd([10, 10], 0, 1000), 2, 'all of a short chain');
  t.equal(windowEnd([10, 10], 2, 1000), 2, 'nothing is left at the end');
});

t.test('the window always moves on, and never over the budget with more than one segment', async () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 1000 }), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(lengths, fc.nat(49), fc.integer({ min: 0, max: 3000 }), (sizes, at, budget) => {
      const next = Math.min(at, sizes.length - 1);
      const end = windowEnd(sizes, next, budget);
      const used = sizes.slice(next, end).reduce((sum, size) => sum + size, 0);
      return end > next && end <= sizes.length && (used <= budget || end === next + 1);
    }),
  );
});
