import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Block, type Transaction } from 'bitcoinjs-lib';
import t, { type Test } from 'tap';
import { decodeBlock } from '../../src/native.js';
import { recordOffsets, samplePath } from '../helpers/engine.js';
import { outputOf } from '../helpers/program.js';
import { noSharedData, sharedFile } from '../helpers/shared-data.js';
import { tempFolder } from '../helpers/temp.js';

/** What an independent decoder makes of the block, in the form of ours. */
function decodedByBitcoinjs(bytes: Uint8Array) {
  const block = Block.fromBuffer(bytes);
  const transactions = block.transactions ?? [];
  const joined = (withWitness: boolean) =>
    Buffer.concat(transactions.map((transaction) => transaction.getHash(withWitness)));
  return {
    hash: Buffer.from(block.getHash()),
    merkleRoot: Buffer.from(Block.calculateMerkleRoot(transactions)),
    witnessCommitment: hasReservedValue(transactions)
      ? Buffer.from(Block.calculateMerkleRoot(transactions, true))
      : null,
    txids: joined(false),
    wtxids: joined(true),
    weight: block.weight(),
  };
}

function hasReservedValue([coinbase]: Transaction[]): boolean {
  return coinbase?.ins[0]?.witness.length === 1;
}

/** The roots that the block itself names. */
function namedRoots(bytes: Uint8Array) {
  const block = Block.fromBuffer(bytes);
  return { merkleRoot: block.merkleRoot, witnessCommitment: block.getWitnessCommit() };
}

t.test('agrees with an independent decoder about every sample block', async (t) => {
  const records = readFileSync(samplePath);
  const offsets = recordOffsets(records);
  let transactions = 0;
  offsets.slice(0, -1).forEach((at, height) => {
    const bytes = records.subarray(at + 8, offsets[height + 1]);
    const decoded = decodeBlock(bytes);
    transactions += decoded.txids.length / 32;
    const expected = decodedByBitcoinjs(bytes);
    // One assertion for each of 14,132 blocks would be most of the time.
    if (!same(decoded, expected)) t.strictSame({ ...decoded }, expected, `height ${height}`);
    if (!decoded.merkleRoot.equals(bytes.subarray(36, 68))) t.fail(`merkle root at height ${height}`);
  });
  t.equal(transactions, 14_247);
});

function same(a: object, b: object): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

t.test('agrees with an independent decoder about real blocks', { skip: noSharedData }, async (t) => {
  let [blocks, transactions, commitments] = [0, 0, 0];
  for (const { name, bytes } of await realBlocks(t)) {
    const decoded = decodeBlock(bytes);
    t.strictSame({ ...decoded }, decodedByBitcoinjs(bytes), name);
    const named = namedRoots(bytes);
    t.ok(named.merkleRoot && decoded.merkleRoot.equals(named.merkleRoot), `${name}: the header's root`);
    if (decoded.witnessCommitment && named.witnessCommitment) {
      t.ok(decoded.witnessCommitment.equals(named.witnessCommitment), `${name}: the coinbase's commitment`);
      commitments++;
    }
    transactions += decoded.txids.length / 32;
    blocks++;
  }
  t.equal(blocks, 80);
  t.ok(commitments > 20, `${commitments} blocks commit to their witnesses`);
  t.ok(transactions > 80_000, `${transactions} transactions`);
});

async function realBlocks(t: Test): Promise<{ name: string; bytes: Buffer }[]> {
  const packed = ['mainnet', 'testnet3', 'testnet4', 'signet'].flatMap((network) => {
    const folder = sharedFile(join('blocks', network));
    return readdirSync(folder)
      .filter((name) => name.endsWith('.raw.zst'))
      .map((name) => join(folder, name));
  });
  const into = tempFolder(t);
  await outputOf(t, 'zstd', ['-d', '-q', '--long=27', '--output-dir-flat', into, ...packed]);
  return readdirSync(into).map((name) => ({ name, bytes: readFileSync(join(into, name)) }));
}

t.test('what is not a whole block is an error with a code', async (t) => {
  const records = readFileSync(samplePath);
  const block = records.subarray(8, recordOffsets(records)[1]);
  for (let length = 0; length < block.length; length++)
    t.throws(() => decodeBlock(block.subarray(0, length)), { code: 'ERR_BLOCK_DAMAGED' }, `${length} bytes`);
  const longer = Buffer.concat([block, Buffer.of(0)]);
  t.throws(() => decodeBlock(longer), { code: 'ERR_BLOCK_DAMAGED', message: /bad-encoding/ });
  t.throws(() => decodeBlock(Buffer.alloc(4_000_001)), { code: 'ERR_BLOCK_DAMAGED', message: /length/ });
});
