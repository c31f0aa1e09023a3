import t from 'tap';
import { sealedSegments, segmentHeights } from '../../src/chain/segment.js';

t.test('a segment holds the heights of one difficulty period, genesis included', async (t) => {
  t.same(segmentHeights(0, 2016), { firstHeight: 0, endHeight: 2016 });
  t.same(segmentHeights(5, 2016), { firstHeight: 10_080, endHeight: 12_096 });
});

t.test('a segment is sealed when its last block has 144 blocks on top', async (t) => {
  t.equal(sealedSegments(-1, 2016), 0, 'an empty chain');
  t.equal(sealedSegments(2015 + 143, 2016), 0);
  t.equal(sealedSegments(2015 + 144, 2016), 1);
  t.equal(sealedSegments(14_131, 2016), 6, 'the sample');
  t.equal(sealedSegments(575, 144), 3, 'regtest');
});
