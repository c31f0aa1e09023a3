/** ZMTP is read however it is cut; what is too long is never held, and what is something else is told apart. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import t from 'tap';
import {
  MAX_BODY_BYTES,
  ZmtpFault,
  type ZmtpFrame,
  type ZmtpGreeting,
  ZmtpReader,
} from '../../src/bridge/zmtp-reader.js';
import { zmtpFrame, zmtpGreeting } from '../helpers/zmtp-publisher.js';

function readAll(chunks: readonly Uint8Array[]): (ZmtpGreeting | ZmtpFrame)[] {
  const reader = new ZmtpReader();
  return chunks.flatMap((chunk) => [...reader.read(chunk)]);
}

/** Cut behind each of these offsets. */
function cut(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const ends = [...new Set([...offsets.map((offset) => offset % bytes.length), bytes.length])].sort(
    (a, b) => a - b,
  );
  return ends.map((end, at) => bytes.subarray(ends[at - 1] ?? 0, end));
}

const frames = fc.array(
  fc.record({
    flags: fc.constantFrom(0, 1, 4),
    body: fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc.uint8Array({ minLength: 250, maxLength: 300 }),
      fc.uint8Array({ minLength: MAX_BODY_BYTES - 2, maxLength: MAX_BODY_BYTES + 5000 }),
    ),
    long: fc.boolean(),
  }),
  { maxLength: 6 },
);

t.test('a greeting and frames come out whole, wherever the bytes are cut', async () => {
  fc.assert(
    fc.property(frames, fc.array(fc.nat(), { maxLength: 30 }), (frames, offsets) => {
      const bytes = Buffer.concat([
        zmtpGreeting({ major: 4, minor: 7 }),
        ...frames.map(({ flags, body, long }) => zmtpFrame(flags, body, { long: long || body.length > 255 })),
      ]);
      const expected = frames.map(({ flags, body }) => ({
        kind: flags === 4 ? 'command' : 'part',
        isLast: flags !== 1,
        body: body.length > MAX_BODY_BYTES ? null : Buffer.from(body),
      }));
      const greeting = { kind: 'greeting', majorVersion: 4, minorVersion: 7, mechanism: 'NULL' };
      assert.deepEqual(readAll(cut(bytes, offsets)), [greeting, ...expected]);
    }),
    { numRuns: 200 },
  );
});

t.test('it makes no difference when every byte comes alone', async (t) => {
  const bytes = Buffer.concat([
    zmtpGreeting(),
    zmtpFrame(1, Buffer.from('a')),
    zmtpFrame(0, Buffer.alloc(3000)),
  ]);
  t.strictSame(readAll([...bytes].map((byte) => Uint8Array.of(byte))), readAll([bytes]));
});

t.test('a frame of petabytes takes no memory', async (t) => {
  const reader = new ZmtpReader();
  t.equal([...reader.read(zmtpGreeting())].length, 1);
  const chunk = Buffer.alloc(2 ** 20);
  const before = process.memoryUsage().arrayBuffers;
  t.same([...reader.read(Buffer.from([2, 0, 4, 0, 0, 0, 0, 0, 0]))], []);
  let items = 0;
  for (let n = 0; n < 1024; n++) items += [...reader.read(chunk)].length;
  t.equal(items, 0);
  t.ok(process.memoryUsage().arrayBuffers - before < 512 * 2 ** 20, 'less than half of what has come');
});

t.test('anything else is a fault, as soon as it can be told', async (t) => {
  const greeted = (...bytes: number[]) => Buffer.concat([zmtpGreeting(), Uint8Array.from(bytes)]);
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [Buffer.from('HTTP/1.1 400 Bad Request\r\n'), /not ZeroMQ/],
    [Buffer.from('H'), /not ZeroMQ/],
    [Buffer.alloc(10, 0xff), /not ZeroMQ/],
    [Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 1]), /version of ZMTP before 3/],
    [greeted(8), /not ZMTP/],
    [greeted(5), /not ZMTP/],
    [greeted(2, 0x7f, 255, 255, 255, 255, 255, 255, 255), /never end/],
  ];
  for (const [bytes, message] of cases) {
    try {
      readAll([bytes]);
      t.fail(`${message}`);
    } catch (error) {
      t.ok(error instanceof ZmtpFault, `${error}`);
      t.match((error as Error).message, message);
    }
  }
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (chunks) => {
      try {
        readAll([zmtpGreeting(), ...chunks]);
      } catch (error) {
        if (!(error instanceof ZmtpFault)) throw error;
      }
    }),
  );
});
