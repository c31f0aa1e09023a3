import t from 'tap';
import {
  hashInfoV1,
  hashInfoV2,
  parseInfoHash,
  swarmHashes,
  truncateInfoHash,
} from '../../src/metainfo/infohash.js';
import { toHex } from '../../src/units.js';

const EMPTY = new Uint8Array(0);

t.test('v1 is SHA-1, v2 is SHA-256', async (t) => {
  t.equal(toHex(hashInfoV1(EMPTY)), 'da39a3ee5e6b4b0d3255bfef95601890afd80709');
  t.equal(toHex(hashInfoV2(EMPTY)), 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});

t.test('a hybrid has two swarms, the v2 one under 20 bytes', async (t) => {
  const infoHashV1 = hashInfoV1(EMPTY);
  const infoHashV2 = hashInfoV2(EMPTY);
  t.equal(truncateInfoHash(infoHashV2).length, 20);
  t.same(swarmHashes({ infoHashV1, infoHashV2 }), [infoHashV1, infoHashV2.subarray(0, 20)]);
  t.same(swarmHashes({ infoHashV1, infoHashV2: null }), [infoHashV1]);
  t.same(swarmHashes({ infoHashV1: null, infoHashV2 }), [infoHashV2.subarray(0, 20)]);
});

t.test('a bare infohash is told by its length', async (t) => {
  const v1 = 'A'.repeat(40);
  const v2 = 'b'.repeat(64);
  t.match(parseInfoHash(v1), { infoHashV1: new Uint8Array(20).fill(0xaa), infoHashV2: null });
  t.match(parseInfoHash(v2), { infoHashV1: null, infoHashV2: new Uint8Array(32).fill(0xbb) });
  for (const text of ['', v1.slice(1), `${v1}00`, `${v1.slice(1)}g`, ` ${v1}`]) {
    t.throws(() => parseInfoHash(text), { code: 'ERR_METAINFO' }, text);
  }
});
