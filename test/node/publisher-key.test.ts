import { chmodSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { makePublisherKey, readPublisherKey } from '../../src/node/publisher-key.js';
import { tempFolder } from '../helpers/temp.js';

t.test('a key is for its owner alone, and is never written over', async (t) => {
  const path = join(tempFolder(t), 'key');
  const publicKey = await makePublisherKey(path);
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.match(readFileSync(path, 'utf8'), /^[0-9a-f]{64}\n$/);
  t.same((await readPublisherKey(path)).publicKey, publicKey);
  await t.rejects(makePublisherKey(path), { code: 'ERR_USAGE' });
  t.same((await readPublisherKey(path)).publicKey, publicKey);
});

t.test('a key that others may read is refused, and what is no key as well', async (t) => {
  const path = join(tempFolder(t), 'key');
  await makePublisherKey(path);
  for (const mode of [0o640, 0o604, 0o620, 0o601]) {
    chmodSync(path, mode);
    await t.rejects(readPublisherKey(path), { code: 'ERR_CONFIG', message: /chmod 600/ }, mode.toString(8));
  }
  for (const text of ['', 'hello', 'ab'.repeat(31), 'zz'.repeat(32), 'ab'.repeat(500)]) {
    writeFileSync(path, text);
    chmodSync(path, 0o600);
    await t.rejects(readPublisherKey(path), { code: 'ERR_CONFIG', message: /holds no key/ });
  }
  await t.rejects(readPublisherKey(`${path}.none`), { code: 'ERR_IO' });
});
