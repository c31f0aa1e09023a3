import { readFileSync } from 'node:fs';
import { Block } from 'bitcoinjs-lib';
import t from 'tap';
import { HeaderChain, networkParams } from '../../src/native.js';
import { displayHash } from '../../src/units.js';
import { recordOffsets, samplePath } from '../helpers/engine.js';

const records = readFileSync(samplePath);
const offsets = recordOffsets(records);
const headers = Buffer.concat(offsets.slice(0, -1).map((at) => records.subarray(at + 8, at + 88)));

t.test('agrees with an independent parser about the hash of every sample block', async (t) => {
  const chain = new HeaderChain('mainnet');
  t.equal(chain.append(headers, 1_800_000_000), null);
  t.equal(chain.height(), 14_131);
  const different = offsets.slice(0, -1).filter((at, height) => {
    const block = Block.fromBuffer(records.subarray(at + 8, offsets[height + 1]));
    return !block.checkTxRoots() || block.getId() !== displayHash(chain.hashAt(height));
  });
  t.same(different, []);
});

t.test('a height that is not there is a RangeError', async (t) => {
  const chain = new HeaderChain('mainnet');
  t.equal(chain.height(), -1);
  t.throws(() => chain.hashAt(0), RangeError);
});

t.test('an unknown network is an error with a code', async (t) => {
  t.throws(() => networkParams('fakenet'), { code: 'ERR_NETWORK_UNKNOWN', message: /fakenet/ });
});
