import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { MAX_METADATA_BYTES } from '../../src/wire/extension-handshake.js';
import {
  encodeMetadataMessage,
  METADATA_PIECE_BYTES,
  MetadataFetch,
  type MetadataMessage,
  MetadataServer,
  metadataPieceCount,
  parseMetadataMessage,
} from '../../src/wire/metadata.js';

const sha = (algorithm: string, bytes: Uint8Array) => createHash(algorithm).update(bytes).digest();
const INFO = Uint8Array.from({ length: 5 * METADATA_PIECE_BYTES + 100 }, (_, i) => (i * 7) & 255);
const V1 = sha('sha1', INFO);
const V2 = sha('sha256', INFO);

/** What a server of the metadata answers to a request, as the fetching side reads it. */
function answer(piece: number, info = INFO): MetadataMessage {
  const message = parseMetadataMessage(new MetadataServer(info).answer(1, piece));
  if (message === null) throw new Error('unreadable answer');
  return message;
}

/** Lets a peer answer everything it is asked; gives the last outcome. */
function drive(fetch: MetadataFetch, peer: number, info = INFO) {
  const asked = [...fetch.begin(peer, info.length)];
  for (;;) {
    const piece = asked.shift();
    if (piece === undefined) throw new Error('stuck');
    const outcome = fetch.receive(peer, answer(piece, info));
    if (outcome.outcome !== 'ask') return outcome;
    asked.push(...outcome.pieces);
  }
}

t.test('the messages of BEP 9 are written and read', async (t) => {
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');
  t.equal(text(encodeMetadataMessage({ type: 'request', piece: 0 })), 'd8:msg_typei0e5:piecei0ee');
  t.equal(text(encodeMetadataMessage({ type: 'reject', piece: 3 })), 'd8:msg_typei2e5:piecei3ee');
  const data = encodeMetadataMessage({ type: 'data', piece: 0, totalBytes: 3, payload: Buffer.from('abc') });
  t.equal(text(data), 'd8:msg_typei1e5:piecei0e10:total_sizei3eeabc');
  t.match(parseMetadataMessage(data), { type: 'data', piece: 0, totalBytes: 3 });
  t.same(parseMetadataMessage(encodeMetadataMessage({ type: 'request', piece: 7 })), {
    type: 'request',
    piece: 7,
  });
});

t.test('an undefined type is to be ignored, a malformed message is null', async (t) => {
  const parse = (text: string) => parseMetadataMessage(Buffer.from(text, 'latin1'));
  t.same(parse('d8:msg_typei3e5:piecei0ee'), { type: 'unknown' });
  t.same(parse('d8:msg_typei-1e5:piecei0ee'), { type: 'unknown' });
  const malformed = [
    '',
    'le',
    'l-3:e',
    'de',
    'd8:msg_type1:0e',
    'd8:msg_typei0ee',
    'd8:msg_typei0e5:piecei-1ee',
    'd8:msg_typei0e5:piecei256ee',
    'd8:msg_typei0e5:piecei0eeX',
    'd8:msg_typei1e5:piecei0eeabc',
    'd8:msg_typei1e5:piecei0e10:total_sizei3eeab',
    'd8:msg_typei1e5:piecei0e10:total_sizei3eeabcd',
    'd8:msg_typei1e5:piecei1e10:total_sizei3eeabc',
    'd8:msg_typei1e5:piecei0e10:total_sizei0ee',
    `d8:msg_typei1e5:piecei0e10:total_sizei${MAX_METADATA_BYTES + 1}ee`,
  ];
  for (const message of malformed) t.equal(parse(message), null, message);
});

t.test('a server gives every piece, and no peer more than its share', async (t) => {
  const server = new MetadataServer(INFO, { roundsPerPeer: 2 });
  const count = metadataPieceCount(INFO.length);
  t.equal(count, 6);
  const ask = (peer: number, piece: number) => parseMetadataMessage(server.answer(peer, piece));
  for (let i = 0; i < 2 * count; i += 1) t.match(ask(1, i % count), { type: 'data', piece: i % count });
  t.match(ask(1, 0), { type: 'reject', piece: 0 });
  t.match(ask(2, 0), { type: 'data' }, 'another peer has a share of its own');
  t.match(ask(2, count), { type: 'reject' }, 'beyond the end');
  server.forget(1);
  t.match(ask(1, 0), { type: 'data' });
});

t.test('metadata is fetched by either infohash or both', async (t) => {
  for (const hashes of [{ infoHashV1: V1 }, { infoHashV2: V2 }, { infoHashV1: V1, infoHashV2: V2 }]) {
    const fetch = new MetadataFetch(hashes);
    t.same(drive(fetch, 1), { outcome: 'done', infoBytes: INFO });
    t.equal(fetch.wantsPeer(), false);
    t.same(fetch.begin(2, INFO.length), [], 'nobody else is asked');
  }
  t.throws(() => new MetadataFetch({}), TypeError);
});

t.test('few pieces are asked at a time, each once', async (t) => {
  const fetch = new MetadataFetch({ infoHashV1: V1, requestsPerPeer: 2 });
  t.same(fetch.begin(1, INFO.length), [0, 1]);
  t.same(fetch.begin(1, INFO.length), [], 'a second handshake changes nothing');
  t.same(fetch.receive(1, answer(1)), { outcome: 'ask', pieces: [2] });
});

t.test('a liar is blamed alone and does not stop an honest peer', async (t) => {
  const fetch = new MetadataFetch({ infoHashV1: V1, infoHashV2: V2 });
  const lie = Uint8Array.from(INFO);
  lie[9] = 0;
  const begun = fetch.begin(1, INFO.length);
  t.match(drive(fetch, 2, lie), { outcome: 'bad', reason: /infohash/ });
  t.match(fetch.receive(1, answer(begun[0] ?? -1)), { outcome: 'ask' }, 'the honest one goes on');
  t.same(drive(fetch, 3), { outcome: 'done', infoBytes: INFO });
  const half = new MetadataFetch({ infoHashV1: V1, infoHashV2: sha('sha256', lie) });
  t.match(drive(half, 1), { outcome: 'bad' }, 'one of two hashes is not enough');
});

t.test('peers that break the rules are told apart from those that refuse', async (t) => {
  const fetch = new MetadataFetch({ infoHashV1: V1 });
  fetch.begin(1, INFO.length);
  t.match(fetch.receive(1, { type: 'request', piece: 0 }), { outcome: 'ignored' });
  t.match(fetch.receive(1, { type: 'unknown' }), { outcome: 'ignored' });
  t.match(fetch.receive(1, { type: 'reject', piece: 0 }), { outcome: 'refused' });
  t.match(fetch.receive(1, answer(1)), { outcome: 'ignored' }, 'after it was dropped');
  fetch.begin(2, INFO.length);
  t.match(fetch.receive(2, answer(5)), { outcome: 'bad', reason: /not asked/ });
  fetch.begin(3, INFO.length + 1);
  t.match(fetch.receive(3, answer(0)), { outcome: 'bad', reason: /sizes/ });
  fetch.begin(4, INFO.length);
  fetch.receive(4, answer(0));
  t.match(fetch.receive(4, answer(0)), { outcome: 'bad' }, 'the same piece twice');
});

t.test('memory is bounded by peers and size', async (t) => {
  const fetch = new MetadataFetch({ infoHashV1: V1, assemblies: 2 });
  for (const size of [0, -1, 1.5, Number.NaN, MAX_METADATA_BYTES + 1]) t.same(fetch.begin(1, size), []);
  t.ok(fetch.begin(1, 100).length > 0);
  t.ok(fetch.begin(2, 100).length > 0);
  t.equal(fetch.wantsPeer(), false);
  t.same(fetch.begin(3, 100), []);
  fetch.drop(1);
  t.equal(fetch.wantsPeer(), true);
  t.ok(fetch.begin(3, 100).length > 0);
});

t.test('any metadata of any length arrives, in any order of answers', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 * METADATA_PIECE_BYTES }),
      fc.infiniteStream(fc.nat()),
      (length, random) => {
        const info = INFO.subarray(0, length);
        const fetch = new MetadataFetch({ infoHashV2: sha('sha256', info) });
        const asked = [...fetch.begin(1, length)];
        for (const pick of random) {
          const [piece = -1] = asked.splice(pick % asked.length, 1);
          const outcome = fetch.receive(1, answer(piece, info));
          if (outcome.outcome === 'ask') asked.push(...outcome.pieces);
          else return outcome.outcome === 'done' && Buffer.compare(outcome.infoBytes, info) === 0;
        }
        return false;
      },
    ),
    { numRuns: 50 },
  );
});

t.test('any bytes are a message or null', async () => {
  const noise = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc
      .uint8Array({ maxLength: 20 })
      .map((tail) => Buffer.concat([Buffer.from('d8:msg_typei1e5:piecei0e'), tail])),
  );
  fc.assert(
    fc.property(noise, (bytes) => {
      parseMetadataMessage(bytes);
    }),
    { numRuns: 500 },
  );
});
