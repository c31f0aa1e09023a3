import t from 'tap';
import { BlockswarmError, ERROR_CODES, type ErrorCode, exitCode, isErrorCode, usage } from '../src/errors.js';

t.test('an error keeps its code, message and cause', async (t) => {
  const cause = new Error('below');
  const error = new BlockswarmError('ERR_IO', 'cannot read', { cause });
  t.ok(error instanceof Error);
  t.match(error, { name: 'BlockswarmError', code: 'ERR_IO', message: 'cannot read' });
  t.equal(error.cause, cause);
  t.notOk('cause' in new BlockswarmError('ERR_IO', 'no cause'));
  t.match(usage('expected a folder'), { code: 'ERR_USAGE', message: 'expected a folder' });
});

t.test('every code has a meaning and an exit code between 1 and 8', async (t) => {
  for (const [code, meaning] of Object.entries(ERROR_CODES)) {
    t.match(code, /^ERR_[A-Z_]+$/);
    t.ok(meaning.length > 10, code);
    t.ok(exitCode(code as ErrorCode) >= 1 && exitCode(code as ErrorCode) <= 8, code);
  }
});

t.test('exit codes follow the documented table', async (t) => {
  t.equal(exitCode('ERR_ENGINE'), 1);
  t.equal(exitCode('ERR_USAGE'), 2);
  t.equal(exitCode('ERR_CONFIG'), 3);
  t.equal(exitCode('ERR_TIMEOUT'), 4);
  t.equal(exitCode('ERR_BLOCK_INVALID'), 5);
  t.equal(exitCode('ERR_DISK_FULL'), 6);
  t.equal(exitCode('ERR_INTERRUPTED'), 7);
  t.equal(exitCode('ERR_STATE_LOCKED'), 8);
});

t.test('only our codes are codes', async (t) => {
  t.ok(isErrorCode('ERR_NATIVE'));
  t.notOk(isErrorCode('ERR_NOPE'));
  t.notOk(isErrorCode('toString'));
});
