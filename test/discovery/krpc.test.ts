import fc from 'fast-check';
import t from 'tap';
import type { Encodable } from '../../src/bencode.js';
import { encodeError, encodeQuery, encodeReply, parseKrpc } from '../../src/discovery/krpc.js';
import { MALFORMED_DATAGRAMS } from '../vectors/malformed-datagrams.js';

const ID = Buffer.from('abcdefghij0123456789');
const AA = Buffer.from('aa');
const map = (fields: Record<string, Encodable>) => new Map(Object.entries(fields));

t.test('the examples of BEP 5 are read and written', async (t) => {
  const ping = 'd1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe';
  t.equal(Buffer.from(encodeQuery(AA, 'ping', map({ id: ID }), false)).toString(), ping);
  const query = parseKrpc(Buffer.from(ping));
  t.match(query, { kind: 'query', method: 'ping', readOnly: false });
  t.same(query?.kind === 'query' && Buffer.from(query.id), ID);
  t.match(parseKrpc(Buffer.from('d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re')), {
    kind: 'reply',
    ip: null,
  });
  const error = 'd1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee';
  t.match(parseKrpc(Buffer.from(error)), { kind: 'error', code: 201 });
});

t.test('what is written is read: read-only questions (BEP 43), our address (BEP 42), errors', async (t) => {
  t.match(parseKrpc(encodeQuery(AA, 'ping', map({ id: ID }), true)), { readOnly: true });
  const ip = Uint8Array.of(1, 2, 3, 4, 5, 6);
  const reply = parseKrpc(encodeReply(AA, map({ id: ID }), ip));
  t.same(reply?.kind === 'reply' && reply.ip, ip);
  t.match(parseKrpc(encodeError(AA, 301)), { kind: 'error', code: 301 });
});

t.test('no malformed datagram of the corpus is a message', async (t) => {
  for (const [what, payload] of MALFORMED_DATAGRAMS) t.equal(parseKrpc(payload), null, what);
});

t.test('arbitrary bytes, and messages with bytes changed, never throw', async (t) => {
  const message = encodeReply(
    AA,
    map({ id: ID, nodes: new Uint8Array(52), values: [new Uint8Array(6)] }),
    AA,
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(message.length - 1), fc.nat(255)), { maxLength: 6 }), (changes) => {
      const changed = Uint8Array.from(message);
      for (const [at, byte] of changes) changed[at] = byte;
      parseKrpc(changed);
      parseKrpc(changed.subarray(0, changes[0]?.[0]));
    }),
    { numRuns: 2000 },
  );
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => parseKrpc(bytes) === null));
  t.pass('none threw');
});
