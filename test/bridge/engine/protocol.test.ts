import fc from 'fast-check';
import t from 'tap';
import { bytesOf, messageText, parseReply, parseRequest } from '../../../src/bridge/engine/protocol.js';

const hash = 'ab'.repeat(32);
const tip = { height: 7, hash, assumedValidHeight: null };
const rejected = { hash: null, offsetBytes: 9, kind: 'mutated', reason: 'bad-txnmrklroot' };
const requests = [
  { kind: 'open', id: 1, datadirNet: '/d', network: 'mainnet', workerThreads: 1 },
  { kind: 'feed', id: 2, path: '/f', offsetBytes: 0, lengthBytes: 2 ** 53 - 1, xorKey: '0102030405060708' },
  { kind: 'feed', id: 2, path: '/f', offsetBytes: 0, lengthBytes: 1, xorKey: null },
  { kind: 'knows', id: 3, hash },
  { kind: 'checkpoint', id: 4 },
  { kind: 'close', id: 5 },
  { kind: 'stop', id: 2 },
];
const replies = [
  { kind: 'tip', id: 1, tip: { ...tip, assumedValidHeight: 938_343 } },
  { kind: 'fed', id: 2, blocks: 1, bytes: 293, tip, rejected: null, stopped: true },
  { kind: 'fed', id: 2, blocks: 1, bytes: 293, tip, rejected: { ...rejected, hash }, stopped: false },
  { kind: 'known', id: 3, known: true },
  { kind: 'closed', id: 5 },
  { kind: 'error', id: 6, code: 'ERR_IO', message: 'no such file' },
];

t.test('takes exactly the messages of the protocol', async (t) => {
  for (const message of requests) {
    t.equal(parseRequest(message), message);
    t.equal(parseReply(message), null);
  }
  for (const message of replies) {
    t.equal(parseReply(message), message);
    t.equal(parseRequest(message), null);
  }
});

t.test('refuses a message with a field too many, too few or of another shape', async (t) => {
  for (const message of [...requests, ...replies]) {
    const parse = requests.includes(message as never) ? parseRequest : parseReply;
    t.equal(parse({ ...message, more: 1 }), null);
    for (const key of Object.keys(message)) {
      const { [key as 'kind']: _, ...less } = message;
      t.equal(parse(less), null, `${message.kind} without ${key}`);
      for (const value of [undefined, -1, 0.5, 2 ** 53, Number.NaN, [], {}, 'x'.repeat(20_000)]) {
        t.equal(
          parse({ ...message, [key]: value }),
          null,
          `${message.kind} with ${key} = ${String(value).slice(0, 9)}`,
        );
      }
    }
  }
  t.equal(parseReply({ ...replies[1], tip: { ...tip, more: 1 } }), null);
  t.equal(parseReply({ ...replies[1], rejected: { ...rejected, hash: 'AB'.repeat(32) } }), null);
  t.equal(parseRequest({ ...requests[3], hash: hash.slice(2) }), null);
  for (const kind of ['toString', '__proto__', 'hello', '']) t.equal(parseRequest({ kind, id: 1 }), null);
});

t.test('any value gives a message or null', async () => {
  fc.assert(
    fc.property(fc.anything(), (value) => {
      parseRequest(value);
      parseReply(value);
    }),
  );
});

t.test('texts are cut to what a message may carry, hex becomes bytes', async (t) => {
  const error = { kind: 'error', id: 1, code: 'ERR_IO', message: messageText('x'.repeat(50_000)) };
  t.equal(parseReply(error), error);
  t.same(bytesOf('00ff'), Uint8Array.of(0, 255));
});
