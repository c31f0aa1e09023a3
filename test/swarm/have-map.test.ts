import fc from 'fast-check';
import t from 'tap';
import { Availability } from '../../src/swarm/availability.js';
import { Geometry, MAX_PIECES } from '../../src/swarm/geometry.js';
import { HaveMap } from '../../src/swarm/have-map.js';

t.test('bits are read high bit first, as BEP 3 has them', async (t) => {
  const map = new HaveMap(Uint8Array.of(0b1000_0001, 0b0100_0000));
  t.same(
    [...Array(20).keys()].filter((piece) => map.has(piece)),
    [0, 7, 9],
  );
  t.equal(map.count, 3);
});

t.test('grows with what is added, like a set of numbers', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 5000 })), (pieces) => {
      const map = new HaveMap();
      const set = new Set<number>();
      for (const piece of pieces) {
        if (map.add(piece) === set.has(piece)) return false;
        set.add(piece);
      }
      return (
        map.count === set.size && [...Array(5001).keys()].every((piece) => map.has(piece) === set.has(piece))
      );
    }),
  );
});

t.test('fits a torrent when nothing behind its end is claimed', async () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat({ max: 100 })), fc.integer({ min: 1, max: 110 }), (pieces, count) => {
      const map = new HaveMap();
      for (const piece of pieces) map.add(piece);
      return map.fits(count) === pieces.every((piece) => piece < count);
    }),
  );
});

t.test('a number beyond all bounds does not grow it', async (t) => {
  const map = new HaveMap();
  t.equal(map.add(MAX_PIECES), false);
  t.equal(map.add(2 ** 32 - 1), false);
  t.equal(map.add(MAX_PIECES - 1), true);
  t.equal(map.count, 1);
});

t.test('HAVE ALL is complete whatever the count', async (t) => {
  const map = new HaveMap();
  t.notOk(map.complete(3));
  map.setAll();
  t.ok(map.complete(3));
  t.ok(map.has(12345));
  map.replace(Uint8Array.of(0xe0));
  t.notOk(map.all);
  t.ok(map.complete(3));
});

t.test('availability counts peers piece by piece and leaves nothing behind', async (t) => {
  const availability = new Availability({ pieceCount: 10 });
  const some = new HaveMap(Uint8Array.of(0b1100_0000, 0));
  const all = new HaveMap();
  all.setAll();
  availability.add(some);
  availability.add(all);
  t.same(
    [0, 1, 2, 9].map((piece) => availability.of(piece)),
    [2, 2, 1, 1],
  );
  some.add(2);
  availability.addPiece(2);
  t.equal(availability.of(2), 2);
  availability.remove(some);
  availability.remove(all);
  t.same(
    [0, 1, 2, 9].map((piece) => availability.of(piece)),
    [0, 0, 0, 0],
  );
});

t.test('a geometry refuses lengths that make no sense', async (t) => {
  t.throws(() => new Geometry({ lengthBytes: 0, pieceLengthBytes: 16_384 }), RangeError);
  t.throws(() => new Geometry({ lengthBytes: 1.5, pieceLengthBytes: 16_384 }), RangeError);
  t.throws(() => new Geometry({ lengthBytes: 1, pieceLengthBytes: 0 }), RangeError);
  t.throws(() => new Geometry({ lengthBytes: 2 ** 40, pieceLengthBytes: 16_384 }), RangeError);
  const geometry = new Geometry({ lengthBytes: 2 ** 22 + 1, pieceLengthBytes: 2 ** 22 });
  t.equal(geometry.pieceCount, 2);
  t.equal(geometry.blockCount(0), 256);
  t.equal(geometry.blockCount(1), 1);
  t.equal(geometry.pieceBytes(1), 1);
});
