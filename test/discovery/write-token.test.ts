import t from 'tap';
import { ReplyAllowance } from '../../src/discovery/reply-allowance.js';
import { WriteTokens } from '../../src/discovery/write-token.js';

const HASH = new Uint8Array(20).fill(1);
const MINUTE_MS = 60_000;

t.test('a token is good for five to ten minutes, for its host and target', async (t) => {
  let nowMs = 0;
  const tokens = new WriteTokens(() => nowMs);
  const token = tokens.make('8.8.8.8', HASH);
  t.ok(tokens.isValid(token, '8.8.8.8', HASH));
  t.notOk(tokens.isValid(token, '8.8.8.9', HASH));
  t.notOk(tokens.isValid(token, '8.8.8.8', new Uint8Array(20)));
  for (const forged of [new Uint8Array(), token.subarray(1), new Uint8Array(8)]) {
    t.notOk(tokens.isValid(forged, '8.8.8.8', HASH));
  }
  nowMs = 6 * MINUTE_MS;
  t.ok(tokens.isValid(token, '8.8.8.8', HASH));
  nowMs = 12 * MINUTE_MS;
  t.notOk(tokens.isValid(token, '8.8.8.8', HASH));
  const late = tokens.make('8.8.8.8', HASH);
  nowMs = 60 * MINUTE_MS;
  t.notOk(tokens.isValid(late, '8.8.8.8', HASH), 'nor after a long rest');
});

t.test('an address is proven for a while, and of so many the latest are remembered', async (t) => {
  let nowMs = 0;
  const allowance = new ReplyAllowance(() => nowMs);
  t.equal(allowance.bytesFor('8.8.8.8', 100), 300);
  allowance.prove('8.8.8.8');
  t.equal(allowance.bytesFor('8.8.8.8', 100), 1232);
  t.equal(allowance.bytesFor('8.8.4.4', 2000), 1232, 'never more than fits a packet');
  nowMs = 11 * MINUTE_MS;
  t.equal(allowance.bytesFor('8.8.8.8', 100), 300);
  allowance.prove('8.8.8.8');
  for (let n = 0; n < 5000; n++) allowance.prove(`9.9.${n >> 8}.${n & 255}`);
  t.notOk(allowance.isProven('8.8.8.8'));
});
